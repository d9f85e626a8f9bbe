"""Where joints may be and how fast they may be commanded: the tightest of all tables that limit them. Pure.

Takes the servos' own range and tables of limits, rad (gripper 0..1); knows nothing of motion, see motion.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ConfigError, sentence

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """Bounds of each joint. Raises ConfigError when no position is left."""

    joints: tuple[str, ...]
    lower: Array  # [D] rad, gripper 0..1
    upper: Array  # [D]
    speed: Array  # [D] rad/s, gripper 1/s

    def __post_init__(self) -> None:
        for name, low, high in zip(self.joints, self.lower, self.upper, strict=True):
            if not low < high:
                raise ConfigError(
                    sentence(
                        f"limits of {name}",
                        expected="lower < upper",
                        got=(float(low), float(high)),
                        do="widen the configured limits or calibrate the joint again",
                    )
                )


def tightest(
    joints: Sequence[str], bounds: tuple[Array, Array], rows: Sequence[Mapping[str, tuple[float, float]]]
) -> tuple[Array, Array]:
    """The intersection of `bounds` with each table of `rows`. Raises ConfigError for an unknown joint."""
    lower, upper = bounds[0].copy(), bounds[1].copy()
    for row in rows:
        for name, (low, high) in row.items():
            if name not in joints:
                raise ConfigError(sentence("limits of an unknown joint", expected=", ".join(joints), got=name))
            index = list(joints).index(name)
            lower[index], upper[index] = max(lower[index], low), min(upper[index], high)
    return lower, upper
