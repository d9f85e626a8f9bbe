"""The arithmetic of arriving and stopping, against a tick-by-tick simulation of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.safety.braking import SAMPLES, approach, braked, trail
from tests.firmware_bridge.safety.examples import examples

ACCELERATION = np.array([20.0, 5.0, 40.0])
ways = st.lists(st.floats(-6.0, 6.0), min_size=3, max_size=3).map(lambda row: np.round(row, 12))
ticks = st.sampled_from([0.002, 0.005, 0.01, 0.05])


@examples(100)
@given(ways, ticks)
def test_approach_arrives_at_rest_without_overshoot_in_a_straight_line(way: np.ndarray, dt: float) -> None:
    position, velocity = np.zeros(3), np.zeros(3)
    unit = way / (np.linalg.norm(way) or 1.0)
    came = False
    for _ in range(20_000):
        wanted = approach(way - position, ACCELERATION, dt)
        hard = float((np.abs(wanted - velocity) / (ACCELERATION * dt)).max())
        braking = came or np.linalg.norm(wanted) < np.linalg.norm(velocity) - 1e-9
        if braking:
            assert hard <= 1 + 1e-6  # once it brakes, the acceleration is enough to the end
            came = True
        velocity = velocity + (wanted - velocity) / max(1.0, hard)
        position = position + velocity * dt
        assert np.linalg.norm(position - unit * (position @ unit)) < 1e-9
        assert position @ unit <= np.linalg.norm(way) + 1e-9
        if np.abs(position - way).max() < 1e-12:
            break
    assert np.abs(position - way).max() < 1e-9
    assert (np.abs(velocity) <= ACCELERATION * dt * (1 + 1e-6)).all()  # its last tick is one that may stop


@pytest.mark.parametrize("x", [1.0, 1.3, 1.99, 2.0, 2.5, 4.98, 7.25, 40.9])
def test_approach_is_as_fast_as_can_be_stopped(x: float) -> None:
    """x, x - 1, x - 2, ... times what one tick may brake: that is the way, and x the speed."""
    one = ACCELERATION[1] * 0.01
    way = sum(x - tick for tick in range(int(np.ceil(x)))) * one * 0.01
    assert approach(np.array([0.0, -way, 0.0]), ACCELERATION, 0.01) == pytest.approx([0.0, -x * one, 0.0], rel=1e-9)


@pytest.mark.parametrize("far", [1e30, 1e300])
def test_approach_from_very_far_is_finite_and_fast(far: float) -> None:
    wanted = approach(np.array([far, 0.0, -far]), ACCELERATION, 0.01)
    assert np.isfinite(wanted).all() and wanted[0] > 1e3 and wanted[1] == 0.0 and wanted[2] < -1e3


@pytest.mark.parametrize("near", [0.0, 5e-324, 1e-200])
def test_approach_from_very_near_goes_there_in_one_tick(near: float) -> None:
    way = np.array([near, 0.0, 0.0])
    assert (approach(way, ACCELERATION, 0.5) == way / 0.5).all()


@examples(100)
@given(ways, ticks)
def test_trail_is_where_braking_goes(velocity: np.ndarray, dt: float) -> None:
    factors = trail(velocity, ACCELERATION, dt)
    assert len(factors) <= SAMPLES
    position, moving, path = np.zeros(3), velocity, [np.zeros(3)]
    while True:
        after = braked(moving, ACCELERATION, dt)
        assert (np.abs(after - moving) <= ACCELERATION * dt * (1 + 1e-6)).all()
        if not after.any():
            break
        assert len(path) < 100_000
        moving, position = after, position + after * dt
        path.append(position)
    rest = factors[-1] * velocity if len(factors) else np.zeros(3)
    assert np.abs(rest - path[-1]).max() < 1e-7
    if len(path) > 1:
        assert np.abs(factors[0] * velocity - path[1]).max() < 1e-7
    if 1 < len(path) <= SAMPLES + 1:
        assert np.abs(factors[:, None] * velocity - path[1:]).max() < 1e-7
    assert (np.diff(factors) >= 0).all()


def test_a_stop_within_one_tick_has_no_trail() -> None:
    slow = ACCELERATION * 0.01
    assert len(trail(slow, ACCELERATION, 0.01)) == 0 and not braked(slow, ACCELERATION, 0.01).any()
    assert len(trail(1.5 * slow, ACCELERATION, 0.01)) == 1 and braked(1.5 * slow, ACCELERATION, 0.01).any()
    assert len(trail(np.zeros(3), ACCELERATION, 0.01)) == 0 and not braked(np.zeros(3), ACCELERATION, 0.01).any()
