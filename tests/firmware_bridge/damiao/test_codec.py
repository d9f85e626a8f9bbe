"""Motor angles and joints: there and back, directions, and the turn that a motor woke up in."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.damiao import calibration as calibrations
from firmware_bridge.damiao.calibration import JointCalibration
from firmware_bridge.damiao.codec import Codec, find_turns
from firmware_bridge.damiao.robots import servos_of
from firmware_bridge.errors import ServoWrong
from firmware_bridge.robots import find

YAM = find("yam")
CALIBRATION = calibrations.shipped(YAM)
MOTORS = servos_of(YAM).motors
CODEC = Codec.of(YAM, CALIBRATION, MOTORS)
POSE = np.array([0.3, 1.2, 0.9, -0.6, 0.1, -0.2, 0.25])


@given(st.lists(st.floats(-3, 3), min_size=7, max_size=7))
def test_there_and_back(values: list[float]) -> None:
    assert np.abs(CODEC.to_joint(CODEC.to_motor(np.array(values))) - values).max() < 1e-9


def test_zero_direction_and_gripper() -> None:
    rows = list(MOTORS)
    rows[1] = dataclasses.replace(rows[1], direction=-1)
    joints = list(CALIBRATION.joints)
    joints[1] = ("joint_2", JointCalibration(zero=0.5))
    codec = Codec.of(YAM, dataclasses.replace(CALIBRATION, joints=tuple(joints)), rows)
    motor = codec.to_motor(POSE)
    assert motor[0] == pytest.approx(0.3) and motor[1] == pytest.approx(0.5 - 1.2)
    assert motor[6] == pytest.approx(-6.57 * 0.25)
    torque = codec.to_motor_torque(np.array([1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 9.0]))
    assert torque[:3].tolist() == [1.0, -2.0, 3.0] and torque[6] == 0.0


@pytest.mark.parametrize("turn", [-1, 0, 1])
def test_a_turn_is_found_and_taken_off(turn: int) -> None:
    motor = CODEC.to_motor(POSE)
    motor[2] += turn * 2 * math.pi
    turns, remarks = find_turns(motor, CODEC, YAM)
    assert turns[2] == turn and turns[:2] == (0, 0)
    assert np.abs(CODEC.turned(turns).to_joint(motor) - POSE).max() < 1e-9
    assert any("joint_3" in text for text in remarks) == (turn != 0)


def test_a_joint_in_no_turn_is_refused() -> None:
    motor = CODEC.to_motor(POSE)
    motor[1] = -1.0  # shoulder: 0..3.67
    with pytest.raises(ServoWrong, match=r"joint_2 stands outside its range; expected: 0\.000\.\.3\.665.*-1\.000"):
        find_turns(motor, CODEC, YAM)


def test_a_joint_in_two_turns_is_refused() -> None:
    wide = dataclasses.replace(YAM, limits={**YAM.limits, "joint_1": (-4.0, 4.0)})
    motor = CODEC.to_motor(POSE)
    motor[0] = 3.0
    with pytest.raises(ServoWrong, match="joint_1 may stand in 2 turns"):
        find_turns(motor, CODEC, wide)
    assert find_turns(motor, CODEC, YAM)[0][0] == 0  # negative control: its own range has one


def test_a_gripper_in_two_turns_is_taken_as_it_reads_and_told() -> None:
    motor = CODEC.to_motor(np.array([*POSE[:6], 0.0]))
    turns, remarks = find_turns(motor, CODEC, YAM)
    assert turns[6] == 0 and any("gripper" in text for text in remarks)
    assert not find_turns(CODEC.to_motor(POSE), CODEC, YAM)[1]  # in the middle of its way there is no doubt
