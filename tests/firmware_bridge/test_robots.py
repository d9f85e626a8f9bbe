"""What every row of the table of arms must promise."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.robots import ROBOTS

STAND_S = 0.1  # a chunk that ends is a hold within 100 ms


@pytest.mark.parametrize("name", ROBOTS)
def test_an_arm_stands_within_100_ms_of_the_end_of_its_chunk(name: str) -> None:
    robot = ROBOTS[name]
    slowest = np.array(robot.speed) / np.array(robot.acceleration)
    assert slowest.max() <= STAND_S + 1e-9, dict(zip(robot.joints, slowest, strict=True))
    braking = np.array(robot.speed) ** 2 / (2 * np.array(robot.acceleration))
    assert (braking < np.array(robot.lead)).all()  # or a stall could not be braked for within the lead


@pytest.mark.parametrize("name", ROBOTS)
def test_rows_are_whole_and_their_poses_within_their_limits(name: str) -> None:
    robot = ROBOTS[name]
    for row in (robot.park_pose, robot.home_pose, robot.speed, robot.acceleration, robot.lead):
        assert len(row) == len(robot.joints)
    for joint, (low, high) in robot.limits.items():
        index = robot.joints.index(joint)
        assert low <= robot.park_pose[index] <= high and low <= robot.home_pose[index] <= high
    assert set(robot.grippers) < set(robot.joints) and robot.hang_s < 1.0
