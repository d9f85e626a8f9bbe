"""Where objects stand so that an errand can be done: apart from each other, in reach, the way of a push free.

Takes objects without places, gives them with. Chance comes as a generator. Knows nothing of light and cameras.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from policy_spec.errors import SimError, sentence
from sim.arms import ArmModel
from sim.scene import Thing
from sim.tasks.judges import SIDES
from sim.tasks.table import Task

Array = npt.NDArray[np.float64]
Area = tuple[tuple[float, float], tuple[float, float]]
Random = np.random.Generator
AREA = ((0.14, 0.28), (-0.16, 0.16))  # m: x (of an SO-101) and y, where distractors and perturbed objects may stand
APART = 0.065  # m between the middles of two objects
CLEAR = 0.050  # m from the line of a push to another object's middle
TRIES = 300  # of a whole table
DRAWS = 30  # of one object on it


@dataclass(frozen=True, slots=True)
class Ground:
    """What a place must suit."""

    task: Task
    side: str  # of a push
    arm: ArmModel
    beyond: bool  # the first object stands outside the task's area


def place_things(rng: Random, things: tuple[Thing, ...], ground: Ground) -> tuple[Thing, ...]:
    """The objects where they may stand; the first is the one meant. Raises SimError if there is no room."""
    for _ in range(TRIES):
        found = _try(rng, things, ground)
        if found is not None:
            return found
    raise SimError(sentence(f"places for {len(things)} objects", expected="room on the table", do="draw fewer"))


def _try(rng: Random, things: tuple[Thing, ...], ground: Ground) -> tuple[Thing, ...] | None:
    """One table; None where an object found no room."""
    points: list[Array] = []
    for number in range(len(things)):
        draws = (_point(rng, ground, number) for _ in range(DRAWS))
        point = next((p for p in draws if p is not None and _free(p, points, ground)), None)
        if point is None:
            return None
        points.append(point)
    return tuple(
        dataclasses.replace(thing, position=(float(point[0]), float(point[1])))
        for thing, point in zip(things, points, strict=True)
    )


def _free(point: Array, others: list[Array], ground: Ground) -> bool:
    if any(np.linalg.norm(point - other) < APART for other in others):
        return False
    return not (others and ground.side) or _to_way(point, others[0], ground) >= CLEAR


def _point(rng: Random, ground: Ground, number: int) -> Array | None:
    wide = ground.beyond and number == 0
    spans = _out(AREA if wide or number >= ground.task.things else ground.task.area, ground)
    point = np.array([rng.uniform(*span) for span in spans])
    inside = all(low <= value <= high for value, (low, high) in zip(point, _out(ground.task.area, ground), strict=True))
    if (wide and inside) or not _in_reach(point, ground):
        return None
    if ground.side and number == 0:
        reach = ground.task.corridor
        ends = [point + np.array(SIDES[ground.side]) * share * reach for share in (-0.5, 0.8)]
        if not all(_in_reach(end, ground) for end in ends):
            return None
    return point


def _out(area: Area, ground: Ground) -> Area:
    """An area before an SO-101, as far out as this arm's."""
    (near, far), across = area
    return (near + ground.arm.work.shift, far + ground.arm.work.shift), across


def _in_reach(point: Array, ground: Ground) -> bool:
    low, high = ground.arm.work.reach
    return bool(low <= np.hypot(point[0] - ground.arm.work.axis, point[1]) <= high)


def _to_way(point: Array, start: Array, ground: Ground) -> float:
    """m from a point to the line on which the object will be pushed and the gripper comes."""
    side = np.array(SIDES[ground.side])
    along = np.clip((point - start) @ side, -0.6 * ground.task.corridor, ground.task.corridor)
    return float(np.linalg.norm(point - start - along * side))
