"""Which way the gripper goes when a joint turns: what a person checks after calibrating, and a test of signs.

A mirrored joint survives every round trip of units; only a look at the gripper finds it. Takes a body;
gives the tip's way in m and in words, seen from behind the arm's base. Pure.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from firmware_bridge.kinematics.chain import tcp
from firmware_bridge.kinematics.link import Body

Array = npt.NDArray[np.float64]
STEP = math.radians(10.0)
STILL = 0.005  # m: a tip that moves less turns in place
SHARE = 0.4  # of the way, that a direction must have to be named
WORDS = (("back", "forward"), ("right", "left"), ("down", "up"))  # along x, y, z: negative, positive


def tip_moves(body: Body, joint: str, q: Array | None = None, step: float = STEP) -> Array:
    """The tool centre point's way [3] in m when `joint` turns by `step` from `q` [D], or from `Body.straight`."""
    before, after = _tips(body, joint, q, step)
    moved: Array = after[:3, 3] - before[:3, 3]
    return moved


def direction(body: Body, joint: str, q: Array | None = None) -> str:
    """Where the gripper goes when `joint` turns the positive way: "forward, down", "clockwise", "opens"."""
    if joint == body.gripper:
        return "opens"
    moved = tip_moves(body, joint, q)
    length = float(np.linalg.norm(moved))
    if length >= STILL:
        named = zip(WORDS, moved.tolist(), strict=True)
        return ", ".join(words[way > 0] for words, way in named if abs(way) >= SHARE * length)
    before, after = _tips(body, joint, q, STEP)
    turn = after[:3, :3] @ before[:3, :3].T
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    ahead = before[:3, :3] @ np.asarray(body.tcp)  # from the wrist to the tip: as one looks from behind
    return "clockwise" if axis @ ahead > 0 else "counter-clockwise"


def _tips(body: Body, joint: str, q: Array | None, step: float) -> tuple[Array, Array]:
    poses = np.tile(np.asarray(body.straight if q is None else q, dtype=np.float64), (2, 1))
    poses[1, body.joints.index(joint)] += step
    before, after = tcp(body, poses)
    return before, after
