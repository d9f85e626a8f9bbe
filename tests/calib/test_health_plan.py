"""The exercise stays inside the limits, says what it changed or left out, and is as long as it says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib.health import plan
from calib.health.plan import QUICK, Exercise, estimate_s, excursions, start_pose
from firmware_bridge.errors import ConfigError
from firmware_bridge.moves import speeds
from tests.calib.health_model import INFO, Arm, checked


def info(lower: float, upper: float) -> object:
    return dataclasses.replace(INFO, lower=(lower, -1.9, 0.0), upper=(upper, 1.9, 1.0))


@settings(deadline=None, max_examples=60)
@given(
    here=st.floats(-2.0, 2.0), lower=st.floats(-1.9, 0.5), width=st.floats(0.001, 3.0), amplitude=st.floats(1.5, 20.0)
)
def test_every_row_is_inside_the_limits(here: float, lower: float, width: float, amplitude: float) -> None:
    upper = lower + width
    limits = info(lower, upper)
    pose = np.array([min(max(here, lower), upper), 0.5, 0.5])
    exercise = dataclasses.replace(QUICK, amplitude_deg=amplitude)
    ways, left_out = excursions(limits, pose, exercise)  # type: ignore[arg-type]
    assert {way.name for way in ways} | set(left_out) == set(INFO.joints)
    begin = start_pose(pose, ways)
    speed = speeds(INFO, exercise.speed)
    for way in ways:
        pieces = [plan.approach(way, begin, speed, exercise), plan.together(ways, begin, speed)]
        pieces += [plan.creeping(way, begin, way_of, INFO.grippers, exercise) for way_of in (1, -1)]
        for piece in pieces:
            low, high = np.array([lower, -1.9, 0.0]), np.array([upper, 1.9, 1.0])
            assert ((piece.path >= low) & (piece.path <= high)).all()
            assert np.allclose(
                np.delete(piece.path, [w.joint for w in ways], axis=1), np.delete(begin, [w.joint for w in ways])
            )
            assert all(0 <= part.first < part.last <= len(piece.path) for part in piece.parts)


def test_a_joint_near_its_limit_is_moved_away_and_that_is_said() -> None:
    [way], _ = excursions(INFO, np.array([1.9, 0.0, 0.5]), QUICK, ["base"])
    assert way.centre + way.reach == pytest.approx(1.9 - plan.MARGIN) and "moved by -4.6 degrees" in way.note
    [way], _ = excursions(INFO, np.array([1.0, 0.0, 0.5]), QUICK, ["base"])  # negative control
    assert way.centre == 1.0 and not way.note
    [way], _ = excursions(INFO, np.array([1.0, 0.0, 0.0]), QUICK, ["gripper"])
    assert "moved by +5.0 %" in way.note


def test_limits_that_leave_no_room_leave_the_joint_out_with_the_reason() -> None:
    ways, left_out = excursions(info(0.0, 0.05), np.array([0.02, 0.0, 0.5]), QUICK)  # type: ignore[arg-type]
    assert [way.name for way in ways] == ["elbow", "gripper"] and "leave 1.7 degrees" in left_out["base"]
    ways, left_out = excursions(info(0.0, 0.1), np.array([0.02, 0.0, 0.5]), QUICK)  # type: ignore[arg-type]
    assert not left_out and "only 2.3 degrees each way" in ways[0].note


def test_a_joint_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"no joint 'knee'; expected: base, elbow, gripper"):
        excursions(INFO, np.zeros(3), QUICK, ["knee"])


@pytest.mark.parametrize("exercise", [QUICK, Exercise()])
def test_it_takes_about_as_long_as_it_says(exercise: Exercise) -> None:
    found = checked(Arm(), exercise)
    pose = np.array(Arm().pose)
    ways, _ = excursions(INFO, pose, exercise)
    said = estimate_s(INFO, ways, start_pose(pose, ways), speeds(INFO, exercise.speed), exercise)
    took = (found.series.tick[-1] - found.series.tick[0]) / INFO.rate_hz
    assert said == pytest.approx(took, rel=0.2)


def test_no_step_of_a_path_is_faster_than_asked() -> None:
    pose = np.array([0.0, 0.5, 0.5])
    ways, _ = excursions(INFO, pose, Exercise())
    piece = plan.approach(ways[0], pose, speeds(INFO, 0.3), Exercise())
    assert np.abs(np.diff(piece.path[:, 0])).max() <= 0.3 * plan.DT_S * 1.01
