"""What an arm's links must not touch: the table, keep-out boxes, each other, the other arm. Pure numpy.

Takes poses [K, D]; gives the free space of each constraint [K, C] in m, negative inside, with a name that a
person understands: "floor: gripper", "keep-out shelf: lower_arm", "self: gripper with base", "arms:
left_gripper with right_link3". It is the `Clearance` of motion.py. Links are boxes (kinematics/); what is
farther than NEAR is told by a quick lower bound, all else by the separating axis theorem, so that a positive
number never is more than the distance. Knows nothing of motion.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.kinematics.bodies import Placed, bodies_of
from firmware_bridge.kinematics.chain import forward, rotation
from firmware_bridge.kinematics.link import Box, Link
from firmware_bridge.robot import Robot
from firmware_bridge.safety.shapes import Boxes, above, separation

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
NEAR = 0.02  # m by the quick bound, below which the boxes themselves are looked at


@dataclass(frozen=True, slots=True)
class _Part:
    """A box among all boxes of a workspace, and what it belongs to."""

    arm: int  # -1: a keep-out box
    link: int  # within the arm
    name: str  # of the link, or of the keep-out box
    fixed: bool
    reach: float  # m that it may be from its arm's base, at most


class Workspace:
    """The constraints of one robot; made by `make_workspace`."""

    def __init__(self, arms: tuple[Placed, ...], floor: float | None, keep_out: Mapping[str, Box], own: bool) -> None:
        self._arms = arms
        self._floor = floor
        parts, links, local, half = _boxes_of(arms)
        bases = {index: arm.base for index, arm in enumerate(arms) if arm.base is not None}
        self._links = np.array(links, dtype=np.intp)  # [B] row among the links of all arms
        self._local = np.stack(local)  # [B, 4, 4]
        fixed = np.array([box.centre for box in keep_out.values()]).reshape(-1, 3)
        self._fixed = fixed.T[:, :, None]  # [3, N, 1]
        parts += [_Part(-1, -1, name, True, 0.0) for name in keep_out]
        self._half = np.array(half + [box.half for box in keep_out.values()]).T  # [3, B + N]
        moving = [index for index, part in enumerate(parts) if not part.fixed]
        floors = _grouped((f"floor: {parts[i].name}", (i, i)) for i in moving if floor is not None)
        pairs = _grouped(_pairs(arms, parts, bases, own))
        self._low, self._low_starts = floors.first, floors.starts
        self._first, self._second, self._starts = pairs.first, pairs.second, pairs.starts
        # For the quick bound a link's box is a sphere; a keep-out box may be large and flat, and is itself.
        solid = np.arange(self._half.shape[1]) >= len(links)
        radius = np.sqrt((self._half**2).sum(axis=0)) * ~solid
        self._sum = (radius[self._first] + radius[self._second])[:, None]
        self._core = (self._half * solid)[:, self._second, None]
        self._names = floors.names + pairs.names

    @property
    def names(self) -> tuple[str, ...]:
        """[C] what each column of `clearance` means."""
        return self._names

    def clearance(self, poses: Array) -> Array:
        """Free space of `poses` [K, D] (rad, gripper 0..1) as [K, C] in m; negative = inside. NaN stays NaN."""
        count = len(poses)
        boxes = self._place(poses)
        rows = []
        if len(self._low):
            part = boxes.take((self._low[:, None] * count + np.arange(count)).ravel())
            heights = above(part, self._floor or 0.0).reshape(-1, count)
            rows.append(np.minimum.reduceat(heights, self._low_starts, axis=0))
        if len(self._first):
            rows.append(np.minimum.reduceat(self._apart(boxes, count), self._starts, axis=0))
        return np.concatenate(rows).T if rows else np.empty((count, 0))

    def inside(self, pose: Array) -> tuple[str, ...]:
        """What `pose` [D] is inside of, with how deep: "floor: gripper by 0.012 m"."""
        free = self.clearance(pose[None])[0]
        return tuple(f"{name} by {-value:.3f} m" for name, value in zip(self._names, free, strict=True) if value < 0)

    def _place(self, poses: Array) -> Boxes:
        """All boxes in all poses, index box * K + pose."""
        count = len(poses)
        eye = np.eye(4)
        worlds = [forward(arm.body, poses[:, arm.columns], eye if arm.base is None else arm.base) for arm in self._arms]
        links = worlds[0] if len(worlds) == 1 else np.concatenate(worlds, axis=1)
        frames = np.matmul(links[:, self._links], self._local).transpose(2, 3, 1, 0)  # [4, 4, B, K]
        size = self._half.shape[1]
        centres = np.empty((3, size, count))
        axes = np.zeros((3, 3, size, count))
        moving = len(self._links)
        centres[:, :moving] = frames[:3, 3]
        centres[:, moving:] = self._fixed
        axes[:, :, :moving] = frames[:3, :3]
        for edge in range(3):
            axes[edge, edge, moving:] = 1.0
        half = np.repeat(self._half, count, axis=1)
        return Boxes(centres.reshape(3, -1), axes.reshape(3, 3, -1), half)

    def _apart(self, boxes: Boxes, count: int) -> Array:
        """[P, K] for every pair of boxes."""
        centres = boxes.centres.reshape(3, -1, count)
        gap = np.maximum(np.abs(centres[:, self._second] - centres[:, self._first]) - self._core, 0.0)
        free: Array = np.sqrt((gap * gap).sum(axis=0)) - self._sum
        pair, pose = np.nonzero(free < NEAR)
        first = boxes.take(self._first[pair] * count + pose)
        free[pair, pose] = separation(first, boxes.take(self._second[pair] * count + pose))
        return free


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Pairs of boxes that stand together by the constraint they belong to."""

    names: tuple[str, ...]  # [C]
    starts: Index  # [C] where each begins
    first: Index  # [P]
    second: Index  # [P]


def _grouped(rows: Iterator[tuple[str, tuple[int, int]]]) -> _Groups:
    groups: dict[str, list[tuple[int, int]]] = {}
    for name, pair in rows:
        groups.setdefault(name, []).append(pair)
    pairs = np.array([pair for group in groups.values() for pair in group], dtype=np.intp).reshape(-1, 2)
    sizes = [len(group) for group in groups.values()]
    starts = np.array(list(itertools.accumulate(sizes, initial=0))[:-1], dtype=np.intp)
    return _Groups(tuple(groups), starts, pairs[:, 0], pairs[:, 1])


def _boxes_of(arms: tuple[Placed, ...]) -> tuple[list[_Part], list[int], list[Array], list[tuple[float, ...]]]:
    parts: list[_Part] = []
    rows: list[int] = []
    local: list[Array] = []
    half: list[tuple[float, ...]] = []
    offset = 0
    for number, arm in enumerate(arms):
        for index, link in enumerate(arm.body.links):
            for box in link.boxes:
                parts.append(_Part(number, index, arm.called(link.name), not link.parent, _reach(arm, link, box)))
                frame = np.eye(4)
                frame[:3, :3] = rotation(box.quat)
                frame[:3, 3] = box.centre
                rows.append(offset + index)
                local.append(frame)
                half.append(box.half)
        offset += len(arm.body.links)
    return parts, rows, local, half


def _reach(arm: Placed, link: Link, box: Box) -> float:
    """The farthest that any point of `box` comes from the arm's base, however the arm stands."""
    far = math.hypot(*box.centre) + math.hypot(*box.half)
    while True:
        slide = link.move is not None and link.move.slide
        far += math.hypot(*link.position) + (abs(link.move.scale) if slide and link.move else 0.0)
        if not link.parent:
            return far
        link = arm.body.links[arm.body.names.index(link.parent)]


def _pairs(
    arms: tuple[Placed, ...], parts: list[_Part], bases: Mapping[int, Array], own: bool
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each pair of boxes that can meet, by its constraint's name."""
    for a, b in itertools.combinations(range(len(parts)), 2):
        one, two = parts[a], parts[b]
        if one.fixed and two.fixed:
            continue
        if two.arm < 0:
            if one.arm in bases:
                yield f"keep-out {two.name}: {one.name}", (a, b)
        elif one.arm == two.arm:
            if own and _may_meet(arms[one.arm], one.link, two.link):
                yield f"self: {two.name} with {one.name}", (a, b)
        elif own and one.arm in bases and two.arm in bases:
            distance = float(np.linalg.norm(bases[two.arm][:3, 3] - bases[one.arm][:3, 3]))
            if distance < one.reach + two.reach:
                yield f"arms: {one.name} with {two.name}", (a, b)


def _may_meet(arm: Placed, one: int, two: int) -> bool:
    """Whether two links of an arm are looked at: not neighbours, which a joint keeps, nor those of `Body.never`."""
    first, second = arm.body.links[one], arm.body.links[two]
    neighbours = first.name in (second.name, second.parent) or second.name == first.parent
    return not neighbours and (first.name, second.name) not in arm.body.never


def make_workspace(
    robot: Robot,
    floor: float | None,
    keep_out: Mapping[str, tuple[float, ...]],
    self_collision: bool,
    bases: Mapping[str, tuple[float, ...]],
) -> Workspace:
    """The workspace of `robot` as configured, in the first arm's base frame, m.

    `floor`: height of the table, None for none. `keep_out`: name -> x0 y0 z0 x1 y1 z1. `bases`: see
    `bodies_of`; without them the arms of a robot with two are not compared with each other. A base does
    not move: it is no part of floor and keep-out. Raises ConfigError.
    """
    arms = bodies_of(robot, bases)
    if floor is not None and not math.isfinite(floor):
        raise ConfigError(sentence("floor", expected="a height in m above the arm's base, or none", got=floor))
    if keep_out and any(arm.base is None for arm in arms):
        do = "say where both arms stand: bases.left and bases.right, x y z yaw"
        raise ConfigError(sentence(f"keep_out of {robot.name}", expected="bases", got="none", do=do))
    return Workspace(arms, floor, {name: _keep_out(name, row) for name, row in keep_out.items()}, self_collision)


def _keep_out(name: str, row: tuple[float, ...]) -> Box:
    expected = "six numbers x0 y0 z0 x1 y1 z1 in m, each first below its second"
    if len(row) != 6 or not all(math.isfinite(number) for number in row):
        raise ConfigError(sentence(f"keep_out {name}", expected=expected, got=row))
    low, high = np.array(row[:3]), np.array(row[3:])
    if not (low < high).all():
        raise ConfigError(sentence(f"keep_out {name}", expected=expected, got=row))
    x, y, z = ((low + high) / 2).tolist()
    across, along, up = ((high - low) / 2).tolist()
    return Box((x, y, z), (across, along, up))
