"""Which way the gripper goes: in words that a person can check on the arm."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.directions import STEP, direction, tip_moves

SO = {
    "shoulder_pan": "right",
    "shoulder_lift": "down",
    "elbow_flex": "down",
    "wrist_flex": "down",
    "wrist_roll": "counter-clockwise",
    "gripper": "opens",
}
YAM = {
    "joint_1": "left",
    "joint_2": "forward, down",
    "joint_3": "up",
    "joint_4": "up",
    "joint_5": "right",
    "joint_6": "clockwise",
    "gripper": "opens",
}


@pytest.mark.parametrize(("name", "words"), [("so101", SO), ("so100", SO), ("yam", YAM)])
def test_where_each_joint_takes_the_gripper(name: str, words: dict[str, str]) -> None:
    body = BODIES[name]
    assert {joint: direction(body, joint) for joint in body.joints} == words


def test_the_way_in_metres_turns_with_the_step() -> None:
    body = BODIES["so101"]
    there, back = tip_moves(body, "shoulder_lift"), tip_moves(body, "shoulder_lift", step=-STEP)
    assert there[2] == pytest.approx(0.169 - 0.2265, abs=2e-3)
    assert there[2] < -0.05 < 0.05 < back[2]  # negative control: a mirrored joint goes the other way
    assert tip_moves(body, "gripper") == pytest.approx(0.0)


def test_from_another_pose_it_is_another_way() -> None:
    body = BODIES["so101"]
    raised = np.array([0.0, -1.5, 0.0, 0.0, 0.0, 0.0])
    assert direction(body, "shoulder_lift", raised) == "forward"
    assert direction(body, "shoulder_pan", np.array([1.57, 0.0, 0.0, 0.0, 0.0, 0.0])) == "back"
