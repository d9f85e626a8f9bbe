"""What the motors' registers say about the arm: complaints with their cause first, and a table for people. Pure.

Takes each motor's registers by name; gives lines. Gear ratios tell the motors' types apart, so a motor on another's id
is named. What a motor must say at all is firmware_bridge's damiao/checks.py.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from firmware_bridge.damiao import grippers, nibbles
from firmware_bridge.damiao.calibration import Calibration
from firmware_bridge.damiao.checks import complaints
from firmware_bridge.damiao.grippers import GRIPPERS, Gripper
from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.damiao.registers import TIMEOUT_UNIT_S
from firmware_bridge.damiao.robots import Motor
from firmware_bridge.errors import sentence
from firmware_bridge.robot import Robot

Values = Sequence[Mapping[str, float]]
MEGABIT = 4.0  # can_br of 1 Mbit/s
_TOOL = "with Damiao's tool or i2rt's motor_config_tool"


def type_of(values: Mapping[str, float]) -> str:
    """The motor's type by its gear ratio; "" where that does not say."""
    gear = values.get("Gr", math.nan)
    near = [row.name for row in MOTORS.values() if row.gear and math.isclose(gear, row.gear, rel_tol=0.05)]
    return near[0] if len(near) == 1 else ""


def mounted(given: str, robot: Robot, values: Values) -> Gripper:
    """The gripper that was named; else the usual one, or the only one that has such a motor. Raises ConfigError."""
    kinds = {type_of(row) for name, row in zip(robot.joints, values, strict=True) if name in robot.grippers}
    fits = [row.name for row in GRIPPERS.values() if row.motor and {row.motor} == kinds]
    return grippers.find(given or (fits[0] if len(fits) == 1 else ""))


def missing(robot: Robot, motors: Sequence[Motor], values: Values, strangers: Mapping[int, Mapping[int, float]]) -> str:
    """Which motors do not answer, and which ids answer that nobody should have; "" when all is there.

    `strangers`: bus -> id -> gear ratio.
    """
    silent = [i for i, row in enumerate(values) if "ESC_ID" not in row]
    if not silent:
        return ""
    names = ", ".join(f"{robot.joints[i]} (id {motors[i].id}, a {motors[i].type})" for i in silent)
    rows = [
        f"a {type_of({'Gr': gear}) or 'motor'} with id {number}"
        for bus in strangers.values()
        for number, gear in bus.items()
    ]
    heard = len(motors) - len(silent)
    got = f"answers from {heard} of {len(motors)}" if heard else "no answer from any motor"
    do = "check the arm's power, its CAN cable and termination, and that the bus runs at 1 Mbit/s"
    if rows:
        got += "; and " + ", ".join(rows)
        do = f"give that motor its joint's id (ESC_ID, and MST_ID 16 more) {_TOOL}"
    return sentence(f"missing motors: {names}", expected=f"{len(motors)} motors", got=got, do=do)


def judge(robot: Robot, motors: Sequence[Motor], values: Values) -> list[str]:
    """Why these motors may not be driven as they are; nothing when they may."""
    kinds = [type_of(row) for row in values]
    wrong = [i for i, kind in enumerate(kinds) if kind and kind != motors[i].type]
    found = _causes(robot, motors, kinds, wrong)
    for index, (name, motor, row) in enumerate(zip(robot.joints, motors, values, strict=True)):
        real = dataclasses.replace(motor, type=kinds[index]) if index in wrong else motor
        found += complaints(name, real, row)
        if row.get("can_br", MEGABIT) != MEGABIT:
            do = f"set can_br = 4 {_TOOL}: at the next power-on it would be silent here"
            found.append(sentence(f"{name}: can_br", expected="4 (1 Mbit/s)", got=f"{row['can_br']:g}", do=do))
    return found


def _causes(robot: Robot, motors: Sequence[Motor], kinds: Sequence[str], wrong: Sequence[int]) -> list[str]:
    """Motors of another type than their joint's: exchanged ones first."""
    found, left = [], list(wrong)
    for one in wrong:
        pairs = [i for i in left if i > one and motors[i].bus == motors[one].bus]
        other = next((i for i in pairs if (kinds[i], kinds[one]) == (motors[one].type, motors[i].type)), None)
        if one in left and other is not None:
            left = [i for i in left if i not in (one, other)]
            names = [f"{robot.joints[i]} (id {motors[i].id})" for i in (one, other)]
            what = f"{names[0]} and {names[1]} have each other's motors: their ids are exchanged"
            expected = f"a {motors[one].type} and a {motors[other].type}"
            do = f"give each its own id (ESC_ID, and MST_ID 16 more) {_TOOL}"
            found.append(sentence(what, expected=expected, got=f"a {kinds[one]} and a {kinds[other]}", do=do))
    for index in left:
        name, motor, kind = robot.joints[index], motors[index], kinds[index]
        do = "look which motor this is; its id may be another joint's"
        if name in robot.grippers:
            types = " or ".join(f"--gripper {row.name}" for row in GRIPPERS.values() if row.motor == kind)
            do = f"name the gripper that is mounted: {types}" if types else "no gripper of the table has such a motor"
        what = f"{name} (id {motor.id}) has another type of motor, by its gear ratio"
        found.append(sentence(what, expected=f"a {motor.type}", got=f"a {kind}", do=do))
    return found


def states(robot: Robot, errors: Sequence[int]) -> list[str]:
    """Motors that somebody holds, or that say an error which clearing does not end."""
    found = []
    for name, error in zip(robot.joints, errors, strict=True):
        if error == nibbles.ENABLED:
            do = "end the program that drives this arm, or switch the arm off and on while holding it"
            found.append(sentence(f"{name}: torque", expected="off", got="on", do=do))
        elif error not in (nibbles.DISABLED, nibbles.COMMUNICATION_LOST):
            found.append(f"{name}: {nibbles.alarm(error)}")
    return found


def replaced(old: Calibration | None, values: Values) -> list[str]:
    """Motors whose serial number is another than the old file's: for telling."""
    if old is None:
        return []
    return [
        f"{name}: another motor than before (serial {row.serial}, now {value['SN']:.0f})"
        for (name, row), value in zip(old.joints, values, strict=True)
        if row.serial is not None and "SN" in value and value["SN"] != row.serial
    ]


def mixed(robot: Robot, values: Values) -> str:
    """Motors of several firmware versions, for telling; "" where all that say have the same."""
    versions: dict[int, list[str]] = {}
    for name, row in zip(robot.joints, values, strict=True):
        if math.isfinite(row.get("sw_ver", math.nan)):
            versions.setdefault(int(row["sw_ver"]), []).append(name)
    rows = [f"{version} ({', '.join(names)})" for version, names in sorted(versions.items())]
    return f"firmware differs: {'; '.join(rows)}" if len(rows) > 1 else ""


def table(robot: Robot, motors: Sequence[Motor], values: Values) -> str:
    """A line per motor."""
    width = max(map(len, robot.joints))
    head = f"{'joint':<{width}}  id  type     gear  firmware      serial     watchdog"
    rows = []
    for name, motor, row in zip(robot.joints, motors, values, strict=True):
        cells = [
            f"{name:<{width}}",
            f"{motor.id:>2}",
            f"{type_of(row) or motor.type:<7}",
            f"{_told(row, 'Gr', '.0f'):>5}",
            f"{_told(row, 'sw_ver', '.0f'):>8}",
            f"{_told(row, 'SN', '.0f'):>10}",
            f"{row.get('TIMEOUT', 0.0) * TIMEOUT_UNIT_S * 1000:>8.0f} ms",
        ]
        rows.append("  ".join(cells))
    return "\n".join([head, *rows])


def _told(row: Mapping[str, float], name: str, form: str) -> str:
    return format(row[name], form) if name in row and math.isfinite(row[name]) else "-"
