"""What an arm's links must not touch: the table, keep-out boxes, each other, the other arm. Pure numpy.

Takes poses [K, D]; gives the free space of each constraint [K, C] in m, negative inside, with a name that a
person understands: "floor: gripper", "keep-out shelf: lower_arm", "self: gripper with base", "arms:
left_gripper with right_link3". It is the `Clearance` of motion.py. Links are boxes (kinematics/): what is
far is told by a quick lower bound, what is near by the separating axis theorem, so that a positive number
never is more than the distance. Knows nothing of motion; which pairs are looked at: meetings.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.kinematics.bodies import Placed, bodies_of
from firmware_bridge.kinematics.chain import forward
from firmware_bridge.kinematics.link import Box
from firmware_bridge.robot import Robot
from firmware_bridge.safety.meetings import KEEP_OUT, feet_of, grouped, meetings, parts_of
from firmware_bridge.safety.shapes import Boxes, separation

Array = npt.NDArray[np.float64]
NEAR = 0.02  # m by the quick bound, below which the boxes themselves are looked at


class Workspace:
    """The constraints of one robot; made by `make_workspace`."""

    def __init__(self, arms: Sequence[Placed], floor: float | None, keep_out: Mapping[str, Box], own: bool) -> None:
        self._arms = arms
        feet = feet_of(arms) if floor is not None else []
        lows = grouped((f"floor: {foot.name}", (index, index)) for index, foot in enumerate(feet))
        links = sum(len(arm.body.links) for arm in arms)
        self._feet = np.zeros((links, 4, len(feet)))  # a foot's height is linear in the third rows of all links
        for index, foot in enumerate(feet):
            self._feet[foot.row, :, index] = *foot.point, 1.0
        self._table = np.array([(floor or 0.0) + foot.skin for foot in feet])
        self._low_starts = lows.starts

        parts = parts_of(arms, keep_out)
        pairs = grouped(meetings(arms, parts, own))
        moving = [part for part in parts if part.arm != KEEP_OUT]
        solid = parts[len(moving) :]
        self._rows = np.array([part.row for part in moving], dtype=np.intp)  # [B]
        self._frames = np.stack([part.frame for part in moving])  # [B, 4, 4]
        self._solid = np.array([part.frame[:3, 3] for part in solid]).reshape(-1, 3).T[:, :, None]  # [3, N, 1]
        self._half = np.array([part.half for part in parts]).T  # [3, B + N]
        self._first, self._second, self._starts = pairs.first, pairs.second, pairs.starts
        # For the quick bound a link's box is a sphere; a keep-out box may be large and flat, and is itself.
        boxes = np.array([part.arm == KEEP_OUT for part in parts])
        radius = np.sqrt((self._half**2).sum(axis=0)) * ~boxes
        self._radii = (radius[self._first] + radius[self._second])[:, None]
        self._core = (self._half * boxes)[:, self._second, None]
        self._names = lows.names + pairs.names

    @property
    def names(self) -> tuple[str, ...]:
        """[C] what each column of `clearance` means."""
        return self._names

    def clearance(self, poses: Array) -> Array:
        """Free space of `poses` [K, D] (rad, gripper 0..1) as [K, C] in m; negative = inside. NaN stays NaN."""
        moved = [forward(arm.body, poses[:, arm.columns], arm.base) for arm in self._arms]
        links = np.concatenate(moved, axis=1)
        columns = [np.empty((len(poses), 0))]
        if len(self._table):
            heights = links[:, :, 2].reshape(len(poses), -1) @ self._feet.reshape(-1, len(self._table)) - self._table
            columns.append(np.minimum.reduceat(heights, self._low_starts, axis=1))
        if len(self._first):
            free = self._apart(self._place(links), len(poses))
            columns.append(np.minimum.reduceat(free, self._starts, axis=0).T)
        return np.concatenate(columns, axis=1)

    def inside(self, pose: Array) -> tuple[str, ...]:
        """What `pose` [D] is inside of, and how deep: "floor: gripper by 0.012 m"."""
        free = self.clearance(pose[None])[0]
        return tuple(f"{name} by {-value:.3f} m" for name, value in zip(self._names, free, strict=True) if value < 0)

    def _place(self, links: Array) -> Boxes:
        """All boxes in all poses [K, L, 4, 4], with index box * K + pose."""
        count, size, moving = len(links), self._half.shape[1], len(self._rows)
        frames = np.matmul(links[:, self._rows], self._frames).transpose(2, 3, 1, 0)  # [4, 4, B, K]
        centres = np.empty((3, size, count))
        centres[:, :moving] = frames[:3, 3]
        centres[:, moving:] = self._solid
        axes = np.empty((3, 3, size, count))
        axes[:, :, :moving] = frames[:3, :3]
        axes[:, :, moving:] = np.eye(3)[:, :, None, None]
        return Boxes(centres.reshape(3, -1), axes.reshape(3, 3, -1), np.repeat(self._half, count, axis=1))

    def _apart(self, boxes: Boxes, count: int) -> Array:
        """[P, K] for every pair of boxes."""
        centres = boxes.centres.reshape(3, -1, count)
        squared = np.zeros((len(self._first), count))
        for axis in range(3):  # arrays of one axis are small enough for the allocator to reuse
            gap = np.abs(centres[axis].take(self._second, axis=0) - centres[axis].take(self._first, axis=0))
            gap = np.maximum(gap - self._core[axis], 0.0)
            squared += gap * gap
        free: Array = np.sqrt(squared) - self._radii
        pair, pose = np.nonzero(free < NEAR)
        first = boxes.take(self._first[pair] * count + pose)
        free[pair, pose] = separation(first, boxes.take(self._second[pair] * count + pose))
        return free


def make_workspace(
    robot: Robot,
    floor: float | None,
    keep_out: Mapping[str, tuple[float, ...]],
    self_collision: bool,
    bases: Mapping[str, tuple[float, ...]],
) -> Workspace:
    """The workspace of `robot` as configured, in the first arm's base frame, m.

    `floor`: height of the table, None for none. `keep_out`: name -> x0 y0 z0 x1 y1 z1. `bases`: see
    `bodies_of`; without them the arms of a robot with two are not compared with each other, and the floor
    is below each arm's own base. A base does not move: it is no part of floor and keep-out.
    Raises ConfigError.
    """
    arms = bodies_of(robot, bases)
    if floor is not None and not math.isfinite(floor):
        raise ConfigError(sentence("floor", expected="a height in m above the arm's base, or none", got=floor))
    if keep_out and any(arm.base is None for arm in arms):
        do = "say where both arms stand: bases.left and bases.right, x y z yaw"
        raise ConfigError(sentence(f"keep_out of {robot.name}", expected="bases", got="none", do=do))
    return Workspace(arms, floor, {name: _solid(name, row) for name, row in keep_out.items()}, self_collision)


def _solid(name: str, row: tuple[float, ...]) -> Box:
    expected = "six finite numbers x0 y0 z0 x1 y1 z1 in m, the first three below the last three"
    numbers = np.array(row, dtype=np.float64)
    if numbers.shape != (6,) or not np.isfinite(numbers).all() or not (numbers[:3] < numbers[3:]).all():
        raise ConfigError(sentence(f"keep_out {name}", expected=expected, got=row))
    x, y, z = ((numbers[:3] + numbers[3:]) / 2).tolist()
    along, across, up = ((numbers[3:] - numbers[:3]) / 2).tolist()
    return Box((x, y, z), (along, across, up))
