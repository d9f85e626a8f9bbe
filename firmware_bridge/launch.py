"""Starting a bridge process and ending it, from the starter's side.

Takes a BridgeConfig, gives a BridgeHandle with a connected client. An error inside the new process
arrives here as the same class with the same text. Knows nothing of servos.

The bridge gets a session of its own, so Ctrl-C in the starter's terminal reaches the starter only, which
then closes the bridge. Its stdin stays open: when that pipe ends, the bridge knows its starter died.
"""

from __future__ import annotations

import contextlib
import subprocess
from types import TracebackType
from typing import Any

from firmware_bridge.config import BridgeConfig
from firmware_bridge.errors import BridgeError, BridgeGone, from_wire, sentence
from firmware_bridge.link import BridgeClient
from firmware_bridge.processes import Lines, spawn

MODULE = "firmware_bridge.daemon"


class BridgeHandle:
    """A running bridge that this process started, and its client.

    As a context manager it closes by the configured exit policy, whatever happened inside.
    """

    def __init__(self, process: subprocess.Popen[bytes], lines: Lines, endpoint: str, config: BridgeConfig) -> None:
        self._process = process
        self._lines = lines
        self._farewell: str | None = None
        self.config = config
        self.endpoint = endpoint
        self.client = BridgeClient(endpoint)

    @property
    def pid(self) -> int:
        return self._process.pid

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
        if timeout_s is None:
            timeout_s = self.config.leaving_s
        if self.alive:
            try:
                self.client.shutdown(exit_policy)
            except BridgeGone:
                self._process.terminate()
        self.client.disconnect()
        word = self._lines.read(timeout_s)
        if word is None or word.get("event") != "stopped":
            if not self.alive:
                self._lines.close()
            raise BridgeGone(
                sentence(
                    "the bridge ended without its farewell",
                    got=_ending(self._process, word),
                    do="torque and goal of the servos are as they were last: hold the "
                    "arm by hand before you switch its power off",
                )
            )
        self._process.wait(timeout=timeout_s)
        self._lines.close()
        self._farewell = str(word["text"])
        return self._farewell

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
        return BridgeHandle(process, lines, word["endpoint"], config)
    except BaseException:
        process.terminate()  # before `ready` nothing moved; the bridge's own exit policy still applies
        process.wait(timeout=config.leaving_s)
        lines.close()
        raise


def _ending(process: subprocess.Popen[bytes], word: dict[str, Any] | None) -> str:
    code = process.poll()
    state = "still running" if code is None else f"exit code {code}"
    return f"{state}, last word {word}" if word else state
