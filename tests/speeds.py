"""How fast something was commanded, from the numbers of the ticks: a busy machine skips some, between two statuses.

Takes commanded positions [N, D] and the tick of each [N]; knows nothing of who told them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def fastest(commanded: npt.ArrayLike, ticks: Sequence[int] | npt.NDArray[np.integer], rate_hz: float) -> float:
    """The greatest way per s of any joint between two neighbours, rad/s (gripper 1/s)."""
    seconds = np.diff(np.asarray(ticks)) / rate_hz
    assert (seconds > 0).all(), "ticks only go up"
    ways = np.abs(np.diff(np.asarray(commanded, np.float64), axis=0))
    return float((ways / seconds[:, None]).max())
