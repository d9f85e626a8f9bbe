"""One step of a hand on its way: from where it is measured to be, towards where it shall be, no faster than allowed.

Takes an arm's joints as measured and a place for a point of its gripper; gives goals for its joints one control
period later. No memory, but of the last goals of an arm whose joints lag: whoever is pushed off the path is brought
back from where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.arms import ArmModel
from sim.ik import Hold, Solver, upright

Array = npt.NDArray[np.float64]
PERIOD_S = 0.1  # of control: 10 Hz
JOINT_SPEED = 1.6  # rad/s, well under what the bridge allows (3)
GRIPPER_SPEED = 1.5  # 1/s
ARRIVED = 0.006  # m
ALIGNED = 0.06  # rad


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where the gripper shall go."""

    point: Array  # [3] m
    turn: float  # rad: its x axis from the direction away from the base
    gripper: float  # 0..1
    speed: float  # m/s


class Stepper:
    """Steps of one arm."""

    def __init__(self, arm: ArmModel) -> None:
        self.solver = Solver(arm)
        self.slack = arm.work.lags / 10  # m that it may be beside its path for being late
        self._lags, self._said = arm.work.lags, np.full(len(self.solver.body.joints), np.inf)
        self.joints = self.solver.body.joints
        move = self.solver.body.links[1]
        self._axis = np.array(move.position[:2])  # of the joint that turns the arm about the vertical
        self._gripper = self.joints.index(self.solver.body.gripper)

    def pose(self, positions: Mapping[str, float]) -> Array:
        """[D] in the body's order."""
        return np.array([positions[name] for name in self.joints])

    def way(self, point: Array) -> float:
        """rad: the direction from the base's axis to a point, about the vertical."""
        x, y = point[:2] - self._axis
        return float(np.arctan2(y, x))

    def hold(self, positions: Mapping[str, float], tool: Array) -> Hold:
        return self.solver.hold(self.pose(positions), tool)

    def step(self, positions: Mapping[str, float], place: Place, tool: Array) -> dict[str, float]:
        """Goals of all joints one period on."""
        q = self.pose(positions)
        q = np.where(np.abs(self._said - q) < self._lags, self._said, q)  # where it is on its way to
        here = self.solver.hold(q, tool)
        missing = place.point - here.point
        share = min(1.0, place.speed * PERIOD_S / (float(np.linalg.norm(missing)) + 1e-9))
        point = here.point + share * missing
        goal = self.solver.solve(Hold(point, upright(self.way(place.point), place.turn)), tool, q)
        change = goal - q
        change *= min(1.0, JOINT_SPEED * PERIOD_S / (float(np.abs(change).max()) + 1e-9))
        goal = q + change
        allowed = GRIPPER_SPEED * PERIOD_S
        goal[self._gripper] = q[self._gripper] + np.clip(place.gripper - q[self._gripper], -allowed, allowed)
        self._said = goal
        return dict(zip(self.joints, goal.tolist(), strict=True))

    def arrived(self, positions: Mapping[str, float], place: Place, tool: Array) -> bool:
        """Whether the gripper is where `place` says."""
        here = self.hold(positions, tool)
        heading = np.arctan2(here.attitude[1, 0], here.attitude[0, 0])  # a hand that leans may still look the right way
        off = float(heading) - self.way(place.point) - place.turn
        off = abs((off + np.pi) % (2 * np.pi) - np.pi)
        return float(np.linalg.norm(here.point - place.point)) < ARRIVED + self.slack / 3 and off < ALIGNED
