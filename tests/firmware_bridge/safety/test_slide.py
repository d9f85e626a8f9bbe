"""Sliding: what of a velocity is turned away, and that only what is near has a say."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.safety.motion import Array
from firmware_bridge.safety.slide import MARGIN, NEAR, SOON, slide

DOWN = np.array([-1.0, 0.5, 0.2])


class Plane:
    """Free space over the plane `normal . pose = 0`, and a constraint that no pose changes."""

    names = ("plane", "fixed")

    def __init__(self, *normal: float) -> None:
        self.normal = np.array(normal)

    def clearance(self, poses: Array) -> Array:
        return np.stack([poses @ self.normal, np.full(len(poses), MARGIN / 2)], axis=1)


FLOOR = Plane(1.0, 0.0, 0.0)


def test_far_away_nothing_is_turned() -> None:
    for height in (NEAR, NEAR + 0.001):
        assert slide(DOWN, np.array([height, 0.0, 0.0]), FLOOR).tolist() == DOWN.tolist()
    for height in (NEAR - 1e-6, NEAR - 0.001):  # negative control
        assert slide(DOWN, np.array([height, 0.0, 0.0]), FLOOR).tolist() != DOWN.tolist()


@pytest.mark.parametrize("height", [0.04, 0.01, MARGIN, 0.0])
def test_near_something_it_is_approached_ever_more_slowly_and_the_rest_goes_on(height: float) -> None:
    turned = slide(DOWN, np.array([height, 0.0, 0.0]), FLOOR)
    assert turned == pytest.approx([-(height - MARGIN) / SOON, 0.5, 0.2], abs=1e-9)


def test_what_leads_away_is_left_alone() -> None:
    assert slide(-DOWN, np.array([0.0, 0.0, 0.0]), FLOOR).tolist() == (-DOWN).tolist()


@pytest.mark.parametrize("depth", [0.1, 1e-6])
def test_what_is_inside_is_kept_there_but_not_pushed_out(depth: float) -> None:
    assert slide(DOWN, np.array([-depth, 0.0, 0.0]), FLOOR) == pytest.approx([0.0, 0.5, 0.2], abs=1e-9)
    assert not slide(np.zeros(3), np.array([-depth, 0.0, 0.0]), FLOOR).any()


def test_the_direction_that_is_taken_away_is_that_of_the_gradient() -> None:
    turned = slide(np.array([-1.0, -1.0, 1.0]), np.array([MARGIN / 2, MARGIN / 2, 0.0]), Plane(1.0, 1.0, 0.0))
    assert turned == pytest.approx([0.0, 0.0, 1.0], abs=1e-9)


def test_in_a_corner_both_walls_count() -> None:
    class Corner:
        names = ("floor", "wall")

        def clearance(self, poses: Array) -> Array:
            return poses @ np.array([[1.0, 0.8], [0.0, 0.6], [0.0, 0.0]])

    turned = slide(np.array([-1.0, -1.0, 1.0]), np.zeros(3), Corner())
    assert turned[0] >= -1e-3 and turned @ [0.8, 0.6, 0.0] >= -1e-3 and turned[2] == pytest.approx(1.0)


def test_beside_an_edge_only_the_face_that_is_met_counts() -> None:
    """Another face begins a fraction of a millimetre on: a gradient that looks so far would press into this one."""

    class Edge:
        names = ("box",)

        def clearance(self, poses: Array) -> Array:
            return poses[:, :2].max(axis=1, keepdims=True)

    turned = slide(np.array([-1.0, 1.0, 0.0]), np.array([2 * MARGIN, MARGIN, 0.0]), Edge())
    assert turned == pytest.approx([-MARGIN / SOON, 1.0, 0.0], abs=1e-9)
