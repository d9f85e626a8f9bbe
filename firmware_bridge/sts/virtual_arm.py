"""A whole virtual arm: servos with an arm's calibration in their memory, lying in its park pose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firmware_bridge.robot import Robot
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.codec import Codec
from firmware_bridge.sts.robots import servos_of
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_servo import VirtualServo
from firmware_bridge.sts.virtual_world import LOAD_PER_TICK, FirstOrderWorld, World

WEIGHTLESS = ("shoulder_pan", "wrist_roll", "gripper")  # turn about an axis that gravity does not load


def shaft_ticks(robot: Robot, calibration: Calibration, pose: Sequence[float]) -> list[float]:
    """The servos' shafts at `pose` [D] rad, in shaft ticks: what a host sees plus Homing_Offset."""
    ticks = Codec.of(calibration, robot.grippers).to_ticks(np.array(pose, np.float64))
    offsets = [joint.homing_offset for _, joint in calibration.joints]
    return [float(tick + offset) for tick, offset in zip(ticks.tolist(), offsets, strict=True)]


def make_servos(robot: Robot, calibration: Calibration) -> list[VirtualServo]:
    """One servo per joint with the robot's settings in its memory, powered on, torque off."""
    servos = []
    shafts = shaft_ticks(robot, calibration, robot.park_pose)
    for (name, joint), shaft in zip(calibration.joints, shafts, strict=True):
        eeprom = {
            **servos_of(robot).settings,
            **(servos_of(robot).gripper_settings if name in robot.grippers else {}),
            "ID": joint.id,
            "Model_Number": servos_of(robot).model,
            "Homing_Offset": joint.homing_offset,
            "Min_Position_Limit": joint.range_min,
            "Max_Position_Limit": joint.range_max,
        }
        servos.append(VirtualServo(joint.id, eeprom, shaft))
    return servos


def make_bus(robot: Robot, calibration: Calibration, world: World | None = None) -> VirtualBus:
    """The arm on its bus; `world` defaults to one in which a limp arm sinks to its park pose."""
    if world is None:
        weights = [0.0 if name in WEIGHTLESS else LOAD_PER_TICK for name, _ in calibration.joints]
        world = FirstOrderWorld(shaft_ticks(robot, calibration, robot.park_pose), weights=weights)
    return VirtualBus(make_servos(robot, calibration), world)
