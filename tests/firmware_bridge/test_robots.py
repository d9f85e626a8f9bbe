"""What every row of the table of arms must promise."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.config import BridgeConfig, Timing
from firmware_bridge.driver import Facts
from firmware_bridge.errors import ConfigError
from firmware_bridge.robots import ROBOTS
from firmware_bridge.rules import make_rules

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


def test_a_pose_far_outside_the_limits_is_refused_and_not_bent() -> None:
    robot = ROBOTS["so101"]
    wide = np.full(len(robot.joints), 1.7)
    facts = Facts(-wide, wide, "off", "shipped", "", ())

    def parked(**pose: float) -> np.ndarray:
        config = BridgeConfig(robot="so101", port="sim", park_pose=pose, timing=Timing(rate_hz=100.0))
        return make_rules(config, robot, facts).park_pose

    with pytest.raises(ConfigError, match=r"elbow_flex in a pose; expected: -1.700 to 1.700; got: 90"):
        parked(elbow_flex=90.0)  # degrees, where rad are meant
    assert parked(shoulder_pan=1.75)[robot.joints.index("shoulder_pan")] == 1.7  # a little outside is its edge
