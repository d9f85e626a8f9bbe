"""YAM arms as a table: motors, gains, limits, poses. Data, and which motor a chosen gripper brings.

Gains, gravity factors and joint ranges are i2rt's; speed, acceleration and lead are ours: a joint lags its
command by kd v / kp under MIT damping (0.13 rad at 2 rad/s with 80 and 5), so the lead must exceed that.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from firmware_bridge.damiao import grippers
from firmware_bridge.robot import Robot


@dataclass(frozen=True, slots=True)
class Motor:
    """One motor of an arm, in joint order."""

    bus: int  # which of the robot's buses
    id: int
    type: str  # motors.py
    kp: float  # N m/rad
    kd: float  # N m s/rad
    direction: int = 1  # joint = direction * (motor - zero)
    gravity: float = 1.0  # factor on the model's torque
    cap: float = 0.0  # N m: a larger feed-forward torque is our mistake, not the arm's weight


@dataclass(frozen=True, slots=True)
class DamiaoServos:
    """The family's own row: every motor of the robot, with the usual gripper's."""

    motors: tuple[Motor, ...]
    buses: tuple[str, ...]  # names of the buses, "" of a single one


_JOINTS = ("joint_1", "joint_2", "joint_3", "joint_4", "joint_5", "joint_6", "gripper")
_LIMITS = (
    (-2.61799, 3.14159),
    (0.0, 3.66519),
    (0.0, 3.14159),
    (-1.69297, 1.57080),
    (-1.57080, 1.57080),
    (-2.09440, 2.09440),
    (0.0, 1.0),
)
_PARK = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # folded: rests on itself without torque
_HOME = (0.0, 1.05, 1.0, -0.6, 0.0, 0.0, 0.7)  # raised, as the released policy's recordings begin
_SPEED = (2.0, 2.0, 2.0, 2.5, 2.5, 2.5, 3.0)
_ACCELERATION = (20.0, 20.0, 20.0, 25.0, 25.0, 25.0, 30.0)  # from full speed to a stand in 0.1 s
_LEAD = (0.3, 0.3, 0.3, 0.6, 0.6, 0.6, 0.3)
_TYPES = ("DM4340",) * 3 + ("DM4310",) * 3
_KD = (5.0, 5.0, 5.0, 1.5, 1.5, 1.5)
_GRAVITY = (1.0, 1.1, 1.1, 1.2, 1.0, 1.0)
_CAPS = (20.0, 25.0, 25.0, 8.0, 8.0, 8.0)  # i2rt raises beyond 25 N m
_KP = {"yam": (80.0, 80.0, 80.0, 10.0, 10.0, 10.0)}


def _motors(bus: int, kp: tuple[float, ...]) -> tuple[Motor, ...]:
    arm = [Motor(bus, i + 1, _TYPES[i], kp[i], _KD[i], 1, _GRAVITY[i], _CAPS[i]) for i in range(6)]
    usual = grippers.find(grippers.USUAL)
    return (*arm, Motor(bus, 7, usual.motor, usual.kp, usual.kd))


def _yam(name: str, kind: str, sides: tuple[str, ...]) -> Robot:
    prefixes = [f"{side}_" if side else "" for side in sides]
    joints = tuple(prefix + joint for prefix in prefixes for joint in _JOINTS)
    count = len(sides)
    motors = tuple(motor for bus in range(count) for motor in _motors(bus, _KP[kind]))
    return Robot(
        name=name,
        family="damiao",
        joints=joints,
        grippers=tuple(f"{prefix}gripper" for prefix in prefixes),
        limits=dict(zip(joints, _LIMITS * count, strict=True)),
        park_pose=_PARK * count,
        home_pose=_HOME * count,
        speed=_SPEED * count,
        acceleration=_ACCELERATION * count,
        lead=_LEAD * count,
        rate_hz=200.0,
        hang_s=0.25,  # the motors damp after 400 ms of silence
        holds_alone=False,
        bodies=(kind,) * count,
        servos=DamiaoServos(motors, sides),
    )


ROBOTS = {"yam": _yam("yam", "yam", ("",)), "bi-yam": _yam("bi-yam", "yam", ("left", "right"))}


def servos_of(robot: Robot) -> DamiaoServos:
    """The family's own row of `robot`."""
    assert isinstance(robot.servos, DamiaoServos)
    return robot.servos


def motors_of(robot: Robot, gripper: grippers.Gripper) -> tuple[Motor, ...]:
    """The robot's motors in joint order, with those of `gripper` at its grippers."""
    rows = zip(robot.joints, servos_of(robot).motors, strict=True)
    return tuple(
        dataclasses.replace(motor, type=gripper.motor, kp=gripper.kp, kd=gripper.kd)
        if name in robot.grippers
        else motor
        for name, motor in rows
    )


def stops_of(robot: Robot) -> tuple[tuple[float, float], ...]:
    """Where a virtual arm's joints end: a little outside the ranges, rad; grippers 0..1."""
    slack = math.radians(2.0)
    return tuple(
        (robot.limits[name][0] - slack, robot.limits[name][1] + slack) if name not in robot.grippers else (0.0, 1.0)
        for name in robot.joints
    )
