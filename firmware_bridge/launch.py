"""Starting a bridge process and ending it, from the starter's side.

Takes a BridgeConfig, gives a BridgeHandle with a connected client. An error inside the new process
arrives here as the same class with the same text. Knows nothing of servos.

The bridge gets a session of its own, so Ctrl-C in the starter's terminal reaches the starter only, which
then closes the bridge. Its stdin stays open: when that pipe ends, the bridge knows its starter died.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from types import TracebackType
from typing import Any

from firmware_bridge.config import BridgeConfig
from firmware_bridge.errors import BridgeError, BridgeGone, from_wire, sentence
from firmware_bridge.link import BridgeClient
from firmware_bridge.processes import Lines, spawn

MODULE = "firmware_bridge.supervisor"


class BridgeHandle:
    """A running bridge that this process started, and its client.

    As a context manager it closes by the configured exit policy, whatever happened inside.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], lines: Lines, ready: dict[str, Any], config: BridgeConfig
    ) -> None:
        self._process = process
        self._lines = lines
        self._farewell: str | None = None
        self._takeovers: list[str] = []
        self._bridge_pid = int(ready["pid"])
        self.config = config
        self.endpoint = str(ready["endpoint"])
        self.client = BridgeClient(self.endpoint, keys=config.keys)

    @property
    def pid(self) -> int:
        """Of the supervisor: signals to it reach whichever bridge lives."""
        return self._process.pid

    @property
    def bridge_pid(self) -> int:
        """Of the bridge itself: another one after a takeover."""
        self.takeovers()
        return self._bridge_pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self, exit_policy: str = "", timeout_s: float | None = None) -> str:
        """End the bridge and return its last words, which state where the arm is and its torque.

        `exit_policy` overrides the configured one. Raises BridgeGone when the process died without a word,
        or does not end within `timeout_s` (default: the longest parking); it is never killed,
        because a killed bridge cannot park.
        """
        if self._farewell is not None:
            return self._farewell
        deadline = time.monotonic() + (self.config.leaving_s if timeout_s is None else timeout_s)
        self.takeovers()
        self._ask_to_leave(exit_policy)
        word = self._lines.read(max(0.0, deadline - time.monotonic()))
        while word is not None and word["event"] == "takeover":
            self._took_over(word)
            self._ask_to_leave(exit_policy)  # the one that was asked is dead
            word = self._lines.read(max(0.0, deadline - time.monotonic()))
        self.client.disconnect()
        if word is None or word["event"] != "stopped":
            if not self.alive:
                self._lines.close()
            what = "the bridge ended without its farewell"
            if word is not None and word["event"] == "gave_up":
                raise BridgeGone(f"{what}: {word['text']}")
            do = "torque and goal of the servos are as they were last: hold the arm by hand before you "
            do += "switch its power off"
            raise BridgeGone(sentence(what, got=_ending(self._process, word), do=do))
        self._process.wait(timeout=max(1.0, deadline - time.monotonic()))
        self._lines.close()
        self._farewell = str(word["text"])
        return self._farewell

    def takeovers(self) -> list[str]:
        """What was said so far about bridges that died and were taken over from; does not wait."""
        while (word := self._lines.peek()) is not None and word["event"] == "takeover":
            self._took_over(word)
            self._lines.read(0.0)
        return list(self._takeovers)

    def _took_over(self, word: dict[str, Any]) -> None:
        self._takeovers.append(str(word["text"]))
        self._bridge_pid = int(word["pid"])

    def _ask_to_leave(self, exit_policy: str) -> None:
        if not self.alive:
            return
        try:
            self.client.shutdown(exit_policy)
        except BridgeGone:
            self._process.terminate()

    def __enter__(self) -> BridgeHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except BridgeError:
            if error is None:  # never hide what went wrong inside the with block
                raise


def start_bridge(config: BridgeConfig, timeout_s: float = 15.0) -> BridgeHandle:
    """Start a bridge process and wait until it is ready.

    Raises whatever the bridge raised at its start (PortMissing, ServoMissing, CalibrationMismatch, ...),
    or BridgeGone when it says nothing within `timeout_s`.
    """
    process = spawn(MODULE, "--config", "-", "--owned")
    lines = Lines(process)
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died at its imports: its exit code says so below
            process.stdin.write(config.to_json().encode() + b"\n")
            process.stdin.flush()
        word = lines.read(timeout_s)
        if word is not None and word.get("event") == "error":
            raise from_wire(word["error"], word["text"])
        if word is None or word.get("event") != "ready":
            raise BridgeGone(
                sentence(
                    f"the bridge did not start within {timeout_s:g} s",
                    got=_ending(process, word),
                    do="read its stderr above",
                )
            )
        return BridgeHandle(process, lines, word, config)
    except BaseException:
        process.terminate()  # before `ready` nothing moved; the bridge's own exit policy still applies
        process.wait(timeout=config.leaving_s)
        lines.close()
        raise


def _ending(process: subprocess.Popen[bytes], word: dict[str, Any] | None) -> str:
    code = process.poll()
    state = "still running" if code is None else f"exit code {code}"
    return f"{state}, last word {word}" if word else state
