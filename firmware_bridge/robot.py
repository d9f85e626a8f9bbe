"""One row of the table of arms: all that the rooms around a driver need to know about a kind of arm. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Robot:
    """Poses and limits in rad, grippers 0..1; per-joint tuples are in the order of `joints`."""

    name: str
    family: str  # "sts" or "damiao": who opens it, see drivers.py
    joints: tuple[str, ...]
    grippers: tuple[str, ...]
    limits: Mapping[str, tuple[float, float]]  # mechanical, beside the servos' own range
    park_pose: tuple[float, ...]  # a pose in which it rests without torque
    home_pose: tuple[float, ...]  # where `armside home` goes
    speed: tuple[float, ...]  # rad/s, gripper 1/s: the fastest that a joint is commanded
    acceleration: tuple[float, ...]  # rad/s^2, gripper 1/s^2
    lead: tuple[float, ...]  # rad, gripper 1: how far a command may run ahead of the measured joint
    rate_hz: float  # default rate of the bridge's ticks
    hang_s: float  # a bridge that does not tick for longer is taken as dead by its supervisor
    holds_alone: bool  # servos keep their goal and torque when the host is silent
    bodies: tuple[str, ...]  # names in kinematics/bodies.py, one for each arm of the robot, left to right
    servos: object  # the family's own row
