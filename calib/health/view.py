"""The live screen of a check: which joint is being measured, and what it makes of its way. Pure.

Takes statuses, gives a LiveView. Keeps the lowest and highest place of each joint since it came to its turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from calib.health.plan import Excursion
from calib.health.series import shown
from calib.person import JointRow, LiveView
from firmware_bridge.messages import Info, Status

KEYS = (("Ctrl-C", "stop, holding"),)
WAITING, NOW, DONE = "waiting", "now", "done"


class Progress:
    """What is shown while an arm is being checked."""

    def __init__(self, info: Info, ways: Sequence[Excursion], seconds: float) -> None:
        self._info, self._ways, self._seconds = info, ways, seconds
        self._scale = shown(info.joints, info.grippers)
        self._seen: dict[str, tuple[float, float]] = {}
        self._turn = ""
        self._began: float | None = None

    def told(self, what: str) -> None:
        """What comes now: a joint's name, or words."""
        self._turn = what

    def view(self, status: Status) -> LiveView:
        """The screen at `status`."""
        if self._began is None:
            self._began = status.t
        passed = status.t - self._began
        now = {name: float(status.measured[place] * self._scale[place]) for place, name in enumerate(self._info.joints)}
        if self._turn in now:
            low, high = self._seen.get(self._turn, (now[self._turn],) * 2)
            self._seen[self._turn] = min(low, now[self._turn]), max(high, now[self._turn])
        todo = f"{self._turn}: stay clear of the arm; {passed:.0f} s of about {self._seconds:.0f} s"
        rows = tuple(self._row(way, now[way.name]) for way in self._ways)
        title = f"checking {self._info.id}: small slow moves, one joint after another"
        return LiveView(title, todo, rows, "deg", KEYS, message="; ".join(status.clamped))

    def _row(self, way: Excursion, now: float) -> JointRow:
        low, high = self._seen.get(way.name, (None, None))
        wide = 2 * way.reach * float(self._scale[way.joint])
        state = NOW if way.name == self._turn else DONE if way.name in self._seen else WAITING
        return JointRow(way.name, now, low, high, (0.8 * wide, 1.1 * wide), state)
