"""Which ticks of a bridge become frames of a dataset: those at the dataset's rate, while the arm follows a policy.

Takes (tick, mode, task) one after another; says which is a frame and where an episode ended. An episode begins when the
arm follows a chunk; waiting for the next chunk belongs to it; pausing, stopping, parking or another task end it. Knows
no clock and no file.
"""

from __future__ import annotations

from dataclasses import dataclass

FOLLOWS, WAITS = "running", "ready"  # modes of the bridge
SHORTEST = 5  # frames; what is shorter is no episode


@dataclass(slots=True)
class Sampler:
    """`hear` for every tick, in order."""

    rate_hz: float  # of the ticks
    fps: int  # of the dataset
    task: str = ""
    _first: int | None = None  # tick of the episode's first frame
    _count: int = 0

    def hear(self, tick: int, mode: str, task: str) -> tuple[bool, bool]:
        """(an episode ended before this tick, this tick is a frame)."""
        ended = self._first is not None and (mode not in (FOLLOWS, WAITS) or task != self.task)
        if ended:
            self._first = None
        if self._first is None:
            if mode != FOLLOWS:
                return ended, False
            self._first, self._count, self.task = tick, 0, task
        if tick < self._first + round(self._count * self.rate_hz / self.fps):
            return ended, False
        self._count += 1
        return ended, True

    def cut(self) -> None:
        """The next frame begins an episode."""
        self._first = None
