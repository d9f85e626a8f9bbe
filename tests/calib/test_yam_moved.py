"""Which joint moved and which way: every verdict, and that small ways give none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.moved import GOOD, OTHER, REVERSED, SEVERAL, WAITING, judge, ways

ENOUGH = {"a": 10.0, "b": 10.0, "g": 0.5}


@pytest.mark.parametrize(
    ("way", "verdict", "joints"),
    [
        ({"a": 9.0, "b": 1.0}, WAITING, ()),
        ({}, WAITING, ()),
        ({"a": 11.0, "b": 1.0}, GOOD, ("a",)),
        ({"a": -11.0, "b": 1.0}, REVERSED, ("a",)),
        ({"a": 1.0, "b": -12.0}, OTHER, ("b",)),
        ({"a": 11.0, "b": 12.0}, SEVERAL, ("b", "a")),
        ({"a": 1.0, "g": 0.6}, OTHER, ("g",)),  # each in parts of its own unit
        ({"a": 11.0, "strange": 50.0}, GOOD, ("a",)),
    ],
)
def test_verdicts(way: dict[str, float], verdict: str, joints: tuple[str, ...]) -> None:
    seen = judge("a", 1, way, ENOUGH)
    assert (seen.verdict, seen.joints) == (verdict, joints)


def test_ways_of_joints_that_answer_in_both_readings() -> None:
    assert ways({"a": 1.0, "b": 2.0}, {"a": 3.0, "c": 9.0}) == {"a": 2.0}


@given(st.floats(-1e3, 1e3), st.sampled_from([1, -1]))
def test_the_sign_alone_tells_good_from_reversed(way: float, sign: int) -> None:
    seen = judge("a", sign, {"a": way, "b": way / 3}, ENOUGH)
    turned = judge("a", -sign, {"a": way, "b": way / 3}, ENOUGH)
    assert {seen.verdict, turned.verdict} == ({WAITING} if abs(way) < 10.0 else {GOOD, REVERSED})
