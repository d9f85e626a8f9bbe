"""Which parts of a robot can meet what: made once, from its arms and keep-out boxes. Pure.

Gives the boxes around all links, the points that may reach the table, and the pairs of boxes to look at,
each with the name of its constraint. Knows nothing of poses; workspace.py measures.

Left out, because they cannot meet: neighbours (their joint keeps them apart), pairs in `Body.never`, what is
out of reach of each other however the arms stand, and two things that do not move.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.kinematics.bodies import Placed
from firmware_bridge.kinematics.chain import rotation
from firmware_bridge.kinematics.link import Box, Link, Vector
from firmware_bridge.kinematics.outlines import SKIN
from firmware_bridge.safety.shapes import corners

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
KEEP_OUT = -1  # in place of an arm's number


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A box, and what it belongs to."""

    name: str  # of the link, or of the keep-out box
    arm: int  # or KEEP_OUT
    link: int  # within its arm
    row: int  # of its link among those of all arms
    frame: Array  # [4, 4] in its link
    half: Vector
    fixed: bool
    reach: float  # m that any point of it may be from its arm's base


@dataclass(frozen=True, slots=True)
class Foot:
    """A point of a link that may reach the table."""

    name: str  # of the link
    row: int  # of the link among those of all arms
    point: Vector
    skin: float  # m by which the link may be thicker than its points


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Pairs of indices that stand together by the constraint they belong to."""

    names: tuple[str, ...]  # [C]
    starts: Index  # [C] where each begins
    first: Index  # [P]
    second: Index  # [P]


def grouped(rows: Iterator[tuple[str, tuple[int, int]]]) -> Groups:
    """Rows of (name, pair), by name in the order in which the names first came."""
    groups: dict[str, list[tuple[int, int]]] = {}
    for name, pair in rows:
        groups.setdefault(name, []).append(pair)
    pairs = np.array([pair for group in groups.values() for pair in group], dtype=np.intp).reshape(-1, 2)
    sizes = [len(group) for group in groups.values()]
    starts = np.array(list(itertools.accumulate(sizes, initial=0))[:-1], dtype=np.intp)
    return Groups(tuple(groups), starts, pairs[:, 0], pairs[:, 1])


def parts_of(arms: Sequence[Placed], keep_out: Mapping[str, Box]) -> list[Part]:
    """The boxes of all links in the order of arms and links, then the keep-out boxes."""
    parts = []
    for number, row, index, link in _links(arms):
        arm = arms[number]
        for box in link.boxes:
            reach = _reach(arm, link, box)
            fixed = not link.parent
            parts.append(Part(arm.called(link.name), number, index, row, _frame(box), box.half, fixed, reach))
    for name, box in keep_out.items():
        parts.append(Part(name, KEEP_OUT, 0, 0, _frame(box), box.half, True, 0.0))
    return parts


def feet_of(arms: Sequence[Placed]) -> list[Foot]:
    """The outline of each moving link, or the corners of its boxes where it has none."""
    feet = []
    for number, row, _, link in _links(arms):
        points: list[Vector] = list(link.outline)
        if not points:
            boxes = [corners(_frame(box), np.array(box.half)) for box in link.boxes]
            points = [(x, y, z) for x, y, z in np.concatenate(boxes).tolist()]
        skin = SKIN if link.outline else 0.0
        if link.parent:
            feet += [Foot(arms[number].called(link.name), row, point, skin) for point in points]
    return feet


def meetings(arms: Sequence[Placed], parts: Sequence[Part], own: bool) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each pair of parts that can meet, by its constraint's name. `own`: arms among themselves, too."""
    for (a, one), (b, two) in itertools.combinations(enumerate(parts), 2):
        if one.fixed and two.fixed:
            continue
        if two.arm == KEEP_OUT:
            yield f"keep-out {two.name}: {one.name}", (a, b)
        elif own and one.arm == two.arm and _links_meet(arms[one.arm], one.link, two.link):
            yield f"self: {two.name} with {one.name}", (a, b)
        elif own and one.arm != two.arm and _arms_meet(arms, one, two):
            yield f"arms: {one.name} with {two.name}", (a, b)


def _links_meet(arm: Placed, one: int, two: int) -> bool:
    first, second = arm.body.links[one], arm.body.links[two]
    return first.name not in (second.name, second.parent) and (first.name, second.name) not in arm.body.never


def _arms_meet(arms: Sequence[Placed], one: Part, two: Part) -> bool:
    first, second = arms[one.arm].base, arms[two.arm].base
    if first is None or second is None:
        return False
    return float(np.linalg.norm(second[:3, 3] - first[:3, 3])) < one.reach + two.reach


def _links(arms: Sequence[Placed]) -> Iterator[tuple[int, int, int, Link]]:
    """(arm, row among all links, index within the arm, link)."""
    row = itertools.count()
    for number, arm in enumerate(arms):
        for index, link in enumerate(arm.body.links):
            yield number, next(row), index, link


def _frame(box: Box) -> Array:
    frame = np.eye(4)
    frame[:3, :3] = rotation(box.quat)
    frame[:3, 3] = box.centre
    return frame


def _reach(arm: Placed, link: Link, box: Box) -> float:
    """The sum of all lengths from the base to the far corner of `box`: no pose takes it farther."""
    far = math.hypot(*box.centre) + math.hypot(*box.half)
    while True:
        far += math.hypot(*link.position)
        if link.move is not None and link.move.slide:
            far += abs(link.move.scale) + abs(link.move.offset)
        if not link.parent:
            return far
        link = arm.body.links[arm.body.names.index(link.parent)]
