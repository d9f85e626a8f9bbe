"""Zeros and offsets: right for every horn and old offset, inside the registers, LeRobot's where it says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.sts.circular import nearest
from calib.sts.zero import MIDDLE, MODES, POSE, Measured, fitting_offset, zeroed
from firmware_bridge.sts.calibration import MAX_TICK
from firmware_bridge.sts.travel import DEGREES_PER_TICK, TRAVEL

TURN = 4096
PER_DEGREE = 1 / DEGREES_PER_TICK
LIMITED = [name for name, travel in TRAVEL.items() if not travel.free]


def measured(joint: str, horn: float, pose_error: float = 0.0, low: float = 0.0, high: float = 0.0) -> Measured:
    """A joint whose zero is at 2048 ticks plus `horn` degrees, swept to `low` and `high` degrees inside its stops."""
    travel, zero = TRAVEL[joint], 2048 + horn * PER_DEGREE
    pose = (zero + (POSE[joint] + pose_error) * PER_DEGREE) % TURN
    return Measured(3, zero + (travel.lower + low) * PER_DEGREE, zero + (travel.upper - high) * PER_DEGREE, pose)


def reading(shaft: float, offset: int) -> float:
    return (shaft - offset) % TURN


@given(joint=st.sampled_from(LIMITED), horn=st.floats(-720, 720), mode=st.sampled_from(sorted(MODES)))
def test_every_horn_gives_the_same_range_inside_the_registers(joint: str, horn: float, mode: str) -> None:
    gripper = joint == "gripper"
    seen = measured(joint, horn)
    found = zeroed(mode, joint, seen, gripper)
    row = found.calibration
    assert abs(row.homing_offset) <= 2047
    assert 0 <= row.range_min < row.range_max <= MAX_TICK
    assert reading(seen.low, row.homing_offset) == pytest.approx(row.range_min, abs=2)
    assert reading(seen.high, row.homing_offset) == pytest.approx(row.range_max, abs=2)
    if mode != "half-turn" and not gripper:  # cut even about the zero: inwards, never beyond a stop
        assert nearest(row.range_min + row.homing_offset, seen.low) >= seen.low - 1e-6
        assert nearest(row.range_max + row.homing_offset, seen.high) <= seen.high + 1e-6
    zero = 2048 + horn * PER_DEGREE
    where = row.range_min if gripper else row.middle
    assert reading(zero, row.homing_offset) == pytest.approx(where, abs=2)
    assert found.horn_deg == pytest.approx((horn + 180) % 360 - 180, abs=0.1) or abs(abs(found.horn_deg) - 180) < 0.1


@given(horn=st.floats(-720, 720), mode=st.sampled_from(sorted(MODES)))
def test_a_joint_that_turns_freely_has_the_whole_turn_and_its_zero_from_the_pose(horn: float, mode: str) -> None:
    row = zeroed(mode, "wrist_roll", measured("wrist_roll", horn)).calibration
    assert (row.range_min, row.range_max) == (0, MAX_TICK)
    assert reading(2048 + horn * PER_DEGREE, row.homing_offset) == pytest.approx(MIDDLE, abs=1.5)


@given(st.floats(-10_000, 10_000))
def test_an_offset_always_fits_its_register(raw: float) -> None:
    offset = fitting_offset(raw)
    assert -2047 <= offset <= 2047
    away = abs(reading(raw, offset) - MIDDLE)
    assert min(away, TURN - away) <= 1.01


def test_half_a_turn_is_shifted_by_one_tick() -> None:
    assert fitting_offset(MIDDLE + 2048) in (2047, -2047) and reading(MIDDLE + 2048, 2047) == MIDDLE + 1


def test_half_turn_is_what_lerobot_writes() -> None:
    seen = Measured(2, 1554.0 + 864, 1554.0 + 3399, pose=1554.0 + 2047)
    row = zeroed("half-turn", "shoulder_pan", seen).calibration
    assert (row.id, row.drive_mode, row.homing_offset, row.range_min, row.range_max) == (2, 0, 1554, 864, 3399)


def test_half_turn_leaves_the_pose_where_the_sweep_would_wrap() -> None:
    seen = Measured(1, 5000.0, 7700.0, pose=5100.0)  # the pose was nearly at a stop
    found = zeroed("half-turn", "shoulder_pan", seen)
    assert found.note and found.calibration.range_max - found.calibration.range_min == 2700
    assert found.calibration.middle == pytest.approx(MIDDLE, abs=1)
    assert not zeroed("half-turn", "shoulder_pan", measured("shoulder_pan", 10.0, 5.0)).note


@given(joint=st.sampled_from(LIMITED[:4]), error=st.floats(-30, 30), horn=st.floats(-180, 180))
def test_the_poses_zero_is_the_middle_of_the_range(joint: str, error: float, horn: float) -> None:
    found = zeroed("pose", joint, measured(joint, horn, error))
    row = found.calibration
    assert found.doubt_deg == pytest.approx(error, abs=0.1)
    zero = 2048 + (horn + error) * PER_DEGREE
    assert reading(zero, row.homing_offset) == pytest.approx(row.middle, abs=1)
    width = (row.range_max - row.range_min) * DEGREES_PER_TICK
    assert width == pytest.approx(TRAVEL[joint].width - 2 * abs(error), abs=0.3)


def test_the_stops_doubt_is_what_the_sweep_lacks() -> None:
    found = zeroed("mechanical", "elbow_flex", measured("elbow_flex", 30.0, low=10.0))
    assert found.doubt_deg == pytest.approx(-10.0, abs=0.1)
    assert zeroed("mechanical", "elbow_flex", measured("elbow_flex", 30.0)).doubt_deg == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("mode", sorted(MODES))
@pytest.mark.parametrize("joint", LIMITED)
def test_a_horn_that_slips_is_for_the_judge(joint: str, mode: str) -> None:
    """However far it was turned, there are numbers, so that the joint is named and its cause told."""
    for width in (4095.0, 4096.0, 4097.5, 9000.0):
        row = zeroed(mode, joint, Measured(1, 100.3, 100.3 + width, (100.3 + width / 2) % TURN), joint == "gripper")
        assert 0 <= row.calibration.range_min < row.calibration.range_max <= MAX_TICK
