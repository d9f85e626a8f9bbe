"""Inverse kinematics: joints that bring a point of the gripper to a place, in an attitude as near as the arm can.

Damped least squares (Levenberg-Marquardt) on firmware_bridge's forward kinematics; the Jacobian is by differences,
all columns in one call. The place comes first, the attitude second: an arm of five joints has not all of them. Takes an
`ArmModel` of one arm; metres and radians in its base's frame. Pure numpy; knows nothing of MuJoCo, paths and time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.chain import forward
from firmware_bridge.robots import find
from sim.arms import ArmModel

Array = npt.NDArray[np.float64]
ATTITUDE = 0.01  # m that one rad of wrong attitude weighs
DAMPING = 1e-5
DIFFERENCE = 1e-6  # rad
ITERATIONS = 40
CLOSE = 1e-5  # m: near enough to stop
MARGIN = 0.02  # rad that a solution stays short of a joint's end
LARGEST = 0.4  # rad of one iteration


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    """Where a point of the gripper shall be, or is."""

    point: Array  # [3] m
    attitude: Array  # [3, 3] the tip link's axes


class Solver:
    """The inverse kinematics of one arm."""

    def __init__(self, arm: ArmModel) -> None:
        self.body = BODIES[arm.body]
        robot = find(arm.robot)
        ends = []
        for name, row in zip(self.body.joints, robot.joints, strict=True):
            move = next(link.move for link in self.body.links if link.move and link.move.joint == name)
            motor = arm.motors[name]
            low, high = sorted(((motor.low - move.offset) / move.scale, (motor.high - move.offset) / move.scale))
            near, far = robot.limits.get(row, (low, high))
            ends.append((max(low, near) + MARGIN, min(high, far) - MARGIN))
        self.moving = [i for i, name in enumerate(self.body.joints) if name != self.body.gripper]
        self.low, self.high = np.array(ends)[self.moving].T
        self._tip = self.body.names.index(self.body.tip)

    def hold(self, q: Array, tool: Array) -> Hold:
        """Where `tool` [3] m, a point of the tip link, is at the pose `q` [D]."""
        frame = forward(self.body, q[None])[0, self._tip]
        return Hold(frame[:3, 3] + frame[:3, :3] @ tool, frame[:3, :3])

    def solve(self, goal: Hold, tool: Array, q: Array) -> Array:
        """A pose [D] near `q` [D] whose `tool` is at `goal`, within the joints' ends; the gripper keeps its value.

        Where the goal is out of reach: the nearest it comes to. The first residual is the caller's to look at
        (`hold` of the result).
        """
        q = q.copy()
        q[self.moving] = np.clip(q[self.moving], self.low, self.high)
        damping = DAMPING
        error, jacobian = self._linear(goal, tool, q)
        for _ in range(ITERATIONS):
            if np.linalg.norm(error) < CLOSE:
                break
            square = jacobian.T @ jacobian + damping * np.eye(len(self.moving))
            step = np.linalg.solve(square, jacobian.T @ error)
            step *= min(1.0, LARGEST / (np.abs(step).max() + 1e-12))
            trial = q.copy()
            trial[self.moving] = np.clip(q[self.moving] + step, self.low, self.high)
            if np.abs(trial - q).max() < 1e-7:
                break
            tried, slope = self._linear(goal, tool, trial)
            if np.linalg.norm(tried) < np.linalg.norm(error):
                q, error, jacobian, damping = trial, tried, slope, max(damping / 5.0, DAMPING)
            else:
                damping *= 10.0
        return q

    def _linear(self, goal: Hold, tool: Array, q: Array) -> tuple[Array, Array]:
        """What is missing [6] (m, and rad times ATTITUDE) and how the joints change it, [6, moving]."""
        poses = np.tile(q, (1 + len(self.moving), 1))
        poses[1 + np.arange(len(self.moving)), self.moving] += DIFFERENCE
        frames = forward(self.body, poses)[:, self._tip]
        missing = np.empty((len(poses), 6))
        missing[:, :3] = goal.point - (frames[:, :3, 3] + frames[:, :3, :3] @ tool)
        turned = np.cross(frames[:, :3, :3], goal.attitude[None], axis=1).sum(axis=2)
        missing[:, 3:] = 0.5 * ATTITUDE * turned
        return missing[0], (missing[0] - missing[1:]).T / DIFFERENCE


def upright(way: float, turn: float, tilt: float = 0.0) -> Array:
    """[3, 3]: a gripper that looks down, its x axis turned by `turn` from the direction `way`, about the vertical.

    `tilt` rad: it leans so that it looks outwards, away from the base, in the plane of `way`.
    """
    return _about_z(way) @ _about_y(-tilt) @ _about_z(turn)


def _about_z(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _about_y(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
