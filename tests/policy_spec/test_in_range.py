"""A state against the policy's statistics: what is inside, how far out the rest is, and where to go."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_spec.errors import ObservationError
from policy_spec.in_range import INSET, nearest_inside, places, ranges_of
from policy_spec.norm import Normalizer

# As released: the SO-100/101 policy (degrees, gripper 0..100) and the one for two YAM (rad, grippers not normalized).
SO = {
    "q01": [-41.91, 43.67, 38.39, 5.71, -63.45, 0.94],
    "q99": [48.29, 185.26, 173.14, 91.78, 42.94, 44.14],
}
YAM = {
    "q01": [-0.66, 0.004, 0.014, -1.374, -0.359, -0.93, 0.051, -0.494, 0.005, 0.017, -1.424, -0.974, -0.472, 0.033],
    "q99": [0.47, 2.244, 2.008, 0.134, 0.883, 0.334, 0.987, 0.738, 2.285, 2.061, 0.24, 0.53, 0.962, 0.995],
    "mask": ([True] * 6 + [False]) * 2,
}
MEDIAN = [3.07, 123.16, 124.40, 57.89, -11.04, 9.24]


def so() -> Normalizer:
    return Normalizer.from_stats(SO, "q01_q99")


def test_the_middle_is_inside_and_stays() -> None:
    ranges = ranges_of(so())
    assert all(place.inside and place.beyond == 0 for place in places(MEDIAN, ranges))
    assert np.array_equal(nearest_inside(MEDIAN, ranges), MEDIAN)


def test_a_tenth_of_the_width_beyond_an_end_still_counts() -> None:
    ranges = ranges_of(so())
    width = 185.26 - 43.67
    for lift, inside in ((185.26 + 0.09 * width, True), (185.26 + 0.11 * width, False), (43.67 - 0.11 * width, False)):
        place = places([3.07, lift, *MEDIAN[2:]], ranges)[1]
        assert place.inside is inside
        assert place.widths == pytest.approx(0.09 if inside else math.copysign(0.11, lift - 100), abs=1e-3)
    under = places([3.07, 0.0, *MEDIAN[2:]], ranges)[1]
    assert under.beyond == pytest.approx(-43.67, abs=1e-4)


def test_the_nearest_state_inside_moves_only_what_is_outside_and_a_little_inward() -> None:
    ranges = ranges_of(so())
    value = [48.5, 230.0, 124.40, -60.0, -11.04, 90.0]  # the pan is a little beyond q99: inside by the margin
    got = nearest_inside(value, ranges)
    assert got[[0, 2, 4]].tolist() == [48.5, 124.40, -11.04]
    assert got[1] == pytest.approx(185.26 - INSET * (185.26 - 43.67), abs=1e-3)
    assert got[3] == pytest.approx(5.71 + INSET * (91.78 - 5.71), abs=1e-3)
    assert all(place.inside and place.beyond == 0 for place in places(got[1:], ranges[1:]))


def test_two_arms_and_grippers_that_pass_through() -> None:
    ranges = ranges_of(Normalizer.from_stats(YAM, "q01_q99"))
    home = [0.0, 1.05, 1.0, -0.6, 0.0, 0.0, 0.7] * 2
    assert len(ranges) == 14 and all(place.inside for place in places(home, ranges))
    percent = places([*home[:6], 70.0, *home[7:]], ranges)[6]
    assert not percent.inside and percent.widths == pytest.approx(73.7, abs=0.1)  # a gripper in another unit


@pytest.mark.parametrize(
    ("mode", "stats", "kind", "low", "high"),
    [
        ("q10_q90", {"q10": [-1.28], "q90": [1.28]}, "q10..q90", -1.28 - 0.6 * 2.56, 1.28 + 0.6 * 2.56),
        ("min_max", {"min": [-3.0], "max": [7.0]}, "min..max", -4.0, 8.0),
        ("mean_std", {"mean": [5.0], "std": [2.0]}, "mean +- 2.33 std", 5 - 4.66 * 1.2, 5 + 4.66 * 1.2),
    ],
)
def test_other_statistics(mode: str, stats: dict[str, list[float]], kind: str, low: float, high: float) -> None:
    [found] = ranges_of(Normalizer.from_stats(stats, mode))
    assert found.kind == kind
    for value, inside in ((low + 0.01, True), (low - 0.01, False), (high - 0.01, True), (high + 0.01, False)):
        assert found.inside(value) is inside


def test_what_is_not_known_says_so_and_refuses_nothing() -> None:
    nothing = ranges_of(Normalizer.from_stats({}, "none", 6))
    assert len(nothing) == 6 and all("norm mode none" in row.why for row in nothing)
    assert all(place.inside and place.beyond == 0 for place in places([1e6] * 6, nothing))
    assert nearest_inside([1e6] * 6, nothing).tolist() == [1e6] * 6
    still = Normalizer.from_stats({"q01": [4.0, 0.0], "q99": [5.0, 1.0], "min": [4, 0], "max": [4, 1]}, "q01_q99")
    flat = Normalizer.from_stats({"q01": [4.0, 0.0], "q99": [4.0, 1.0]}, "q01_q99")
    for state in (still, flat):
        rows = ranges_of(state)
        assert "never changed" in rows[0].why and rows[1].known
        assert [place.inside for place in places([99.0, 99.0], rows)] == [True, False]


def test_a_value_that_is_no_number_is_nowhere_inside() -> None:
    ranges = ranges_of(so())
    assert not places([math.nan, *MEDIAN[1:]], ranges)[0].inside
    assert not places([math.nan], ranges_of(Normalizer.from_stats({}, "none", 1)))[0].inside


def test_a_state_of_another_width_is_refused() -> None:
    with pytest.raises(ObservationError, match=r"a state; expected: 6 values; got: \[7\]"):
        places([0.0] * 7, ranges_of(so()))


@given(st.lists(st.floats(-1e4, 1e4), min_size=6, max_size=6))
def test_the_start_pose_is_always_inside(values: list[float]) -> None:
    ranges = ranges_of(so())
    goal = nearest_inside(values, ranges)
    assert all(place.inside for place in places(goal, ranges))
    moved = goal != np.asarray(values)
    assert moved.tolist() == [not place.inside for place in places(values, ranges)]
