"""`armside calibrate` in a real terminal, with a person who reads the screen, moves the arm of a Bench and types."""

from __future__ import annotations

import collections
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from firmware_bridge.sts.virtual_bench import Bench
from tests.calib.hands import SPEED, Moves, from_stop_to_stop, guided
from tests.cli.bridges import Home, wait_for
from tests.cli.conftest import armside_program
from tests.terminals import DEADLINE_S, Program

DWELL = 4  # readings of all servos, and a little: so long hands stay at a stop
ASKED = re.compile(r"Enter  or .*cancel\n*\Z")
GUIDED = re.compile(r"^which motor is which: (\w+)\n. (?!hold still)", re.MULTILINE)
SWEEPS = re.compile(r"^from stop to stop$", re.MULTILINE)
SWEPT = "all joints were swept: press Enter"
CLOSES = re.compile(r"^closed$", re.MULTILINE)


def verb(place: Home, *words: object, size: tuple[int, int] = (100, 40)) -> Program:
    """An `armside` of its own home, where LeRobot keeps nothing."""
    env = {key: value for key, value in place.env.items() if key.startswith("XDG_")}
    env["HF_LEROBOT_CALIBRATION"] = str(place.root / "lerobot")
    return Program([*armside_program(), *map(str, words)], env, size)


@dataclass(slots=True)
class Player:
    """Does what the screen says until `until` is seen there; then `then`, once, and only looks on."""

    program: Program
    bench: Bench
    until: str = r"\Z\A"  # never
    then: Callable[[Program], object] = Program.type
    sweep: Callable[[Bench], Moves] = from_stop_to_stop
    answers: dict[str, str] = field(default_factory=dict)  # part of a question -> key, instead of Enter
    stopped: bool = False
    _rests: int = 0  # until so many readings were served
    _guided: set[str] = field(default_factory=set)
    _left: collections.deque[dict[str, float]] | None = None

    def step(self) -> bool:
        """A little; False when the program has ended."""
        if self.program.process.poll() is not None or self.program.ours < 0:
            return False
        self.program.read(0.01)
        text = self.program.cells.text
        if self.stopped:
            return True
        if re.search(self.until, text):
            self.stopped = True
            self.then(self.program)
        elif ASKED.search(text):
            lines = [line for line in text.splitlines() if line]
            question = lines[-2]
            self.program.type(next((key for part, key in self.answers.items() if part in question), "\r"))
            _changed(self.program, text)
        elif self.bench._moving():
            self._rests = readings(self.bench) + DWELL
        elif readings(self.bench) >= self._rests:
            self._move(text)
        return True

    def play(self) -> int:
        """Until it ends: its exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self.step():
            assert time.monotonic() < deadline, f"never ended:\n{self.program.cells.text}"
        return self.program.end()

    def _move(self, text: str) -> None:
        guide = GUIDED.findall(text)
        if guide and guide[-1] not in self._guided:
            self._guided.add(guide[-1])
            for move in guided(self.bench, guide[-1]):
                self.bench.hand(SPEED, **move)
        elif SWEEPS.search(text):
            if self._left is None:
                self._left = collections.deque(self.sweep(self.bench))
            if self._left:
                self.bench.hand(SPEED, **self._left.popleft())
            else:
                self.program.type("\r")
                _changed(self.program, text)
        elif CLOSES.search(text):
            self.bench.hand(SPEED, gripper=0.0)


def readings(bench: Bench) -> int:
    """How often all servos were read at once so far: a program that is held up sees a stop later, and not never."""
    with bench.port.lock:
        return bench.bus.frames["sync_read"]


def rest(bench: Bench) -> None:
    """Hands that reached a stop stay there until it was read."""
    bench.wait()
    enough = readings(bench) + DWELL
    wait_for(lambda: readings(bench) >= enough, "the stop is read")


def _changed(program: Program, text: str) -> None:
    """Until the screen is another: a key is typed once."""
    deadline = time.monotonic() + DEADLINE_S
    while program.cells.text == text and program.process.poll() is None:
        assert time.monotonic() < deadline, text
        program.read(0.05)


def files(place: Home) -> dict[str, bytes]:
    """Everything that is kept in this home, but for folders."""
    return {str(path.relative_to(place.root)): path.read_bytes() for path in _all(place.root) if path.is_file()}


def _all(root: Path) -> list[Path]:
    return sorted(root.rglob("*"))
