"""How punctual ticks are: the fixed grid, and lateness counted in bins. Pure; the time is passed in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

BINS_PER_DECADE = 20
FINEST_S = 1e-6
BINS = 8 * BINS_PER_DECADE  # 1 us to 100 s


@dataclass(slots=True)
class Grid:
    """Deadlines at start + tick / rate; a tick that passed is skipped, never made up."""

    start: float  # s
    period: float  # s
    tick: int = 0
    missed: int = 0

    @property
    def due(self) -> float:
        return self.start + self.tick * self.period

    def begin(self, now: float) -> float:
        """The tick that is done now, `tick`; returns its lateness, s."""
        lateness = now - self.due
        skipped = max(0, int(lateness / self.period))
        self.missed += skipped
        self.tick += skipped
        return lateness


@dataclass(slots=True)
class Lateness:
    """A histogram of equal ratios: a quantile is right within 12 %, whatever the ticks' number."""

    newest: float = 0.0
    worst: float = 0.0
    worst_at: int = 0  # which tick that was, counted from 1
    count: int = 0
    bins: list[int] = field(default_factory=lambda: [0] * BINS)

    def add(self, seconds: float) -> None:
        self.newest = seconds
        self.count += 1
        if seconds > self.worst:
            self.worst, self.worst_at = seconds, self.count
        place = int(math.log10(max(seconds, FINEST_S) / FINEST_S) * BINS_PER_DECADE)
        self.bins[min(place, BINS - 1)] += 1

    def quantile(self, part: float) -> float:
        """The lateness, s, that `part` (0..1) of all ticks kept to; the upper edge of its bin."""
        left = part * self.count
        for place, number in enumerate(self.bins):
            left -= number
            if left <= 0 and self.count:
                edge: float = FINEST_S * 10.0 ** ((place + 1) / BINS_PER_DECADE)
                return min(self.worst, edge)
        return 0.0

    def text(self) -> str:
        p50, p99, worst = (f"{1e3 * value:.2f} ms" for value in (self.quantile(0.5), self.quantile(0.99), self.worst))
        return f"{self.count} ticks, late by {p50} (p50), {p99} (p99), {worst} (worst, tick {self.worst_at})"
