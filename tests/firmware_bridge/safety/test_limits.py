"""Limits, pure: the tightest wins, and a table that leaves nothing or names nobody is refused."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.errors import ConfigError
from firmware_bridge.safety.limits import Limits, tightest

JOINTS = ("a", "b", "c")
BOUNDS = (np.array([-1.0, -1.0, -np.inf]), np.array([1.0, 1.0, np.inf]))


def test_the_tightest_wins_on_each_side() -> None:
    lower, upper = tightest(JOINTS, BOUNDS, [{"a": (-0.5, 3.0)}, {"a": (-0.7, 0.2), "c": (-2.0, 2.0)}])
    assert lower.tolist() == [-0.5, -1.0, -2.0] and upper.tolist() == [0.2, 1.0, 2.0]
    assert BOUNDS[0].tolist() == [-1.0, -1.0, -np.inf]  # its argument is left alone


def test_an_unknown_joint_is_named_with_the_known() -> None:
    with pytest.raises(ConfigError, match="a, b, c; got: elbow"):
        tightest(JOINTS, BOUNDS, [{"elbow": (0.0, 1.0)}])


@pytest.mark.parametrize("upper", [-1.0, -1.5, np.nan])
def test_limits_that_leave_no_place_are_refused(upper: float) -> None:
    with pytest.raises(ConfigError, match=r"limits of b.*lower < upper"):
        Limits(JOINTS, np.full(3, -1.0), np.array([1.0, upper, 1.0]), np.ones(3))
    Limits(JOINTS, np.full(3, -1.0), np.ones(3), np.ones(3))  # negative control
