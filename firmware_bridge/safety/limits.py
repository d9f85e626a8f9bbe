"""What a target may be: finite, of the right size, inside the limits, not too far from the last one.

Pure. Takes targets in rad (gripper 0..1), gives the nearest allowed target and what was cut. The rate
limit is against the last command, and scales all joints together, so that the path keeps its direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ChunkRefused, ConfigError, sentence

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


@dataclass(frozen=True, slots=True, eq=False)
class Limited:
    """An allowed target, and what was cut from the wish: "elbow_flex upper", "speed elbow_flex"."""

    target: Array  # [D]
    clamped: tuple[str, ...]


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


def limit(wish: Array, last: Array, limits: Limits, dt: float) -> Limited:
    """The target to command instead of `wish`, `dt` s after `last` was commanded, all [D].

    A `last` outside the bounds (an arm that was moved by hand) is led back at the speed limit.
    Raises ChunkRefused for a wrong size, NaN or infinity.
    """
    if wish.shape != last.shape or not np.isfinite(wish).all():
        raise ChunkRefused(sentence("a target", expected=f"{last.shape[0]} finite numbers", got=wish.tolist()))
    inside = np.clip(wish, limits.lower, limits.upper)
    clamped = [f"{limits.joints[index]} upper" for index in np.flatnonzero(wish > limits.upper)]
    clamped += [f"{limits.joints[index]} lower" for index in np.flatnonzero(wish < limits.lower)]
    step = inside - last
    ratio = np.abs(step) / (limits.speed * dt)
    worst = int(ratio.argmax())
    if ratio[worst] > 1.0:
        clamped.append(f"speed {limits.joints[worst]}")
        inside = last + step / ratio[worst]
    return Limited(inside, tuple(clamped))
