"""From goals to MIT commands: gains, weight, the gripper's force limit, lowering and damping. Pure.

Takes motor angles [D] and torques [D], gives one command per motor. Knows nothing of frames or time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.damiao.frames import Mit
from firmware_bridge.damiao.grippers import Gripper
from firmware_bridge.damiao.robots import Motor
from firmware_bridge.errors import ServoWrong, sentence

Array = npt.NDArray[np.float64]
DAMPED_PART = 0.8  # of the weight that a damped stop carries: the arm sinks slowly instead of falling


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """What does not change: the motors in joint order and which of them are grippers of which type."""

    motors: tuple[Motor, ...]
    grippers: npt.NDArray[np.bool_]  # [D]
    gripper: Gripper
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The newest feedback, motor rad and rad/s, [D] each."""

    position: Array
    velocity: Array


def follow(drive: Drive, goal: Array, weight: Array, seen: Seen, support: float) -> list[Mit]:
    """Commands towards `goal`, motor rad [D], carrying `weight`, N m at the motors [D].

    `support` below 1 fades out what holds the arm, under full damping; grippers keep their grip. A
    gripper's target is drawn so near to where it is that it never presses with more than its grip torque:
    kp (target - p) - kd v stays within it.
    """
    commands = []
    for index, motor in enumerate(drive.motors):
        target = float(goal[index])
        if drive.grippers[index]:
            here, speed = float(seen.position[index]), float(seen.velocity[index])
            grip = drive.gripper.grip_torque(here)
            up, down = (grip + motor.kd * speed) / motor.kp, (grip - motor.kd * speed) / motor.kp
            target = min(here + max(0.0, up), max(here - max(0.0, down), target))
            commands.append(Mit(target, 0.0, motor.kp, motor.kd, 0.0))
        else:
            commands.append(Mit(target, 0.0, motor.kp * support, motor.kd, float(weight[index]) * support))
    return commands


def damp(drive: Drive, weight: Array, seen: Seen) -> list[Mit]:
    """Commands that only brake, carrying most of `weight`, N m at the motors [D]."""
    return [
        Mit(float(seen.position[index]), 0.0, 0.0, motor.kd, DAMPED_PART * float(weight[index]))
        for index, motor in enumerate(drive.motors)
    ]


def check_weight(drive: Drive, weight: Array) -> None:
    """Raises ServoWrong for a torque that no weight of the arm explains."""
    caps = np.array([motor.cap for motor in drive.motors])
    wrong = ~(np.abs(weight) <= caps + 1e-9)  # NaN is wrong too
    if wrong.any():
        index = int(wrong.argmax())
        what = f"feed-forward torque of {drive.names[index]}"
        expected, got = f"at most {caps[index]:g} N m", f"{weight[index]:.2f} N m"
        raise ServoWrong(sentence(what, expected=expected, got=got, do="report this: the arm's model is wrong"))


def bounded_weight(drive: Drive, weight: Array) -> Array:
    """`weight` [D] cut to the caps, NaN to 0: for holding, which must go on whatever the model says."""
    caps = np.array([motor.cap for motor in drive.motors])
    bounded: Array = np.clip(np.nan_to_num(weight, nan=0.0), -caps, caps)
    return bounded
