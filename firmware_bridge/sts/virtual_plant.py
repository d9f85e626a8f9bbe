"""What is different about one virtual arm, and the servos and joints that follow from it.

Takes a robot's row and a Plant (also as a JSON file), gives VirtualServos and Joints. Pure apart from reading the
file. Knows nothing of buses and ports; virtual_bench.py puts them on one.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.robot import Robot
from firmware_bridge.sts import calibration as calibrations
from firmware_bridge.sts.calibration import Calibration, JointCalibration
from firmware_bridge.sts.robots import SHIPPED, servos_of, shipped_calibration
from firmware_bridge.sts.travel import TRAVEL
from firmware_bridge.sts.virtual_arm import WEIGHTLESS
from firmware_bridge.sts.virtual_joints import TICKS_PER_DEGREE, Joint
from firmware_bridge.sts.virtual_servo import VirtualServo
from firmware_bridge.sts.virtual_world import LOAD_PER_TICK

FACTORY_MIDDLE = 2048.0  # shaft ticks where a horn is meant to be mounted
AJAR = 5.0  # degrees that a gripper is open at the start


@dataclass(frozen=True, slots=True)
class Plant:
    """One arm. Degrees are the joint's, from the zero of the arm's model; a gripper's from closed."""

    calibration: Calibration | None = None  # in its EEPROM, and right for its horns; None: factory, horns at 2048
    horns: Mapping[str, float] = field(default_factory=dict)  # degrees that a horn sits off, on top
    reversed: tuple[str, ...] = ()  # joints whose servo turns the other way
    ids: Mapping[str, int] = field(default_factory=dict)  # of the servo mounted there
    eeprom: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # joint -> registers, beside the rest
    stops: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # degrees, instead of TRAVEL's
    pose: Mapping[str, float] = field(default_factory=dict)  # degrees at the start; 0, a gripper 5
    locked: tuple[str, ...] = ()  # joints whose servo's Lock stays 1
    sticks: Mapping[str, float] = field(default_factory=dict)  # degrees of error that do not start its motor
    backlash: Mapping[str, float] = field(default_factory=dict)  # degrees between motor and link
    heats: Mapping[str, float] = field(default_factory=dict)  # degrees Celsius per s at full load
    sag_v: float = 0.0  # volts lost while all motors pull fully
    gravity: float = 1.0  # 0: weightless

    def __post_init__(self) -> None:
        """Raises ConfigError for a joint that no SO arm has."""
        for row in dataclasses.fields(self):
            value = getattr(self, row.name)
            names = set(value) if isinstance(value, (Mapping, tuple)) else set()
            if names - set(TRAVEL):
                do = "correct the name"
                raise ConfigError(
                    sentence(f"joints in {row.name}", expected=sorted(TRAVEL), got=sorted(names - set(TRAVEL)), do=do)
                )


def load_plant(path: str, robot: Robot) -> Plant:
    """A Plant from JSON with the same names; `calibration` is a path or "shipped". Raises ConfigError."""
    data: dict[str, Any] = json.loads(Path(path).read_text())
    known = {row.name for row in dataclasses.fields(Plant)}
    if not isinstance(data, dict) or set(data) - known:
        raise ConfigError(sentence(f"the plant in {path}", expected=sorted(known), got=list(data), do="correct it"))
    named = data.pop("calibration", None)
    calibration = None
    if named is not None:
        calibration = shipped_calibration(robot) if named == SHIPPED else calibrations.load(named, robot.joints)
    stops = {name: (float(low), float(high)) for name, (low, high) in data.pop("stops", {}).items()}
    for name in ("reversed", "locked"):
        data[name] = tuple(data.get(name, ()))
    return Plant(calibration=calibration, stops=stops, **data)


def make_joints(robot: Robot, plant: Plant) -> list[Joint]:
    """The arm's mechanics, in the robot's joint order."""
    return [_joint(robot, plant, index, name) for index, name in enumerate(robot.joints)]


def _joint(robot: Robot, plant: Plant, index: int, name: str) -> Joint:
    gripper = name in robot.grippers
    stops = plant.stops.get(name, (TRAVEL[name].lower, TRAVEL[name].upper))
    sign = -1 if name in plant.reversed else 1
    if plant.calibration is None:
        anchor = (sum(stops) / 2 if gripper else 0.0, FACTORY_MIDDLE)
    else:
        row = plant.calibration[name]
        anchor = (0.0, _zero(row, gripper) + row.homing_offset)
        sign = -sign if gripper and row.drive_mode else sign
    park = robot.park_pose[index]
    return Joint(
        name=name,
        stops=stops,
        anchor=(anchor[0], anchor[1] + plant.horns.get(name, 0.0) * TICKS_PER_DEGREE),
        sign=sign,
        start=plant.pose.get(name, AJAR if gripper else 0.0),
        rest=park * stops[1] if gripper else math.degrees(park),
        weight=0.0 if name in WEIGHTLESS else plant.gravity * LOAD_PER_TICK,
        stick=plant.sticks.get(name, 0.0),
        play=plant.backlash.get(name, 0.0),
    )


def _zero(row: JointCalibration, gripper: bool) -> float:
    """Ticks of the joint's zero, as the host sees them: the middle; of a gripper, where it is closed."""
    if not gripper:
        return row.middle
    return float(row.range_max if row.drive_mode else row.range_min)


def make_servos(robot: Robot, plant: Plant, joints: list[Joint]) -> list[VirtualServo]:
    """One servo per joint, powered on, torque off."""
    servos = []
    for index, joint in enumerate(joints):
        eeprom = _eeprom(robot, plant, index, joint.name)
        servo = VirtualServo(eeprom["ID"], eeprom, joint.shaft(joint.start))
        servo.lock_stuck = joint.name in plant.locked
        servo.heating = plant.heats.get(joint.name, 0.0)
        servos.append(servo)
    return servos


def _eeprom(robot: Robot, plant: Plant, index: int, name: str) -> dict[str, int]:
    """Registers that differ from the factory's."""
    rows = servos_of(robot)
    registers = {"ID": rows.ids[index], "Model_Number": rows.model}
    if plant.calibration is not None:
        row = plant.calibration[name]
        registers |= {**rows.settings, **(rows.gripper_settings if name in robot.grippers else {})}
        registers |= {"ID": row.id, "Homing_Offset": row.homing_offset}
        registers |= {"Min_Position_Limit": row.range_min, "Max_Position_Limit": row.range_max}
    if name in plant.ids:
        registers["ID"] = plant.ids[name]
    return {**registers, **plant.eeprom.get(name, {})}
