"""Driving the arm to its stops: the plan keeps it off the table and off itself, up to the last degree."""

from __future__ import annotations

import numpy as np
import pytest

from calib.sts.plan import LOW, PUSHES, REST, STOPS, Stop
from calib.sts.zero import POSE
from firmware_bridge import robots
from firmware_bridge.safety.workspace import make_workspace
from firmware_bridge.sts.travel import TRAVEL

STEPS = 60


def poses_of(stops: tuple[Stop, ...], names: tuple[str, ...]) -> np.ndarray:
    """Every pose on the way [K, D], rad; a gripper 0..1."""
    now = dict(POSE)
    rows = []

    def go(joint: str, degrees: float) -> None:
        for part in np.linspace(now[joint], degrees, STEPS):
            rows.append([np.radians({**now, joint: part}[name]) for name in names])
        now[joint] = degrees

    for stop in stops:
        for joint, degrees in stop.stand:
            go(joint, degrees)
        travel = TRAVEL[stop.joint]
        if stop.joint != "gripper":
            go(stop.joint, travel.lower if stop.way == LOW else travel.upper)
    return np.array(rows)


def tightest(stops: tuple[Stop, ...], robot: str) -> float:
    """Free space on the way, m; the base's own distance to the table left out."""
    row = robots.find(robot)
    workspace = make_workspace(row, 0.0, {}, True, {})
    free = workspace.clearance(poses_of(stops, row.joints))
    return float(free[:, [name != "floor: shoulder" for name in workspace.names]].min())


@pytest.mark.parametrize("robot", ["so101", "so100"])
def test_nothing_is_met_on_the_way(robot: str) -> None:
    rest = Stop("shoulder_lift", LOW, REST)
    lands = tightest((*STOPS, rest), robot)
    assert lands > -0.015, lands  # the elbow's own stop: forearm against shoulder, boxes a little too large
    assert tightest(tuple(stop for stop in STOPS if (stop.joint, stop.way) != ("elbow_flex", 1)), robot) > 0.004


@pytest.mark.parametrize("robot", ["so101", "so100"])
def test_negative_control_without_the_stands_it_meets_the_table(robot: str) -> None:
    bare = tuple(Stop(stop.joint, stop.way) for stop in STOPS)
    assert tightest(bare, robot) < -0.03


def test_every_joint_between_stops_is_pushed_both_ways() -> None:
    limited = {name for name, travel in TRAVEL.items() if not travel.free}
    assert {(stop.joint, stop.way) for stop in STOPS} == {(name, way) for name in limited for way in (-1, 1)}
    assert set(PUSHES) == limited and all(first < second <= 0.6 for first, second in PUSHES.values())
