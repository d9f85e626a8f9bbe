"""How long an arm has been still is a matter of what was read, never of how late the reader looks at it."""

from __future__ import annotations

from dataclasses import dataclass, field

from calib.sts.live import Live, Pace
from calib.sts.servos import Reading


@dataclass
class Slow:
    """A clock, and one joint's readings that take no time; what is done with them may."""

    ticks: list[int]
    now: float = 0.0
    ids: dict[str, int] = field(default_factory=lambda: {"elbow_flex": 3})

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self) -> Reading:
        return Reading(self.now, {"elbow_flex": self.ticks.pop(0)})


def stills(ticks: list[int], stall_s: float) -> list[float]:
    """What each reading says of a reader that is held up for `stall_s` after every one."""
    slow = Slow([*ticks])
    live = Live(slow, Pace(0.02), slow.sleep, slow.clock)  # type: ignore[arg-type]
    live.start()
    found = []
    for _, reading in zip(ticks, live.readings(), strict=False):
        assert reading.raw
        slow.now += stall_s
        found.append(round(live.still_s, 3))
    return found


def test_a_late_look_at_a_moving_arm_is_no_rest() -> None:
    assert stills([1000, 1100, 1200, 1300], stall_s=1.0) == [0.0] * 4


def test_rest_is_what_lies_between_readings() -> None:
    assert stills([1000, 1000, 1001, 1000], stall_s=0.0) == [0.0, 0.02, 0.04, 0.06]
    assert stills([1000, 1000, 1500, 1500], stall_s=1.0) == [0.0, 1.0, 0.0, 1.0]
