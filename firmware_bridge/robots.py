"""The arms as a table: joints, ids, model, park pose, and the calibration of the virtual one.

A new arm of STS3215 servos is a row. Knows nothing of buses or time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.sts.calibration import Calibration, JointCalibration
from firmware_bridge.sts.registers import MODEL_STS3215

SHIPPED = "shipped"


@dataclass(frozen=True, slots=True)
class Robot:
    """One row; poses and limits in rad, grippers 0..1."""

    name: str
    joints: tuple[str, ...]
    ids: tuple[int, ...]
    grippers: tuple[str, ...]
    model: int
    limits: Mapping[str, tuple[float, float]]  # beside the servos' own range
    park_pose: tuple[float, ...]
    virtual: tuple[JointCalibration, ...]
    settings: Mapping[str, int] = field(default_factory=dict)  # every servo's EEPROM at connect
    gripper_settings: Mapping[str, int] = field(default_factory=dict)


_SO_JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
# LeRobot's so_follower.configure: a softer P, and a gripper that does not burn on a grasped object.
_SO_SETTINGS = {
    "Return_Delay_Time": 0,
    "Operating_Mode": 0,
    "P_Coefficient": 16,
    "I_Coefficient": 0,
    "D_Coefficient": 32,
}
_SO_GRIPPER = {"Max_Torque_Limit": 500, "Protection_Current": 250, "Overload_Torque": 25}
# Ranges of the CAD model around a half-turn zero; offsets as real arms have them, of either sign.
_SO_VIRTUAL = (
    JointCalibration(1, 0, 1290, 796, 3298),
    JointCalibration(2, 0, -1013, 910, 3184),
    JointCalibration(3, 0, 1177, 946, 3148),
    JointCalibration(4, 0, -292, 966, 3128),
    JointCalibration(5, 0, 81, 0, 4095),
    JointCalibration(6, 0, 1420, 2030, 3281),
)
# wrist_roll is calibrated as a whole turn; the cable is not that patient (URDF and MJCF of SO-101).
_SO_LIMITS = {"wrist_roll": (-2.79253, 2.84121)}
_SO_PARK = (0.0, -1.70, 1.62, 1.10, 0.0, 0.02)  # folded back over its base, low


def _so_arm(name: str) -> Robot:
    ids = tuple(range(1, len(_SO_JOINTS) + 1))
    return Robot(
        name=name,
        joints=_SO_JOINTS,
        ids=ids,
        grippers=("gripper",),
        model=MODEL_STS3215,
        limits=_SO_LIMITS,
        park_pose=_SO_PARK,
        virtual=_SO_VIRTUAL,
        settings=_SO_SETTINGS,
        gripper_settings=_SO_GRIPPER,
    )


ROBOTS = {name: _so_arm(name) for name in ("so101", "so100")}


def find(name: str) -> Robot:
    """The row of `name`. Raises ConfigError that lists the known ones."""
    if name not in ROBOTS:
        raise ConfigError(sentence("robot", expected=" or ".join(ROBOTS), got=name))
    return ROBOTS[name]


def shipped_calibration(robot: Robot) -> Calibration:
    """The calibration of the virtual arm."""
    return Calibration(tuple(zip(robot.joints, robot.virtual, strict=True)), SHIPPED)
