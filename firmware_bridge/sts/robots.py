"""Arms of STS3215 servos as a table: ids, settings, park pose, and the calibration of the virtual one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from firmware_bridge.robot import Robot
from firmware_bridge.sts.calibration import Calibration, JointCalibration
from firmware_bridge.sts.registers import MODEL_STS3215

SHIPPED = "shipped"


@dataclass(frozen=True, slots=True)
class StsServos:
    """What an arm's servos are and are told."""

    ids: tuple[int, ...]
    model: int
    virtual: tuple[JointCalibration, ...]
    settings: Mapping[str, int] = field(default_factory=dict)  # every servo's EEPROM at connect
    gripper_settings: Mapping[str, int] = field(default_factory=dict)


_JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
# LeRobot's so_follower.configure: a softer P, and a gripper that does not burn on a grasped object.
_SETTINGS = {
    "Return_Delay_Time": 0,
    "Operating_Mode": 0,
    "P_Coefficient": 16,
    "I_Coefficient": 0,
    "D_Coefficient": 32,
}
_GRIPPER = {"Max_Torque_Limit": 500, "Protection_Current": 250, "Overload_Torque": 25}
# Ranges of the CAD model around a half-turn zero; offsets as real arms have them, of either sign.
_VIRTUAL = (
    JointCalibration(1, 0, 1290, 796, 3298),
    JointCalibration(2, 0, -1013, 910, 3184),
    JointCalibration(3, 0, 1177, 946, 3148),
    JointCalibration(4, 0, -292, 966, 3128),
    JointCalibration(5, 0, 81, 0, 4095),
    JointCalibration(6, 0, 1420, 2030, 3281),
)
# wrist_roll is calibrated as a whole turn; the cable is not that patient (URDF and MJCF of SO-101).
_LIMITS = {"wrist_roll": (-2.79253, 2.84121)}
_PARK = (0.0, -1.68, 1.57, 1.06, 0.0, 0.02)  # folded back over its base, low, 4 mm short of touching itself
_HOME = (0.0, -0.8, 0.8, 0.8, 0.0, 0.02)  # above the table, the gripper looking down


def _so_arm(name: str) -> Robot:
    count = len(_JOINTS)
    return Robot(
        name=name,
        family="sts",
        joints=_JOINTS,
        grippers=("gripper",),
        limits=_LIMITS,
        park_pose=_PARK,
        home_pose=_HOME,
        speed=(3.0,) * count,
        acceleration=(30.0,) * count,  # from full speed to a stand in 0.1 s; the servo manages 38
        lead=(0.5,) * count,
        rate_hz=100.0,
        hang_s=0.5,
        holds_alone=True,
        bodies=(name,),
        servos=StsServos(tuple(range(1, count + 1)), MODEL_STS3215, _VIRTUAL, _SETTINGS, _GRIPPER),
    )


ROBOTS = {name: _so_arm(name) for name in ("so101", "so100")}


def servos_of(robot: Robot) -> StsServos:
    """The family's own row of `robot`."""
    assert isinstance(robot.servos, StsServos)
    return robot.servos


def shipped_calibration(robot: Robot) -> Calibration:
    """The calibration of the virtual arm."""
    return Calibration(tuple(zip(robot.joints, servos_of(robot).virtual, strict=True)), SHIPPED)
