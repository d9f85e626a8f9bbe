"""The beat of everything live: all servos read some fifty times a second, every shaft followed. The thin rim.

Takes Servos, gives the newest Reading and how long the arm has been still. Owns the clock, so that what decides
(moved.py, judge.py, circular.py) is given the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from calib.sts.circular import Shaft
from calib.sts.servos import Reading, Servos
from firmware_bridge.sts.travel import DEGREES_PER_TICK, TRAVEL

STILL_TICKS = 12.0  # 1 degree: more is motion


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, and how long to wait."""

    period_s: float = 0.02
    settle_s: float = 0.4  # without motion, before the next joint is asked for
    moved_s: float = 0.5  # without motion: a move is over
    pose_s: float = 0.4  # without motion: a pose counts
    closed_s: float = 0.6  # without motion: a gripper is closed
    still_s: float = 2.0  # complete and still for so long: done, where nobody can press a key
    patience_s: float = 120.0  # where nobody can press a key


@dataclass(slots=True)
class Live:
    """Every shaft of the arm, followed from `start` on."""

    servos: Servos
    pace: Pace = field(default_factory=Pace)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    shafts: dict[str, Shaft] = field(default_factory=dict)
    _rest: dict[str, float] = field(default_factory=dict)
    _moved_at: float = 0.0
    _asked_at: float = 0.0  # when the newest reading was asked for

    def start(self) -> None:
        """Forget everything: what is seen from now on counts."""
        self.shafts = {joint: Shaft(_widest(joint)) for joint in self.servos.ids}
        self._rest = {}
        self._moved_at = self._asked_at = self.clock()

    def readings(self) -> Iterator[Reading]:
        """One after another, at the pace, for ever. Raises NoAnswer, PortError."""
        due = self.clock()
        while True:
            self._asked_at = self.clock()
            reading = self.servos.read()
            for joint, raw in reading.raw.items():
                self.shafts[joint].feed(reading.t, raw)
            self._watch(reading.t)
            yield reading
            due = max(due + self.pace.period_s, self.clock())
            self.sleep(max(0.0, due - self.clock()))

    @property
    def still_s(self) -> float:
        """For how long nothing has been seen to move: time that passed since the newest reading tells nothing."""
        return max(0.0, self._asked_at - self._moved_at)

    def degrees(self) -> dict[str, float]:
        """Where every joint is, in degrees from an unknown zero; joints that never answered are left out."""
        rows = self.shafts.items()
        return {joint: shaft.position * DEGREES_PER_TICK for joint, shaft in rows if shaft.position is not None}

    def widths(self) -> dict[str, float]:
        """How far every joint was swept, degrees."""
        return {joint: shaft.width * DEGREES_PER_TICK for joint, shaft in self.shafts.items()}

    def _watch(self, now: float) -> None:
        for joint, shaft in self.shafts.items():
            if shaft.position is not None and abs(shaft.position - self._rest.get(joint, 1e9)) > STILL_TICKS:
                self._rest[joint] = shaft.position
                self._moved_at = now


def _widest(joint: str) -> float | None:
    travel = TRAVEL[joint]
    return None if travel.free else travel.widest / DEGREES_PER_TICK


def wait_still(live: Live, seconds: float, each: Callable[[Reading], object] | None = None) -> Mapping[str, float]:
    """Where all joints are, in degrees, when none has moved for `seconds`; `each` is called with every reading."""
    for reading in live.readings():
        if each is not None:
            each(reading)
        if live.still_s >= seconds and len(live.degrees()) == len(live.shafts):
            return live.degrees()
    raise AssertionError("readings end only by an error")
