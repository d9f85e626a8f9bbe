"""The part of a velocity that does not run into anything: so that an arm on the table still moves along it. Pure.

For each constraint c of the workspace the velocity v is turned until c shrinks no faster than it may be used
up in SOON seconds, down to MARGIN: grad c . v >= -(c - MARGIN) / SOON. It only proposes: whether its velocity
is allowed is decided like that of any other (motion.py). What is inside something is never pushed out unasked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from firmware_bridge.safety.motion import Clearance

Array = npt.NDArray[np.float64]
MARGIN = 1e-4  # m that are kept while sliding: a straight step along something round comes nearer to it
SOON = 0.1  # s
NEAR = 0.05  # m: what is further away does not matter to one tick
_STEP = 1e-5  # rad, gripper 0..1: for the gradient; boxes have edges, and a longer step looks past them
_PASSES = 4  # corners need more than one


def slide(velocity: Array, position: Array, workspace: Clearance) -> Array:
    """`velocity` [D] turned along what is near at `position` [D]; one call of `clearance` with D + 1 poses."""
    free = workspace.clearance(np.vstack([position, position + _STEP * np.eye(len(position))]))
    near = np.flatnonzero(free[0] < NEAR)
    gradients = (free[1:, near] - free[0, near]).T / _STEP  # [N, D] m/rad
    slowest = -np.where(free[0, near] < 0.0, 0.0, free[0, near] - MARGIN) / SOON  # [N] m/s
    turned = velocity.copy()
    for _ in range(_PASSES):
        for gradient, least in zip(gradients, slowest, strict=True):
            lacking, size = least - gradient @ turned, gradient @ gradient
            if lacking > 0.0 and size > 0.0:
                turned += gradient * (lacking / size)
    return turned
