"""Writing the black box: every call on the safety core, with its answer, to a file, beside the ticks.

Takes a StateMachine, gives one that behaves the same and is recorded. Knows nothing of what a call means.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
from pathlib import Path
from typing import Any

from firmware_bridge import robots
from firmware_bridge.black_box_file import FORMAT, pack, write_record
from firmware_bridge.config import BridgeConfig
from firmware_bridge.driver import Facts
from firmware_bridge.errors import BridgeError, ConfigError, sentence, to_wire
from firmware_bridge.priority import as_any_program
from firmware_bridge.rules import make_rules
from firmware_bridge.safety.state_machine import StateMachine
from firmware_bridge.words import tell

QUEUE = 2000  # records that wait for the disk: about 10 s of a driven SO arm
ENDING_S = 2.0
# What changes the machine: calls on it, on its mailbox, and attributes that are set ("set torque").
TOLD = ("step", "torque_asked", "torque_is", "failed", "command", "chunk", "heard", "leave", "adopt")
TOLD_MAILBOX = ("published",)
SHOWN = ("mode", "torque", "fault", "note", "commanded")  # part of every answer


class BlackBox:
    """A file that a thread writes. Nothing here waits or raises: recording ends where the disk does."""

    def __init__(self, path: str) -> None:
        self._problem = ""
        self._queue: queue.Queue[bytes] = queue.Queue(QUEUE)
        self._thread: threading.Thread | None = None
        if path:
            self._thread = threading.Thread(target=self._write, args=(Path(path),), name="black box", daemon=True)
            self._thread.start()

    @classmethod
    def begin(cls, config: BridgeConfig, facts: Facts, number: int) -> BlackBox:
        """The configured file, opened for the bridge after `number` takeovers; an earlier file is kept beside it.

        Raises ConfigError where its folder does not exist; but a folder that is gone stops no takeover.
        """
        path = f"{config.black_box}.{number}" if number and config.black_box else config.black_box
        if path and not number and not Path(path).parent.is_dir():
            do = "make the folder, or record elsewhere"
            raise ConfigError(sentence(f"black_box {path}", expected="a path in a folder that exists", do=do))
        box = cls(path)
        if path:
            robot = robots.find(config.robot)
            rules = make_rules(config, robot, facts)
            box.record(["begin", FORMAT, config.to_json(), facts, pack(rules)])
        return box

    @property
    def on(self) -> bool:
        return self._thread is not None and not self._problem

    def problem(self) -> str:
        """Why recording ended, for the note; "" while it goes on, or was never asked for."""
        return self._problem

    def record(self, row: list[object]) -> None:
        """One record; dropped with all that follow where the disk does not keep up."""
        if not self.on:
            return
        try:
            self._queue.put_nowait(pack(row))
        except queue.Full:
            self._end("the disk is too slow")

    def close(self) -> None:
        """Write what waits, as far as the disk takes it in time."""
        if self._thread is None:
            return
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(b"")
        self._thread.join(ENDING_S)

    def _end(self, why: str) -> None:
        if not self._problem:
            self._problem = f"the black box has ended: {why}"
            tell(self._problem)

    def _write(self, path: Path) -> None:
        as_any_program()
        try:
            if path.is_file():
                path.replace(f"{path}.before")
            with open(path, "wb", buffering=0) as file:
                while data := self._queue.get():
                    write_record(file, data)
        except OSError as error:
            self._end(str(error))


class _Watched:
    """Another object whose calls in `told`, and whose attributes when set, are recorded with their answers."""

    def __init__(self, target: object, told: tuple[str, ...], machine: StateMachine, box: BlackBox) -> None:
        self.__dict__.update(_target=target, _told=told, _machine=machine, _box=box)

    def __getattr__(self, name: str) -> Any:
        if name in self._told:
            return functools.partial(self._tell, name)
        return getattr(self._target, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._tell(f"set {name}", value)

    def _tell(self, name: str, *args: object, **named: object) -> Any:
        answer, error = obey(self._machine, name, args, named)
        self._box.record([name, args, named, outcome(self._machine, answer, error)])
        if error is not None:
            raise error
        return answer


def watch(machine: StateMachine, box: BlackBox) -> Any:
    """`machine`, recorded; the machine itself where nothing is recorded."""
    if not box.on:
        return machine
    watched = _Watched(machine, TOLD, machine, box)
    watched.__dict__["mailbox"] = _Watched(machine.mailbox, TOLD_MAILBOX, machine, box)
    return watched


def obey(
    machine: StateMachine, name: str, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, Exception | None]:
    """Do one call by its name: its answer, or what it raised."""
    try:
        if name.startswith("set "):
            setattr(machine, name.removeprefix("set "), args[0])
            return None, None
        target = machine.mailbox if name in TOLD_MAILBOX else machine
        return getattr(target, name)(*args, **named), None
    except Exception as error:
        return None, error


def outcome(machine: StateMachine, answer: object, error: Exception | None) -> bytes:
    """All that a call did that can be seen from outside, as bytes."""
    raised = None
    if error is not None:
        raised = to_wire(error) if isinstance(error, BridgeError) else (type(error).__name__, str(error))
    return pack([answer, raised, [getattr(machine, item) for item in SHOWN]])
