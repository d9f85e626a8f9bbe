"""Statistics of actions, as norm_stats.json has them: 1st and 99th percentile; of a gripper its whole range.

Takes every action [F, D]; gives `action_stats`. A gripper rests at its ends most of the time, so that percentiles cut
into the few actions that move it: it is scaled by its least and greatest value instead. Knows nothing of datasets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from policy_spec.errors import UsageError, sentence

MODE = "q01_q99"  # of policy_spec.norm
_WORD = "gripper"


def grippers(names: Sequence[str], given: Sequence[str] | None) -> tuple[str, ...]:
    """Dimensions that are grippers: those given, or those whose name says so. Raises UsageError on unknown ones."""
    if given is None:
        return tuple(name for name in names if _WORD in name.lower())
    unknown = [name for name in given if name not in names]
    if unknown:
        raise UsageError(sentence("--gripper", expected=f"one of {', '.join(names)}", got=", ".join(unknown)))
    return tuple(name for name in names if name in given)


def action_stats(frames: np.ndarray, names: Sequence[str], apart: Sequence[str]) -> dict[str, Any]:
    """q01, q99, min, max, mean, std, mask and names of every dimension; q01 and q99 of those `apart` are their min and
    max.
    """
    values = frames.astype(np.float64)
    low, high = values.min(axis=0), values.max(axis=0)
    first, last = np.quantile(values, [0.01, 0.99], axis=0)
    whole = np.isin(list(names), list(apart))
    rows = {
        "q01": np.where(whole, low, first),
        "q99": np.where(whole, high, last),
        "min": low,
        "max": high,
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
    }
    return {**{k: v.tolist() for k, v in rows.items()}, "mask": [True] * len(names), "names": list(names)}
