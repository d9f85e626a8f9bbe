"""How to arrive and how to stop, when a velocity may change by `acceleration * dt` in a tick. Pure arithmetic.

A tick commands p' = p + v' dt. Braking keeps the direction of v and takes the same part of it away in
each tick, so its path is a straight line; T = max |v_j| / a_j is the time that it takes. After k ticks
of braking from v the command has gone on by v dt (k - k (k + 1) dt / (2 T)), k < T / dt.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
SAMPLES = 14  # points looked at along a braking path
_FAR = 1e12  # ticks^2: further than this, the speed limit decides anyway
_ROUNDING = 1e-9


def approach(way: Array, acceleration: Array, dt: float) -> Array:
    """The fastest velocity [D] along `way` [D] from which braking ends exactly at its end, not beyond.

    In units of the hardest-pressed joint, M = max |way_j| / a_j / dt^2 is left to go. A tick at x followed
    by braking x - 1, x - 2, ... covers N x - N (N - 1) / 2 with N = ceil(x); solved for x here. Taken
    again after each tick it gives x - 1: the way is driven in a straight line and ends at rest.
    """
    hardest = float((np.abs(way) / acceleration).max())
    left = min(hardest / dt**2, _FAR)
    ticks = max(1, math.ceil((math.sqrt(1.0 + 8.0 * left) - 1.0) / 2.0))
    if ticks == 1:
        return way / dt
    return way * ((left / ticks + (ticks - 1) / 2) * dt / hardest)


def braked(velocity: Array, acceleration: Array, dt: float) -> Array:
    """The velocity [D] after one tick of braking."""
    lasts = _lasts(velocity, acceleration)
    if lasts <= dt * (1.0 + _ROUNDING):
        return np.zeros_like(velocity)
    return velocity * (1.0 - dt / lasts)


def trail(velocity: Array, acceleration: Array, dt: float) -> Array:
    """Where braking from `velocity` leads: factors [K] of it, s; the last is where it rests. K <= SAMPLES.

    Each is a tick of the braking, all of them where they are few enough. Empty when one tick stops it.
    """
    lasts = _lasts(velocity, acceleration)
    count = math.ceil(lasts / dt - _ROUNDING) - 1
    ticks = np.arange(1.0, count + 1.0) if count <= SAMPLES else np.rint(np.linspace(1.0, count, SAMPLES))
    return dt * ticks * (1.0 - dt * (ticks + 1.0) / (2.0 * max(lasts, dt)))


def _lasts(velocity: Array, acceleration: Array) -> float:
    return float((np.abs(velocity) / acceleration).max())
