"""Slow moves: smooth, within their speed, on time; and followed by a mailbox as they were planned."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.errors import ConfigError
from firmware_bridge.messages import FRAME, UNITS, Info, Status
from firmware_bridge.moves import DT_S, EVERY, HORIZON, goal_of, inside, speeds, straight, track
from firmware_bridge.safety.chunks import Door, Mailbox

INFO = Info(
    arm="so101", id="blue", joints=("lift", "gripper"), grippers=("gripper",), lower=(-1.0, 0.0), upper=(1.0, 1.0),
    speed=(3.0, 0.2), park_pose=(0.0, 0.0), home_pose=(0.5, 0.1), rate_hz=100.0, live=True, port="sim", calibration="",
    fingerprint="", units=UNITS, frame=FRAME, exit_policy="park", status_endpoint="", pid=1,
)  # fmt: skip


def status(seq: int, tick: int) -> Status:
    """Only what a move reads is filled."""
    fields = {field.name: None for field in dataclasses.fields(Status)}
    return Status(**{**fields, "seq": seq, "tick": tick, "arm": "so101"})


numbers = st.floats(-3, 3)


@given(st.lists(st.tuples(numbers, numbers, st.floats(0.05, 3)), min_size=1, max_size=7))
@settings(deadline=None)
def test_a_move_is_smooth_and_within_its_speed(rows: list[tuple[float, float, float]]) -> None:
    start, goal, speed = (np.array(column) for column in zip(*rows, strict=True))
    path = np.concatenate([start[None], straight(start, goal, speed)])
    assert np.array_equal(path[-1], goal)
    velocity = np.diff(path, axis=0) / DT_S
    assert (np.abs(velocity) <= speed * 1.001 + 1e-9).all()
    between = (path >= np.minimum(start, goal) - 1e-9) & (path <= np.maximum(start, goal) + 1e-9)
    assert between.all()
    # It starts and ends at rest: its first and last steps are far slower than its fastest.
    if len(path) > 12:
        assert (np.abs(velocity[[0, -1]]) <= 0.2 * np.abs(velocity).max(axis=0) + 1e-9).all()


def test_the_slowest_joint_sets_the_time_and_all_arrive_together() -> None:
    path = straight(np.zeros(2), np.array([0.3, -0.03]), np.array([0.3, 0.3]))
    assert len(path) == pytest.approx(1.875 * 0.3 / 0.3 / DT_S, abs=1.5)
    assert np.allclose(path[:, 1], -0.1 * path[:, 0])


@pytest.mark.parametrize("rate", [50.0, 100.0, 200.0])
def test_a_mailbox_follows_the_path_without_a_jump(rate: float) -> None:
    info = dataclasses.replace(INFO, rate_hz=rate)
    goal = np.array([0.8, 0.5])
    planned = track(straight(np.zeros(2), goal, np.array([0.3, 0.3])), info, status(1, 1000))
    box = Mailbox(Door("so101", 2, rate, round(5 * rate)))
    sent, seen = 0, []
    for tick in range(1000, planned.end_tick + 2):
        box.published(tick - 999, tick)
        while sent < planned.pieces_due(tick):
            box.offer(planned.piece(sent, status(tick - 999, tick)))
            sent += 1
        target = box.target(tick)
        seen.append(np.full(2, np.nan) if target is None else target)
    followed = np.array(seen)
    assert np.isnan(followed[: planned.start_tick - 1000]).all()
    moving = followed[planned.start_tick - 1000 : planned.end_tick - 1000]
    assert np.isfinite(moving).all()  # never a tick without a target on the way
    place = np.arange(len(moving)) / (rate * DT_S)
    truth = np.column_stack([np.interp(place, np.arange(len(planned.path)), planned.path[:, j]) for j in range(2)])
    assert np.abs(moving - truth).max() < 1e-6  # float32 on the wire
    assert np.allclose(moving[-1], goal, atol=1e-6) and np.isnan(followed[-1]).all()


def test_a_mover_that_dies_leaves_little_to_follow() -> None:
    planned = track(straight(np.zeros(2), np.ones(2), np.array([0.1, 0.1])), INFO, status(1, 0))
    assert planned.pieces_due(0) == planned.pieces_due(planned.start_tick) == 1 and planned.pieces_due(60) == 2
    last = planned.piece(1, status(1, 0))
    assert len(last.actions) == HORIZON and last.start_tick < planned.start_tick + EVERY * DT_S * 100
    assert planned.pieces_due(10**6) == -(-len(planned.path) // EVERY)


def test_goals_are_named_and_within_limits() -> None:
    here = np.array([0.2, 0.5])
    assert np.allclose(goal_of(INFO, here, {"lift": ("by", 0.1), "gripper": ("to", 0.9)}), [0.3, 0.9])
    assert np.array_equal(here, [0.2, 0.5])  # not changed in place
    with pytest.raises(ConfigError, match="no joint 'elbow'; expected: lift, gripper"):
        goal_of(INFO, here, {"elbow": ("to", 0.0)})
    with pytest.raises(ConfigError, match=r"lift would leave its limits; expected: -1.000 to 1.000 rad; got: 1.100"):
        goal_of(INFO, here, {"lift": ("by", 0.9)})


def test_a_path_is_kept_inside_the_limits_in_float32_too() -> None:
    path = inside(np.array([[-1.04, 0.5], [1.04, -0.3], [0.3, 1.2]]), INFO).astype(np.float32).astype(np.float64)
    assert (path >= INFO.lower).all() and (path <= INFO.upper).all()
    assert np.allclose(path, [[-1.0, 0.5], [1.0, 0.0], [0.3, 1.0]], atol=1e-5)


@pytest.mark.parametrize("lift", [-1.06, 1.06])
def test_a_joint_far_outside_is_not_snatched_back_at_full_speed(lift: float) -> None:
    path = straight(np.array([lift, 0.5]), np.array([0.0, 0.5]), np.array([0.3, 0.3]))
    with pytest.raises(ConfigError, match=r"lift is outside its limits; expected: -1.000 to 1.000 rad; got: -?1.06"):
        inside(path, INFO)
    assert len(inside(path * [0.97, 1.0], INFO)) == len(path)  # a resting arm that reads a little beyond


def test_a_bridge_slower_than_wanted_is_not_hurried() -> None:
    assert speeds(INFO, 0.3).tolist() == [0.3, 0.2]


@pytest.mark.parametrize(
    ("start", "goal", "speed"),
    [([0.0], [np.nan], [0.3]), ([np.inf], [0.0], [0.3]), ([0.0], [1.0], [0.0]), ([0.0], [1.0], [np.nan])],
)
def test_numbers_that_cannot_be(start: list[float], goal: list[float], speed: list[float]) -> None:
    with pytest.raises(ConfigError, match="a move"):
        straight(np.array(start), np.array(goal), np.array(speed))


def test_a_path_of_another_arm() -> None:
    with pytest.raises(ConfigError, match=r"a path; expected: \[N, 2\]; got: \[4, 3\]"):
        track(np.zeros((4, 3)), INFO, status(1, 0))
