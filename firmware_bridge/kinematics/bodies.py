"""The arms whose links we know, by name, and where the arms of one robot stand.

A new arm is a row here and a file of its own. Takes a `Robot` row and the bases of a configuration; gives one
`Placed` for each of its arms. Knows nothing of what an arm may touch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.kinematics.chain import placed
from firmware_bridge.kinematics.link import Body
from firmware_bridge.kinematics.so100 import SO100
from firmware_bridge.kinematics.so101 import SO101
from firmware_bridge.kinematics.yam import YAM
from firmware_bridge.robot import Robot

Array = npt.NDArray[np.float64]
BODIES: dict[str, Body] = {body.name: body for body in (SO101, SO100, YAM)}
SIDES = ("left", "right")  # of a robot with two bodies, in the order of `Robot.bodies`


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """One arm of a robot."""

    body: Body
    side: str  # "" for the only one, else "left" or "right"
    columns: slice  # of a pose [D] of the robot
    base: Array | None  # [4, 4] in the first arm's base frame; None: not known

    def called(self, link: str) -> str:
        """The link's name for people: "gripper", "left_gripper"."""
        return f"{self.side}_{link}" if self.side else link


def bodies_of(robot: Robot, bases: Mapping[str, tuple[float, ...]]) -> tuple[Placed, ...]:
    """The arms of `robot`, left to right, with their bases where `bases` says them.

    `bases`: "left" and "right" -> (x, y, z, yaw) in m and rad, both in one upright frame; the result is
    relative to the first. One arm stands at the origin and takes none. Raises ConfigError.
    """
    bodies = [_body(robot, name) for name in robot.bodies]
    sides = SIDES if len(bodies) == len(SIDES) else ("",) * len(bodies)
    if len(bodies) not in (1, len(SIDES)) or sum(len(body.joints) for body in bodies) != len(robot.joints):
        wanted = f"one or two bodies with {len(robot.joints)} joints in all"
        raise ConfigError(sentence(f"the row of {robot.name}", expected=wanted, got=robot.bodies))
    frames = _frames(robot, sides, bases)
    arms, column = [], 0
    for body, side, frame in zip(bodies, sides, frames, strict=True):
        arms.append(Placed(body, side, slice(column, column + len(body.joints)), frame))
        column += len(body.joints)
    return tuple(arms)


def _body(robot: Robot, name: str) -> Body:
    if name not in BODIES:
        raise ConfigError(sentence(f"a body of {robot.name}", expected=" or ".join(BODIES), got=name))
    return BODIES[name]


def _frames(robot: Robot, sides: tuple[str, ...], bases: Mapping[str, tuple[float, ...]]) -> list[Array | None]:
    named = [side for side in sides if side]
    if sorted(bases) != sorted(named) and bases:
        expected = " and ".join(named) if named else "none: it has one arm, whose base is the origin"
        raise ConfigError(sentence(f"bases of {robot.name}", expected=expected, got=", ".join(sorted(bases))))
    for side, row in bases.items():
        if len(row) != 4 or not all(math.isfinite(number) for number in row):
            raise ConfigError(sentence(f"base {side}", expected="four numbers x y z yaw, m and rad", got=row))
    if not bases:
        return [np.eye(4)] + [None] * (len(sides) - 1)
    frames = [placed(tuple(bases[side][:3]), bases[side][3]) for side in sides]  # type: ignore[arg-type]
    return [np.linalg.inv(frames[0]) @ frame for frame in frames]
