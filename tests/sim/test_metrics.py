"""Intervals against values worked out elsewhere; path lengths by hand."""

from __future__ import annotations

import pytest

from sim.metrics import path_length, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # R's prop.test(correct = FALSE), four places
        (8, 10, 0.4902, 0.9433),
        (0, 20, 0.0, 0.1611),
        (20, 20, 0.8389, 1.0),
        (95, 100, 0.8882, 0.9785),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=6e-5)


def test_more_trials_narrow_it() -> None:
    low, high = wilson(90, 100)
    nearer, further = wilson(900, 1000)
    assert low < nearer < 0.9 < further < high
    with pytest.raises(ValueError):
        wilson(3, 2)


def test_path_length() -> None:
    poses = [{"a": 0.0, "b": 0.0, "g": 0.0}, {"a": 1.0, "b": -0.5, "g": 1.0}, {"a": 0.5, "b": -0.5, "g": 0.0}]
    assert path_length(poses, ("a", "b")) == pytest.approx(2.0)
    assert path_length(poses[:1], ("a", "b")) == 0.0
