"""Differences of paired successes against numbers worked out by hand, and by drawing."""

from __future__ import annotations

import numpy as np
import pytest

from sim.paired import difference, mcnemar


def test_worked_out_by_hand() -> None:
    """100 pairs: 5 only the first, 15 only the second. p = 6/102 and 16/102, middle 10/102."""
    first = [True] * 60 + [True] * 5 + [False] * 15 + [False] * 20
    second = [True] * 60 + [False] * 5 + [True] * 15 + [False] * 20
    found = difference(first, second)
    assert (found.only_first, found.only_second, found.value) == (5, 15, 0.10)
    half = 1.959963984540054 * ((22 / 102 - (10 / 102) ** 2) / 102) ** 0.5
    assert (found.low, found.high) == pytest.approx((10 / 102 - half, 10 / 102 + half))
    assert found.chance == pytest.approx(2 * sum([1, 20, 190, 1140, 4845, 15504]) / 2**20)


def test_the_same_policy_differs_by_nothing() -> None:
    found = difference([True, False, True], [True, False, True])
    assert found.value == 0.0 and found.chance == 1.0 and found.low < 0.0 < found.high
    turned = difference([True, True, False], [False, True, True])
    back = difference([False, True, True], [True, True, False])
    assert (turned.low, turned.high) == pytest.approx((-back.high, -back.low))
    assert mcnemar(0, 10) == pytest.approx(2 / 1024) and mcnemar(3, 3) == 1.0


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        first = draws.random(60) < 0.8
        second = np.where(draws.random(60) < 0.7, first, draws.random(60) < 0.6)  # truly 0.06 less
        found = difference(first.tolist(), second.tolist())
        held += found.low <= -0.06 <= found.high
    assert 0.92 <= held / 400 <= 0.99


def test_what_are_no_pairs_is_refused() -> None:
    for first, second in (([], []), ([True], [])):
        with pytest.raises(ValueError, match="pairs of"):
            difference(first, second)
