"""What a check finds is what was planted, on arms in numpy: play, stiction, droop, lag, heat, sag, silence."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calib.health.measure import Mark, heat, lowest
from calib.health.plan import QUICK, Exercise
from tests.calib.health_model import JOINTS, Arm, checked

SLOW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ONE_TICK = 0.09  # degrees


def test_a_healthy_arm_has_nothing() -> None:
    """Negative control of all below."""
    found = checked(Arm(), Exercise())
    for joint in found.joints.values():
        assert joint.backlash is not None and abs(joint.backlash) < 0.05
        assert joint.dead_band is not None and joint.dead_band < 0.3
        assert joint.error is not None and abs(joint.error) < ONE_TICK
        assert joint.lag_ms is not None and 20 <= joint.lag_ms <= 50
        assert (joint.heating, joint.sag, joint.missed, joint.unread) == (0.0, 0.0, 0, 0)
        assert joint.followed == pytest.approx(1.0, abs=0.05)
    assert found.notes.done == list(JOINTS) and not found.notes.ended


@SLOW
@given(
    play=st.floats(0.4, 3.0), droop=st.floats(-2.0, 2.0), lag=st.floats(0.01, 0.05), where=st.sampled_from([0, 1, 2])
)
def test_play_is_found_where_it_is_and_how_large(play: float, droop: float, lag: float, where: int) -> None:
    arm = Arm(
        play=[play if place == where else 0.0 for place in range(3)],
        droop=[droop if place == where else 0.0 for place in range(3)],
        lag_s=(lag,) * 3,
    )
    found = checked(arm, QUICK).joints
    for place, name in enumerate(JOINTS):
        joint = found[name]
        assert joint.backlash is not None and joint.error is not None and joint.dead_band is not None
        assert joint.backlash == pytest.approx(play if place == where else 0.0, abs=2 * ONE_TICK)
        assert joint.error == pytest.approx(droop if place == where else 0.0, abs=ONE_TICK)
        assert joint.dead_band < 0.45  # play alone is no dead band
        assert joint.reversal == pytest.approx(play if place == where else 0.0, abs=0.45)


@SLOW
@given(stick=st.floats(0.5, 2.5), where=st.sampled_from([0, 1, 2]))
def test_stiction_is_a_dead_band_and_no_play(stick: float, where: int) -> None:
    found = checked(Arm(stick=[stick if place == where else 0.0 for place in range(3)]), QUICK).joints
    for place, name in enumerate(JOINTS):
        joint = found[name]
        assert joint.backlash is not None and joint.backlash < 0.3
        assert joint.dead_band == pytest.approx(stick if place == where else 0.1, abs=0.25)


@SLOW
@given(lag=st.floats(0.02, 0.12))
def test_lag_is_the_time_behind_the_goal(lag: float) -> None:
    """Its own goal is a tick old when a joint is read: half of one is within the error."""
    found = checked(Arm(lag_s=(lag, 0.02, 0.02)), Exercise()).joints
    assert found["base"].lag_ms == pytest.approx(1000 * lag, abs=12 + 100 * lag)
    assert found["elbow"].lag_ms == pytest.approx(20, abs=15)


def test_a_motor_that_pushes_against_friction_pushes_the_way_it_came() -> None:
    found = checked(Arm(friction=(0.1, 0.0, 0.0)), QUICK).joints
    assert found["base"].push == pytest.approx(0.1, abs=0.02) and found["elbow"].push == 0.0


def test_a_joint_that_hangs_is_not_late_for_that() -> None:
    found = checked(Arm(lag_s=(0.05,) * 3, droop=(2.0, 0.0, 0.0)), Exercise()).joints
    assert found["base"].lag_ms == pytest.approx(found["elbow"].lag_ms, abs=10)


def test_repeats_have_a_spread_and_a_single_pair_has_none() -> None:
    assert checked(Arm(play=(1.0,) * 3), Exercise()).joints["base"].backlash_spread == pytest.approx(0.0, abs=ONE_TICK)
    assert checked(Arm(play=(1.0,) * 3), QUICK).joints["base"].backlash_spread is None


def test_a_joint_that_does_not_move_is_not_judged_otherwise() -> None:
    found = checked(Arm(stuck=(False, True, False)), QUICK)
    stuck = found.joints["elbow"]
    assert stuck.followed == pytest.approx(0.0, abs=0.05)
    assert (stuck.backlash, stuck.dead_band, stuck.lag_ms, stuck.error) == (None,) * 4
    assert found.joints["base"].backlash is not None and found.notes.done == list(JOINTS)


def test_heat_counts_what_whole_degrees_prove() -> None:
    found = checked(Arm(per_minute=(6.0, 0.9, 0.0)), Exercise()).joints
    assert found["base"].temperature_per_min == pytest.approx(6.0, abs=1.0)
    assert found["base"].heating == pytest.approx(5.0, abs=1.6)
    assert found["elbow"].heating == 0.0 == found["gripper"].heating  # one degree may be none


@pytest.mark.parametrize(
    ("rises", "sure"),
    [((0.5, 0.0), 0.0), ((0.5, 1.0), 0.0), ((0.5, 2.0), 1.0), ((0.06, 5.0), None)],
)
def test_a_whole_degree_may_be_none(rises: tuple[float, float], sure: float | None) -> None:
    """`rises`: at which part of the time, by how much. One that came at once is no rate: the slope counts."""
    series = checked(Arm(), QUICK).series
    at, by = rises
    late = np.arange(len(series.t)) >= at * len(series.t)
    series = dataclasses.replace(series, temperature=30.0 + by * np.repeat(late[:, None], 3, axis=1))
    found = heat(series, 0)
    assert found is not None
    minutes = (series.t[-1] - series.t[0]) / 60
    first, last, rate, known = found
    assert (first, last) == (30.0, 30.0 + by)
    assert known == pytest.approx(sure / minutes if sure is not None else rate) and known <= max(rate, 0.0) + 1e-9


def test_a_single_low_reading_is_a_glitch() -> None:
    found = checked(Arm(), QUICK)
    everything = [Mark("rest", -1, int(found.series.tick[0]), int(found.series.tick[-1]) + 1)]
    for count, low in ((1, 7.4), (2, 3.0)):
        voltage = found.series.voltage.copy()
        voltage[100 : 100 + count, 1] = 3.0
        assert lowest(voltage, found.series, 1, everything) == low


def test_sag_is_that_of_the_joint_and_of_all_together() -> None:
    found = checked(Arm(sag_v=(0.3, 0.8, 0.0)), QUICK).joints
    assert (found["base"].voltage, found["base"].voltage_low) == (7.4, pytest.approx(7.1))
    assert found["elbow"].sag == pytest.approx(100 * 0.8 / 7.4, abs=0.1)
    assert found["gripper"].sag == 0.0
    assert {round(joint.voltage_low_together or 0, 1) for joint in found.values()} == {6.3}


def test_silence_is_counted_for_the_joint_that_was_silent() -> None:
    found = checked(Arm(silent_every=(0, 50, 0)), QUICK).joints
    assert found["elbow"].unread_per_1000 == pytest.approx(20.0, abs=1.5)
    assert found["base"].unread == 0 == found["gripper"].unread


def test_what_was_measured_before_a_fault_is_kept() -> None:
    whole = checked(Arm(), QUICK)
    middle = int(whole.series.tick[-1] - 100) // 2 + 100
    found = checked(Arm(breaks_at=middle), QUICK)
    assert found.notes.ended == "a fault" and found.notes.done == ["base"]
    assert found.joints["base"].backlash is not None and found.joints["gripper"].backlash is None
    none = checked(Arm(breaks_at=101), QUICK)
    assert none.notes.done == [] and all(joint.backlash is None for joint in none.joints.values())


@SLOW
@given(
    play=st.tuples(*[st.floats(0.0, 9.0)] * 3), stick=st.tuples(*[st.floats(0.0, 9.0)] * 3),
    droop=st.tuples(*[st.floats(-5.0, 5.0)] * 3), breaks_at=st.integers(101, 3000),
)  # fmt: skip
def test_no_arm_however_bad_breaks_the_numbers(
    play: tuple[float, ...], stick: tuple[float, ...], droop: tuple[float, ...], breaks_at: int
) -> None:
    found = checked(Arm(play=play, stick=stick, droop=droop, breaks_at=breaks_at), QUICK)
    for joint in found.joints.values():
        numbers = [value for value in (joint.backlash, joint.dead_band, joint.lag_ms, joint.sag) if value is not None]
        assert all(map(math.isfinite, numbers))
    assert all(np.diff(found.series.tick) == 1)
