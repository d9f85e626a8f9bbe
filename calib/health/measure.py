"""What a check's recording says of each joint: play, dead band, lag, heat, sag, lost answers. Pure.

Takes a Series and marks (which ticks were what), gives numbers; what could not be measured is None. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calib.health import plan
from calib.health.series import Series

Array = npt.NDArray[np.float64]
MOVED = 0.2  # deg or %: two ticks of an STS3215 and a little; one tick more or less is noise
FOLLOWED = 0.3  # of its way: a joint that made less of it does not follow, and its other numbers mean nothing
REACHED = 0.8  # of the way must have been commanded
MOST_LAG_S = 0.6
FAST = (0.15, 0.85)  # of a leg: where it begins and ends it is slow, and a tick of distance is many ms
BEFORE = 5  # ticks before a leg, in which its rest error is seen


@dataclass(frozen=True, slots=True)
class Mark:
    """The ticks `begin` <= tick < `end` of the joint `joint`; -1: of all."""

    kind: str  # of plan.py
    joint: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Backlash:
    """Where a joint came to rest at one and the same goal."""

    below: tuple[float, ...]  # measured minus commanded, deg or %, each time it came from below
    above: tuple[float, ...]
    difference: float  # mean of `above` - mean of `below`
    spread: float | None  # largest minus smallest of the differences; None with one pair
    error: float  # mean distance from the goal, commanded minus measured: what the load leaves
    push: float | None  # load from below minus from above, halved, part of full: the motor still pushes


@dataclass(frozen=True, slots=True)
class Steps:
    """How far a creeping goal got ahead of the joint before that had moved; deg or %."""

    lost: dict[str, float]  # name of plan.STEPS -> deg or %

    @property
    def dead_band(self) -> float | None:
        """Going on as it went before, when its play is used up: the error that its motor needs to start."""
        return self._mean(reversed_=False)

    @property
    def reversal(self) -> float | None:
        """Going back: play and dead band."""
        return self._mean(reversed_=True)

    def _mean(self, reversed_: bool) -> float | None:
        found = [value for name, value in self.lost.items() if plan.STEPS[name][1] is not reversed_]
        return float(np.mean(found)) if found else None


def way_made(series: Series, joint: int, marks: Iterable[Mark]) -> tuple[float, float] | None:
    """(commanded, measured) way of the excursions, deg or %; None without one."""
    rows = [series.during(mark.begin, mark.end) for mark in _of(marks, joint, plan.ONWARD, plan.REVERSED)]
    rows = [row for row in rows if row.stop > row.start]
    if not rows:
        return None
    commanded = np.concatenate([series.commanded[row, joint] for row in rows])
    measured = np.concatenate([series.measured[row, joint] for row in rows])
    return float(np.ptp(commanded)), float(np.ptp(measured))


def backlash(series: Series, joint: int, marks: Iterable[Mark]) -> Backlash | None:
    """The rests of both sides; None without one pair."""
    marks = tuple(marks)
    away = series.measured[:, joint] - series.commanded[:, joint]
    below = _means(away, series, _of(marks, joint, plan.BELOW))
    above = _means(away, series, _of(marks, joint, plan.ABOVE))
    pairs = min(len(below), len(above))
    if not pairs:
        return None
    differences = np.array(above[:pairs]) - np.array(below[:pairs])
    spread = float(np.ptp(differences)) if pairs > 1 else None
    loads = [_means(series.load[:, joint], series, _of(marks, joint, kind)) for kind in (plan.BELOW, plan.ABOVE)]
    push = number((np.mean(loads[0]) - np.mean(loads[1])) / 2)
    error = -float(np.mean(below) + np.mean(above)) / 2
    return Backlash(tuple(below), tuple(above), float(differences.mean()), spread, error, push)


def steps(series: Series, joint: int, marks: Iterable[Mark]) -> Steps | None:
    """None where not one creeping goal was followed."""
    lost: dict[str, float] = {}
    for mark in marks:
        if mark.joint == joint and mark.kind.startswith(plan.STEP):
            found = _lost(series, joint, mark)
            if found is not None:
                lost[mark.kind.removeprefix(plan.STEP)] = found
    return Steps(lost) if lost else None


def _lost(series: Series, joint: int, mark: Mark) -> float | None:
    rows = series.during(mark.begin, mark.end)
    commanded, measured = series.commanded[rows, joint], series.measured[rows, joint]
    if len(commanded) < 2:
        return None
    moved = np.abs(measured - measured[0]) >= MOVED
    until = int(moved.argmax()) + 1 if moved.any() else len(moved)
    ahead = np.abs(commanded - commanded[0]) - np.abs(measured - measured[0])
    return max(0.0, float(ahead[:until].max()))


def lag_ms(series: Series, joint: int, marks: Iterable[Mark]) -> float | None:
    """How long after its goal the joint is where the goal was, ms; of legs that go on in one direction.

    A leg that reverses crosses the play first, which is no lag. The rest error before a leg is taken off.
    """
    found = [_lag_s(series, joint, mark) for mark in _of(marks, joint, plan.ONWARD)]
    known = [lag for lag in found if lag is not None]
    return 1000.0 * float(np.mean(known)) if known else None


def _lag_s(series: Series, joint: int, mark: Mark) -> float | None:
    before = series.during(mark.begin - BEFORE, mark.begin)
    rows = series.during(mark.begin, mark.end)
    if before.stop == before.start or rows.stop - rows.start < 5:
        return None
    stood = float(np.mean(series.measured[before, joint] - series.commanded[before, joint]))
    at, reached = series.tick[rows] / series.rate_hz, series.measured[rows, joint] - stood
    goal = series.commanded[rows, joint]
    made = (reached - goal[0]) / (goal[-1] - goal[0]) if goal[-1] != goal[0] else np.zeros_like(goal)
    fast = (made >= FAST[0]) & (made <= FAST[1])
    if fast.sum() < 3:
        return None
    rows = series.during(mark.begin - round(MOST_LAG_S * series.rate_hz) - BEFORE, mark.end)
    tries = np.arange(0.0, MOST_LAG_S, 0.002)
    goals = np.interp(
        at[fast][None, :] - tries[:, None], series.tick[rows] / series.rate_hz, series.commanded[rows, joint]
    )
    left: Array = np.square(reached[fast][None, :] - goals).mean(axis=1)
    return float(tries[int(left.argmin())])


def heat(series: Series, joint: int) -> tuple[float, float, float, float] | None:
    """(first, last, degrees Celsius per minute, how much of that is sure); None where it is not reported.

    Servos tell whole degrees: a rise of one may be none, so one is taken off what is sure.
    """
    t, temperature = series.t, series.temperature[:, joint]
    known = np.isfinite(temperature)
    if known.sum() < 2 or t[known][-1] <= t[known][0]:
        return None
    t, temperature = t[known], temperature[known]
    minutes = (t - t[0]) / 60.0
    few = max(1, len(t) // 20)
    first, last = float(np.median(temperature[:few])), float(np.median(temperature[-few:]))
    rate = float(np.polyfit(minutes, temperature, 1)[0]) if len(t) > 2 else (last - first) / float(minutes[-1])
    sure = max(0.0, (last - first - 1.0) / float(minutes[-1]))
    return first, last, rate, min(sure, max(rate, 0.0))


def at_rest(values: Array, series: Series, joint: int, marks: Iterable[Mark]) -> float | None:
    """The median of `values` [T, D] while nothing moved."""
    rows = [series.during(mark.begin, mark.end) for mark in marks if mark.kind == plan.REST and mark.joint == -1]
    found = np.concatenate([values[row, joint] for row in rows]) if rows else np.array([])
    return number(np.median(found)) if len(found) else None


def pose_at_rest(series: Series, marks: Iterable[Mark]) -> Array | None:
    """Where all joints stood, [D] deg or %; None where nothing was seen."""
    marks = tuple(marks)
    found = [at_rest(series.measured, series, joint, marks) for joint in range(len(series.joints))]
    known = [value for value in found if value is not None]
    return np.array(known) if len(known) == len(found) else None


def lowest(values: Array, series: Series, joint: int, marks: Iterable[Mark]) -> float | None:
    """The lowest of `values` [T, D] in the ticks of `marks`; a single reading is a glitch, the second lowest counts."""
    rows = [series.during(mark.begin, mark.end) for mark in marks]
    found = np.concatenate([values[row, joint] for row in rows]) if rows else np.array([])
    found = np.sort(found[np.isfinite(found)])
    return float(found[min(1, len(found) - 1)]) if len(found) else None


def number(value: float | np.floating[npt.NBitBase]) -> float | None:
    """`value`, None where it is no number."""
    return float(value) if np.isfinite(value) else None


def _of(marks: Iterable[Mark], joint: int, *kinds: str) -> list[Mark]:
    return [mark for mark in marks if mark.joint == joint and mark.kind in kinds]


def _means(values: Array, series: Series, marks: Sequence[Mark]) -> list[float]:
    rows = [series.during(mark.begin, mark.end) for mark in marks]
    return [float(values[row].mean()) for row in rows if row.stop > row.start]
