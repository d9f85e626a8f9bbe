"""Where an arm's links are and how far from the table and from boxes: a slow second opinion, for the soak's judge.

Takes a robot's links and boxes (data of kinematics/), gives clearances in m, one number per link and obstacle. Its
arithmetic shares no code with the bridge: transforms by Rodrigues' formula one link at a time, boxes by the fifteen
separating axes in plain Python. Knows nothing of limits, modes or time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.outlines import SKIN
from firmware_bridge.robot import Robot

Array = npt.NDArray[np.float64]
Bases = Mapping[str, tuple[float, ...]]


def _turn(axis: Sequence[float], angle: float) -> Array:
    """Rotation [3, 3] about a unit axis."""
    x, y, z = axis
    c, s, d = math.cos(angle), math.sin(angle), 1.0 - math.cos(angle)
    return np.array(
        [
            [c + x * x * d, x * y * d - z * s, x * z * d + y * s],
            [y * x * d + z * s, c + y * y * d, y * z * d - x * s],
            [z * x * d - y * s, z * y * d + x * s, c + z * z * d],
        ]
    )


def _of_quaternion(quat: Sequence[float]) -> Array:
    w, *v = quat
    long = math.hypot(*v)
    if long == 0.0:
        return np.eye(3)
    return _turn([part / long for part in v], 2.0 * math.atan2(long, w))


class Space:
    """The arms of one robot among what they must stay clear of."""

    def __init__(self, robot: Robot, floor: float | None, keep_out: Mapping[str, tuple[float, ...]], bases: Bases):
        self._bodies = [BODIES[name] for name in robot.bodies]
        self._floor = floor
        self._solid = {name: np.array(row).reshape(2, 3) for name, row in keep_out.items()}
        self._bases = [np.eye(4) for _ in self._bodies]
        if bases:
            (x0, y0, z0, yaw0), (x1, y1, z1, yaw1) = bases["left"], bases["right"]
            c, s = math.cos(yaw0), math.sin(yaw0)
            dx, dy = x1 - x0, y1 - y0
            second = np.eye(4)
            second[:3, :3] = _turn((0.0, 0.0, 1.0), yaw1 - yaw0)
            second[:3, 3] = (c * dx + s * dy, c * dy - s * dx, z1 - z0)
            self._bases[1] = second

    def clearance(self, pose: Array) -> dict[str, float]:
        """Free space of `pose` [D] by "link: obstacle", m; negative = inside."""
        free: dict[str, float] = {}
        at = 0
        for number, (body, base) in enumerate(zip(self._bodies, self._bases, strict=True)):
            count = len(body.joints)
            values = dict(zip(body.joints, pose[at : at + count].tolist(), strict=True))
            at += count
            for link, frame in self._links(body, values, base):
                for what, value in self._of_link(link, frame):
                    name = f"{number} {link.name}: {what}"
                    free[name] = min(value, free.get(name, math.inf))
        return free

    def _links(self, body: Any, values: Mapping[str, float], base: Array) -> list[tuple[Any, Array]]:
        frames: dict[str, Array] = {"": base}
        moved = []
        for link in body.links:
            fixed, free = np.eye(4), np.eye(4)
            fixed[:3, :3], fixed[:3, 3] = _of_quaternion(link.quat), link.position
            if link.move is not None:
                value = link.move.scale * values[link.move.joint] + link.move.offset
                if link.move.slide:
                    free[:3, 3] = np.array(link.move.axis) * value
                else:
                    free[:3, :3] = _turn(link.move.axis, value)
            frames[link.name] = frames[link.parent] @ fixed @ free
            if link.parent:
                moved.append((link, frames[link.name]))
        return moved

    def _of_link(self, link: Any, frame: Array) -> list[tuple[str, float]]:
        boxes = []
        for box in link.boxes:
            local = np.eye(4)
            local[:3, :3], local[:3, 3] = _of_quaternion(box.quat), box.centre
            boxes.append((frame @ local, box.half))
        found = []
        if self._floor is not None:
            heights = [float(frame[2, :3] @ np.array(point) + frame[2, 3]) - SKIN for point in link.outline]
            if not heights:
                heights = [
                    float(at[2, 3] + at[2, :3] @ (np.array(signs) * half))
                    for at, half in boxes
                    for signs in itertools.product((-1.0, 1.0), repeat=3)
                ]
            found.append(("floor", min(heights) - self._floor))
        for name, (low, high) in self._solid.items():
            centre, half = ((low + high) / 2).tolist(), ((high - low) / 2).tolist()
            found += [(name, _apart(at, size, centre, half)) for at, size in boxes]
        return found


def _apart(frame: Array, half: Sequence[float], centre: Sequence[float], solid: Sequence[float]) -> float:
    """Largest gap of a turned box from an upright one along the fifteen axes; negative = depth, m."""
    columns = [frame[:3, k].tolist() for k in range(3)]
    gap = [frame[k, 3] - centre[k] for k in range(3)]
    upright = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    axes = columns + upright + [_cross(one, other) for one in columns for other in upright]
    best = -math.inf
    for axis in axes:
        long = math.sqrt(_dot(axis, axis))
        if long < 1e-6:
            continue
        reach = sum(abs(_dot(axis, columns[k])) * half[k] + abs(axis[k]) * solid[k] for k in range(3))
        best = max(best, (abs(_dot(axis, gap)) - reach) / long)
    return best


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
