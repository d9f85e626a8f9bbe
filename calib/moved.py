"""Which joint a hand moved, and which way: the pure part of every guided test. Takes readings, gives a verdict.

A person is asked to move one joint; all are watched. The wrong joint moving tells of exchanged ids or buses, the right
one moving the wrong way of a reversed motor. Readings may be in any unit. Knows no bus, no clock and no person.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

WAITING, GOOD, REVERSED, OTHER, SEVERAL = "waiting", "good", "reversed", "other", "several"
BACK = 0.4  # of the first try's way: less away from home is back where it was
ALONG = 0.6  # of the largest way: a joint that moved so far along with it leaves it open which one was meant


@dataclass(frozen=True, slots=True)
class Moved:
    """What is seen so far. `joints`: those that moved most, the furthest first."""

    verdict: str
    joints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Return:
    """A joint that stands away from where its first try began: putting it back is no move.

    Else a reversed joint that is only put back would read as a good one.
    """

    home: float
    away: float  # from home
    enough: float  # of a move: less past home is no matter

    def past(self, at: float) -> float:
        """How far it went past home, beyond where it was put back to; negative on the near side."""
        return -math.copysign(1.0, self.away) * (at - self.home)

    def reached(self, at: float) -> bool:
        """It is back. Not past it by a move: who then corrected that would seem to move the other way."""
        return -BACK * abs(self.away) <= self.past(at) < self.enough


def ways(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """How far each joint of both readings went."""
    return {name: now[name] - start for name, start in before.items() if name in now}


def judge(asked: str, sign: int, way: Mapping[str, float], enough: Mapping[str, float]) -> Moved:
    """`asked` should go `sign` (1, -1) by `enough` of its own unit; `way` says how far each joint went.

    Ways are compared in parts of what is enough for each joint, so ticks, degrees and a gripper's 0..1 may be mixed.
    """
    parts = {name: value / enough[name] for name, value in way.items() if name in enough}
    moved = sorted(parts, key=lambda name: abs(parts[name]), reverse=True)
    if not moved or abs(parts[moved[0]]) < 1.0:
        return Moved(WAITING)
    along = tuple(name for name in moved if abs(parts[name]) >= ALONG * abs(parts[moved[0]]))
    if asked not in along:
        return Moved(OTHER, along)
    if len(along) > 1:
        return Moved(SEVERAL, along)
    return Moved(GOOD if math.copysign(1, parts[asked]) == sign else REVERSED, along)
