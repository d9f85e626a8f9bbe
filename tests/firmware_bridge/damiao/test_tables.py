"""The tables of motors, registers, errors, grippers and arms, against the facts they were written from."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from firmware_bridge.damiao import grippers, nibbles
from firmware_bridge.damiao.frames import Ranges
from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.damiao.registers import REGISTERS
from firmware_bridge.damiao.robots import ROBOTS, motors_of, servos_of
from firmware_bridge.errors import ConfigError


def test_scales_are_i2rts_and_disagreements_are_told() -> None:
    assert MOTORS["DM4340"].ranges == Ranges(12.5, 10.0, 28.0) and "VMAX 8" in MOTORS["DM4340"].note
    assert MOTORS["DM3507"].ranges == Ranges(12.5, 50.0, 5.0) and "VMAX 30, TMAX 10" in MOTORS["DM3507"].note
    assert MOTORS["DM4310"].ranges == Ranges(12.5, 30.0, 10.0)


def test_register_numbers_and_kinds() -> None:
    numbers = {
        "MST_ID": 7,
        "ESC_ID": 8,
        "TIMEOUT": 9,
        "CTRL_MODE": 10,
        "PMAX": 21,
        "VMAX": 22,
        "TMAX": 23,
        "can_br": 35,
    }
    assert {name: REGISTERS[name].number for name in numbers} == numbers
    assert REGISTERS["TIMEOUT"].encode(8000) == (8000).to_bytes(4, "little")
    assert REGISTERS["PMAX"].decode(struct.pack("<f", 12.5)) == 12.5
    assert math.isnan(REGISTERS["TMAX"].decode(b"\xff" * 4))


@pytest.mark.parametrize("nibble", [0x8, 0x9, 0xA, 0xB, 0xC, 0xD, 0xE])
def test_every_error_says_what_to_do(nibble: int) -> None:
    text = nibbles.alarm(nibble)
    assert nibble in nibbles.ERRORS and f"error {nibble:X}" in text and "what to do" in text


def test_on_and_off_are_no_alarms_but_the_unknown_is() -> None:
    assert nibbles.alarm(0) == nibbles.alarm(1) == ""
    assert "unknown" in nibbles.alarm(5) and "power" in nibbles.alarm(5)


def test_arms() -> None:
    one, both = ROBOTS["yam"], ROBOTS["bi-yam"]
    assert one.joints[0] == "joint_1" and one.joints[-1] == "gripper" and len(one.joints) == 7
    assert both.joints[0] == "left_joint_1" and both.joints[7] == "right_joint_1" and len(both.joints) == 14
    assert both.grippers == ("left_gripper", "right_gripper")
    for robot in (one, both):
        assert robot.family == "damiao" and robot.rate_hz == 200 and not robot.holds_alone
        rows = servos_of(robot).motors
        assert [row.id for row in rows] == [1, 2, 3, 4, 5, 6, 7] * len(robot.bodies)
        assert [row.bus for row in rows] == [bus for bus in range(len(robot.bodies)) for _ in range(7)]
        lag = [row.kd * speed / row.kp for row, speed in zip(rows, robot.speed, strict=True)]
        assert all(
            lead > late for lead, late, name in zip(robot.lead, lag, robot.joints, strict=True) if "joint" in name
        )
        for name, park, home in zip(robot.joints, robot.park_pose, robot.home_pose, strict=True):
            low, high = robot.limits[name]
            assert low <= park <= high and low <= home <= high


def test_a_gripper_brings_its_motor() -> None:
    rows = motors_of(ROBOTS["bi-yam"], grippers.find("linear_3507"))
    assert (rows[6].type, rows[6].kp, rows[6].kd) == (rows[13].type, rows[13].kp, rows[13].kd) == ("DM3507", 10.0, 0.3)
    assert rows[0] == servos_of(ROBOTS["bi-yam"]).motors[0]


@pytest.mark.parametrize("name", ["no_gripper", "yam_teaching_handle", "crank"])
def test_a_gripper_that_cannot_be_driven_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="linear_4310 or linear_3507 or crank_4310"):
        grippers.find(name)


def test_grip_torque_presses_with_fifty_newton() -> None:
    linear = grippers.find("linear_4310")
    assert linear.grip_torque(0.0) == pytest.approx(50 * 0.096 / 6.57 + 0.3)
    crank = grippers.find("crank_4310")
    angles = np.linspace(0.034, -2.79, 50)  # closed to open
    half = [crank.opening_m(part) / 2 for part in np.linspace(0, 1, 50)]  # of one finger
    slope = np.gradient(half, -angles)  # m/rad: a force F at the fingers asks F * slope of the motor
    torque = np.array([crank.grip_torque(angle) for angle in angles]) - grippers.FRICTION_NM
    assert np.abs(torque[1:-1] - 50 * slope[1:-1]).max() < 0.02
    assert crank.opening_m(0.0) == 0.0 and crank.opening_m(1.0) == pytest.approx(0.071)
