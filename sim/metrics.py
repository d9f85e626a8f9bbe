"""What papers report of trials: success with its interval, completion time, path length. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

NORMAL_95 = 1.959963984540054  # two-sided


def wilson(successes: int, trials: int, z: float = NORMAL_95) -> tuple[float, float]:
    """Wilson's score interval of a share: (low, high), 0..1; (0, 1) without trials.

    E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209: unlike the normal one it stays within 0..1 and says something
    at 0 and at all.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, z * z / trials
    middle = (share + square / 2) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials)) / (1 + square)
    # At 0 and at all the end is exact; rounding must not move it.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    return low, 1.0 if successes == trials else min(1.0, middle + half)


def path_length(poses: Sequence[Mapping[str, float]], joints: Iterable[str]) -> float:
    """rad: the way of `joints` through `poses`, each joint's own added up (leave grippers out)."""
    pairs = list(itertools.pairwise(poses))
    return float(sum(abs(after[name] - before[name]) for name in joints for before, after in pairs))


def percent(share: float) -> str:
    """ "97.5 %" """
    return f"{100 * share:.1f} %"
