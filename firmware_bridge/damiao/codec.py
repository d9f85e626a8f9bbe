"""Motor angles to joints and back, with the turn that each motor woke up in. Pure.

joint = direction * (motor - zero) for the arm, (motor - closed) / (open - closed) for a gripper. A motor
counts turns from where it was switched on, so its angle may be off by a whole turn; which turn is chosen
once, at connect, by the joint's range. Knows nothing of frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.damiao.calibration import Calibration, GripperCalibration
from firmware_bridge.damiao.robots import Motor
from firmware_bridge.errors import ServoWrong, sentence
from firmware_bridge.robot import Robot

Array = npt.NDArray[np.float64]
TURN = 2 * math.pi
MARGIN = 0.25  # rad beyond its range in which a joint may be found (i2rt's own margin)
GRIPPER_MARGIN = 0.5  # rad of the motor: soft ends


@dataclass(frozen=True, slots=True, eq=False)
class Codec:
    """`offset` and `turns` in motor rad, `scale` in joint units per motor rad, [D] each."""

    offset: Array
    scale: Array
    grippers: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, robot: Robot, calibration: Calibration, motors: Sequence[Motor]) -> Codec:
        offset, scale = [], []
        for (_, row), motor in zip(calibration.joints, motors, strict=True):
            if isinstance(row, GripperCalibration):
                offset.append(row.closed)
                scale.append(1.0 / (row.open - row.closed))
            else:
                offset.append(row.zero)
                scale.append(float(motor.direction))
        return cls(np.array(offset), np.array(scale), np.array([name in robot.grippers for name in robot.joints]))

    def to_joint(self, motor: Array) -> Array:
        """Motor rad [D] to rad, gripper 0..1."""
        joint: Array = (motor - self.offset) * self.scale
        return joint

    def to_motor(self, joint: Array) -> Array:
        """Rad, gripper 0..1 [D] to motor rad."""
        motor: Array = joint / self.scale + self.offset
        return motor

    def to_motor_torque(self, joint: Array) -> Array:
        """N m at the joints [D] to N m at the motors; a gripper carries none."""
        torque: Array = np.where(self.grippers, 0.0, joint * np.sign(self.scale))
        return torque

    def turned(self, turns: Sequence[int]) -> Codec:
        """The same with whole turns [D] taken off the motors' angles."""
        return Codec(self.offset + TURN * np.asarray(turns, np.float64), self.scale, self.grippers)


def find_turns(motor: Array, codec: Codec, robot: Robot) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Whole turns [D] that bring the motors' angles [D] into the joints' ranges, and remarks for people.

    Raises ServoWrong for a joint that no turn brings in, or two do. A gripper whose way is longer than a turn
    can be in two: it is taken as it reads, and a remark says so; its force is limited either way.
    """
    turns, remarks = [], []
    for index, name in enumerate(robot.joints):
        fits = [turn for turn in (0, 1, -1, 2, -2) if _inside(motor[index] - TURN * turn, index, codec, robot)]
        gripper = bool(codec.grippers[index])
        if len(fits) == 1 or (gripper and fits):
            turns.append(fits[0])
            if fits[0]:
                remarks.append(f"{name}: its motor woke up {fits[0]:+d} turns away; taken into account")
            if len(fits) > 1:
                remarks.append(f"{name}: may stand a whole turn of its motor off; close it once and look")
            continue
        low, high = robot.limits[name]
        got = f"{float(codec.to_joint(motor)[index]):.3f} rad"
        do = "fold the arm to its home pose by hand and switch it off and on; if it stays, set this motor's zero there"
        what = f"{name} stands outside its range" if not fits else f"{name} may stand in {len(fits)} turns"
        raise ServoWrong(sentence(what, expected=f"{low:.3f}..{high:.3f} (+-{MARGIN})", got=got, do=do))
    return tuple(turns), tuple(remarks)


def _inside(motor: float, index: int, codec: Codec, robot: Robot) -> bool:
    value = (motor - codec.offset[index]) * codec.scale[index]
    low, high = robot.limits[robot.joints[index]]
    margin = GRIPPER_MARGIN * abs(codec.scale[index]) if codec.grippers[index] else MARGIN
    return bool(low - margin <= value <= high + margin)
