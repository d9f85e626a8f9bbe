"""Following a shaft around the circle: raw ticks in, how far it went out, with no mistake at the wrap.

Takes one reading at a time (raw shaft ticks, any whole turn added) and its time; gives the position, the lowest and
the highest of them in ticks that go on beyond a turn. A reading that no hand could have brought about is not believed
until a second one confirms it; where readings were lost for so long that the shaft may have gone either way round,
what was swept so far is forgotten and says so. Pure; knows no joint and no bus.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware_bridge.sts.registers import TICKS_PER_TURN

HALF_TURN = TICKS_PER_TURN // 2
HAND = 12_000.0  # ticks/s, 1050 degrees/s: no hand turns a joint of an arm faster
SLACK = 230.0  # ticks, 20 degrees: a reading's own time is not known better than that
NEAR_END = 34  # ticks, 3 degrees: at an end
AWAY = 114  # ticks, 10 degrees: has left it


def raw_ticks(present: int, offset: int) -> int:
    """Where the shaft is within its turn, 0..4095, from what the servo says and its Homing_Offset."""
    return (present + offset) % TICKS_PER_TURN


def nearest(raw: float, to: float) -> float:
    """`raw` plus the whole turns that bring it nearest to `to`."""
    return raw + TICKS_PER_TURN * round((to - raw) / TICKS_PER_TURN)


@dataclass(slots=True)
class Shaft:
    """One shaft. `widest`: ticks that a sweep between its stops can have; None: it has no stops."""

    widest: float | None = None
    position: float | None = None  # newest that is believed, unwrapped ticks
    low: float = 0.0
    high: float = 0.0
    samples: int = 0
    restarts: int = 0  # how often a sweep was forgotten because readings were lost
    glitches: int = 0  # readings that were not believed
    at_low: int = 0  # how often each end was reached
    at_high: int = 0
    _at: float = 0.0
    _before: float | None = None
    _doubted: int | None = None
    _end: int = field(default=0)  # -1, 1: stands at that end; 0: between

    def feed(self, t: float, raw: int) -> None:
        """A reading at `t` s."""
        raw %= TICKS_PER_TURN
        if self.position is None:
            self._start(t, float(raw))
            return
        reach = HAND * max(0.0, t - self._at) + SLACK
        step = nearest(raw, self.position) - self.position
        if abs(step) > reach:
            self._doubt(t, raw)
            return
        self._doubted = None
        if TICKS_PER_TURN - abs(step) <= reach and self._other_way_fits(step):
            self.restarts += 1
            self._start(t, self.position + step)
            return
        self._go(t, self.position + step)

    def forget(self) -> None:
        """Sweep again, from where it is."""
        self.restarts = self.glitches = 0
        if self.position is not None:
            self._start(self._at, self.position)

    @property
    def width(self) -> float:
        return self.high - self.low

    @property
    def torn(self) -> bool:
        """Whether an end that was seen before readings were lost may lie beyond what was swept since."""
        return self.restarts > 0 and not (self.at_low and self.at_high)

    def _doubt(self, t: float, raw: int) -> None:
        """A jump: a glitch when the next reading is back, true when that stays there; then the way there is lost."""
        before, self._doubted = self._doubted, raw
        if before is not None and abs(nearest(raw, before) - before) <= SLACK and self.position is not None:
            self.restarts += 1
            self._start(t, nearest(raw, self.position))
            return
        self.glitches += 1

    def _other_way_fits(self, step: float) -> bool:
        assert self.position is not None
        other = self.position + step + (TICKS_PER_TURN if step <= 0 else -TICKS_PER_TURN)
        return self.widest is None or max(self.high, other) - min(self.low, other) <= self.widest

    def _start(self, t: float, position: float) -> None:
        self.position = self.low = self.high = position
        self.samples, self.at_low, self.at_high = 1, 0, 0
        self._at, self._before, self._doubted, self._end = t, None, None, 0

    def _go(self, t: float, position: float) -> None:
        """Ends count when two readings in a row stand behind them."""
        before = self.position if self._before is None else self._before
        assert before is not None
        self.low = min(self.low, max(before, position))
        self.high = max(self.high, min(before, position))
        self.position = self._before = position
        self._at = t
        self.samples += 1
        self._count_ends(position)

    def _count_ends(self, position: float) -> None:
        if self.width < 2 * AWAY:
            return
        if position <= self.low + NEAR_END:
            self.at_low += self._end != -1
            self._end = -1
        elif position >= self.high - NEAR_END:
            self.at_high += self._end != 1
            self._end = 1
        elif self.low + AWAY < position < self.high - AWAY:
            self._end = 0
