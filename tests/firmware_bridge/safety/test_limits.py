"""Limits, pure: no target leaves its bounds or its speed, and the path keeps its direction."""

from __future__ import annotations

import random

import numpy as np
import pytest

from firmware_bridge.errors import ChunkRefused, ConfigError
from firmware_bridge.safety.limits import Limits, limit, tightest

JOINTS = ("a", "b", "c")
LIMITS = Limits(JOINTS, np.array([-1.0, -2.0, 0.0]), np.array([1.0, 2.0, 1.0]), np.array([1.0, 2.0, 4.0]))
DT = 0.01


def test_random_wishes_never_break_a_limit() -> None:
    rng = random.Random(3)
    last = np.array([0.0, 0.0, 0.5])
    for _ in range(2000):
        wish = np.array([rng.uniform(-4, 4) for _ in JOINTS])
        target = limit(wish, last, LIMITS, DT).target
        assert (target >= LIMITS.lower - 1e-12).all() and (target <= LIMITS.upper + 1e-12).all()
        assert (np.abs(target - last) <= LIMITS.speed * DT * (1 + 1e-9)).all()
        last = target


def test_all_joints_are_scaled_together() -> None:
    last = np.zeros(3)
    limited = limit(np.array([0.5, 0.1, 0.0]), last, LIMITS, DT)
    assert limited.clamped == ("speed a",)
    assert limited.target == pytest.approx([0.01, 0.002, 0.0])


def test_what_was_clamped_is_said_and_nothing_else() -> None:
    last = np.array([1.0, -2.0, 0.5])
    assert limit(np.array([1.2, -2.5, 0.5]), last, LIMITS, DT).clamped == ("a upper", "b lower")
    inside = limit(np.array([1.0, -2.0, 0.5]), last, LIMITS, DT)
    assert inside.clamped == () and (inside.target == last).all()


def test_an_arm_outside_its_bounds_is_led_back_at_the_speed_limit() -> None:
    target = limit(np.array([1.5, 0.0, 0.5]), np.array([1.5, 0.0, 0.5]), LIMITS, DT).target
    assert target[0] == pytest.approx(1.49)


@pytest.mark.parametrize("wish", [[np.nan, 0, 0], [np.inf, 0, 0], [0, 0], [0, 0, 0, 0]])
def test_bad_numbers_are_refused(wish: list[float]) -> None:
    with pytest.raises(ChunkRefused, match="3 finite numbers"):
        limit(np.array(wish, np.float64), np.zeros(3), LIMITS, DT)


def test_tightest_wins_and_unknown_joints_are_named() -> None:
    bounds = (np.array([-1.0, -1, -1]), np.array([1.0, 1, 1]))
    lower, upper = tightest(JOINTS, bounds, [{"a": (-0.5, 3.0)}, {"a": (-0.7, 0.2)}])
    assert lower.tolist() == [-0.5, -1, -1] and upper.tolist() == [0.2, 1, 1]
    with pytest.raises(ConfigError, match="elbow"):
        tightest(JOINTS, bounds, [{"elbow": (0.0, 1.0)}])
    with pytest.raises(ConfigError, match="limits of a"):
        Limits(JOINTS, np.ones(3), np.ones(3), np.ones(3))
