"""What the motors are told: gains, weight, lowering, and a gripper that never presses harder than allowed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.damiao import grippers
from firmware_bridge.damiao.commands import Drive, Seen, bounded_weight, check_weight, damp, follow
from firmware_bridge.damiao.robots import motors_of
from firmware_bridge.errors import ServoWrong
from firmware_bridge.robots import find

YAM = find("yam")
GRIPPER = grippers.find("linear_4310")
DRIVE = Drive(motors_of(YAM, GRIPPER), np.array([False] * 6 + [True]), GRIPPER, YAM.joints)
GOAL = np.array([0.1, 1.0, 0.9, -0.5, 0.2, 0.3, -3.0])
WEIGHT = np.array([0.0, 9.0, 4.0, 1.0, 0.1, 0.0, 0.0])
SEEN = Seen(GOAL + 0.01, np.zeros(7))


def test_gains_and_weight_go_out_as_they_are() -> None:
    commands = follow(DRIVE, GOAL, WEIGHT, SEEN, 1.0)
    assert [command.kp for command in commands[:6]] == [80.0, 80.0, 80.0, 10.0, 10.0, 10.0]
    assert [command.kd for command in commands[:6]] == [5.0, 5.0, 5.0, 1.5, 1.5, 1.5]
    assert [command.torque for command in commands] == WEIGHT.tolist()
    assert [command.position for command in commands] == pytest.approx(GOAL.tolist())
    assert all(command.velocity == 0.0 for command in commands)


def test_support_fades_stiffness_and_weight_but_neither_damping_nor_grip() -> None:
    full, half = follow(DRIVE, GOAL, WEIGHT, SEEN, 1.0), follow(DRIVE, GOAL, WEIGHT, SEEN, 0.5)
    assert [c.kp for c in half[:6]] == [c.kp / 2 for c in full[:6]]
    assert [c.torque for c in half[:6]] == [c.torque / 2 for c in full[:6]]
    assert [c.kd for c in half] == [c.kd for c in full] and half[6] == full[6]


@given(st.floats(-12, 12), st.floats(-12, 12), st.floats(-30, 30), st.sampled_from(["linear_4310", "crank_4310"]))
def test_a_gripper_never_presses_harder(goal: float, here: float, speed: float, name: str) -> None:
    gripper = grippers.find(name)
    drive = Drive(motors_of(YAM, gripper), DRIVE.grippers, gripper, YAM.joints)
    seen = Seen(np.array([*GOAL[:6], here]), np.array([0.0] * 6 + [speed]))
    told = follow(drive, np.array([*GOAL[:6], goal]), WEIGHT, seen, 1.0)[6]
    torque = told.kp * (told.position - here) - told.kd * speed
    grip = gripper.grip_torque(here)
    braking = abs(told.kd * speed)
    assert abs(torque) <= max(grip, braking) + 1e-6
    assert min(goal, here) - 1e-9 <= told.position <= max(goal, here) + 1e-9


def test_a_gripper_at_its_goal_is_told_its_goal() -> None:
    told = follow(DRIVE, GOAL, WEIGHT, SEEN, 1.0)[6]
    assert told.position == GOAL[6]
    far = follow(DRIVE, np.array([*GOAL[:6], -6.0]), WEIGHT, SEEN, 1.0)[6]
    assert -3.1 < far.position < -2.99  # negative control: a far goal is cut


def test_damping_only_brakes_and_carries_most_of_the_weight() -> None:
    commands = damp(DRIVE, WEIGHT, SEEN)
    assert all(command.kp == 0.0 and command.kd > 0.0 for command in commands)
    assert [command.torque for command in commands] == pytest.approx((0.8 * WEIGHT).tolist())


def test_a_weight_beyond_reason_is_refused_and_bounded_for_holding() -> None:
    check_weight(DRIVE, WEIGHT)
    for wrong in (26.0, -26.0, np.nan, np.inf):
        weight = WEIGHT.copy()
        weight[1] = wrong
        with pytest.raises(ServoWrong, match=r"feed-forward torque of joint_2; expected: at most 25 N m"):
            check_weight(DRIVE, weight)
        bounded = bounded_weight(DRIVE, weight)
        assert np.isfinite(bounded).all() and abs(bounded[1]) <= 25.0 and bounded[2] == 4.0
