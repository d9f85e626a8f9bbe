"""Two policies on the same scenes: the difference of their success rates, with its interval. Pure.

Pairs tell more than two rates: scenes that both do, or neither, say nothing of the difference. Interval: Bonett and
Price, Journal of Educational and Behavioral Statistics 37 (2012) 479: adjusted Wald for paired binomial data.
Chance: McNemar's exact test on the pairs that differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Difference:
    """Success of the second minus that of the first, in parts of 1."""

    pairs: int
    only_first: int
    only_second: int
    value: float
    low: float  # of the 95 % interval
    high: float
    chance: float  # probability of a split as uneven or more, were both equal


def difference(first: Sequence[bool], second: Sequence[bool], z: float = Z95) -> Difference:
    """Of successes [N] each, in the same order of scenes. Raises ValueError for lengths that differ, or are 0."""
    if len(first) != len(second) or not first:
        raise ValueError(f"pairs of {len(first)} and {len(second)}")
    pairs = len(first)
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    p_first, p_second = (only_first + 1) / (pairs + 2), (only_second + 1) / (pairs + 2)
    middle = p_second - p_first
    half = z * math.sqrt((p_first + p_second - middle**2) / (pairs + 2))
    return Difference(
        pairs=pairs,
        only_first=only_first,
        only_second=only_second,
        value=(only_second - only_first) / pairs,
        low=max(-1.0, middle - half),
        high=min(1.0, middle + half),
        chance=mcnemar(only_first, only_second),
    )


def mcnemar(one: int, other: int) -> float:
    """Two-sided probability of such a split of `one + other` coin tosses; 1 where nothing differs."""
    tosses = one + other
    tail = sum(math.comb(tosses, k) for k in range(min(one, other) + 1)) / 2**tosses
    return min(1.0, 2.0 * tail)
