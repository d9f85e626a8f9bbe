"""Is a robot's state where the policy's data were: joint by joint, and the nearest state that is.

Takes a norm tag's `Normalizer` of the state and values in the same units; gives a `Place` for each dimension.
A policy that is shown a state far outside its data answers with something, and the arm then moves by it. Pure;
knows nothing of joints' names, frames or SI units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from policy_spec.errors import ObservationError, sentence
from policy_spec.norm import EPS, Normalizer

Float64 = NDArray[np.float64]

STDS = 2.33  # as far from the mean as q01 and q99 are in a normal distribution
INSET = 0.05  # widths inside the range, where a start pose goes that must leave where it is
# Norm mode -> how people call its range, and how many widths beyond each end still count as inside. Two of a hundred
# of the policy's own states lie beyond q01..q99, so a tenth of the width is allowed; beyond q10..q90 lies a fifth of
# them, and the margin that reaches as far (in a normal distribution) is 0.6.
_KINDS = {
    "q01_q99": ("q01..q99", 0.1),
    "q10_q90": ("q10..q90", 0.6),
    "min_max": ("min..max", 0.1),
    "mean_std": (f"mean +- {STDS} std", 0.1),
}


@dataclass(frozen=True, slots=True)
class Range:
    """What the policy's data say of one dimension, in its units. Where nothing is known, `why` says why."""

    low: float  # NaN: not known
    high: float
    kind: str = "q01..q99"
    margin: float = 0.0  # units beyond each end that still count as inside
    why: str = ""

    @property
    def known(self) -> bool:
        return not self.why

    @property
    def width(self) -> float:
        return self.high - self.low

    def inside(self, value: float) -> bool:
        """With the margin. What is not known excludes nothing; a NaN is inside of nothing."""
        if not self.known:
            return not math.isnan(value)
        return self.low - self.margin <= value <= self.high + self.margin


@dataclass(frozen=True, slots=True)
class Place:
    """One dimension of a state and its range."""

    value: float
    range: Range

    @property
    def inside(self) -> bool:
        return self.range.inside(self.value)

    @property
    def beyond(self) -> float:
        """Units beyond the nearer end of the range itself: below 0 under it, above 0 over it, 0 in it."""
        if not self.range.known:
            return 0.0
        return min(self.value - self.range.low, 0.0) + max(self.value - self.range.high, 0.0)

    @property
    def widths(self) -> float:
        """`beyond` in widths of the range."""
        return self.beyond / self.range.width if self.range.known else 0.0


def ranges_of(state: Normalizer) -> tuple[Range, ...]:
    """[D] the range of each dimension.

    A masked-out dimension reaches the policy as it is, in the same units: its statistics count like any other's.
    """
    nothing = "the policy's statistics say nothing of it (norm mode none)"
    if state.mode not in _KINDS:
        return (Range(math.nan, math.nan, why=nothing),) * state.dim
    kind, share = _KINDS[state.mode]
    first, second = np.asarray(state.first, np.float64), np.asarray(state.second, np.float64)
    if state.mode == "mean_std":
        first, second = first - STDS * second, first + STDS * second
    zero = state.zero or (False,) * state.dim
    return tuple(_range(low, high, kind, share, same) for low, high, same in zip(first, second, zero, strict=True))


def _range(low: float, high: float, kind: str, share: float, same: bool) -> Range:
    if same or high - low <= EPS:
        return Range(float(low), float(high), kind, why="it never changed in the policy's data")
    return Range(float(low), float(high), kind, float(share * (high - low)))


def places(values: ArrayLike, ranges: tuple[Range, ...]) -> tuple[Place, ...]:
    """[D] `values` in the policy's units beside their ranges. Raises ObservationError for another width."""
    array = np.asarray(values, np.float64)
    if array.shape != (len(ranges),):
        raise ObservationError(sentence("a state", expected=f"{len(ranges)} values", got=list(array.shape)))
    return tuple(Place(float(value), row) for value, row in zip(array, ranges, strict=True))


def nearest_inside(values: ArrayLike, ranges: tuple[Range, ...]) -> Float64:
    """[D] the nearest state inside: what is inside stays, what is outside goes just within the range itself."""
    out = [
        min(max(place.value, place.range.low + INSET * place.range.width), place.range.high - INSET * place.range.width)
        if place.range.known and not place.inside
        else place.value
        for place in places(values, ranges)
    ]
    return np.asarray(out, np.float64)
