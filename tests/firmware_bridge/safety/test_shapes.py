"""Boxes against boxes: the quick answer against slow truths that know nothing of separating axes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.safety.shapes import Boxes, corners, separation
from tests.firmware_bridge.safety.examples import examples

Array = npt.NDArray[np.float64]
DIRECTIONS = np.random.default_rng(1).normal(size=(3, 4000))
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=0)


def random_boxes(count: int, seed: int, spread: float = 0.8) -> Boxes:
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0].transpose(1, 2, 0)
    return Boxes(rng.normal(size=(3, count)) * spread, axes.copy(), rng.uniform(0.1, 1.0, (3, count)))


def box(centre: object, half: object, axes: object = None) -> Boxes:
    turn = np.eye(3) if axes is None else np.asarray(axes)
    return Boxes(np.array(centre, dtype=float)[:, None], turn[:, :, None], np.array(half, dtype=float)[:, None])


def overlap(first: Boxes, second: Boxes, m: int, ways: Array) -> Array:
    """The gap [W] between the shadows of pair m on each of `ways` [3, W]."""
    reach = sum(np.abs(side.axes[:, :, m].T @ ways).T @ side.half[:, m] for side in (first, second))
    gaps: Array = np.abs((second.centres[:, m] - first.centres[:, m]) @ ways) - reach
    return gaps


def distance(first: Boxes, second: Boxes, m: int) -> float:
    """The distance of pair m by going to and fro between the nearest points, 0 when they touch."""
    point = second.centres[:, m].copy()
    for _ in range(3000):
        before = point
        for side in (first, second):
            local = side.axes[:, :, m].T @ (point - side.centres[:, m])
            near = side.centres[:, m] + side.axes[:, :, m] @ np.clip(local, -side.half[:, m], side.half[:, m])
            gap, point = float(np.linalg.norm(near - point)), near
        if np.linalg.norm(point - before) < 1e-13:
            break
    return gap


def test_boxes_that_overlap_are_as_deep_as_the_shallowest_shadow() -> None:
    first, second = random_boxes(400, 2), random_boxes(400, 3)
    depth = separation(first, second)
    inside = np.flatnonzero(depth < 0)
    assert 100 < len(inside) < 300
    worst = 0.0
    for m in inside:
        best = overlap(first, second, m, DIRECTIONS).max()
        assert best <= depth[m] + 1e-9  # no direction frees them sooner
        worst = max(worst, depth[m] - best)
    assert worst < 0.1  # and some direction nearly does


def test_a_gap_is_never_more_than_the_distance() -> None:
    first, second = random_boxes(300, 4), random_boxes(300, 5)
    free = separation(first, second)
    for m in range(300):
        apart = distance(first, second, m)
        assert free[m] <= apart + 1e-6
        assert (free[m] > 1e-3) <= (apart > 1e-6)
        assert (free[m] < -1e-3) <= (apart < 1e-4)


@pytest.mark.parametrize(
    ("centre", "half", "expected"),
    [
        ((3.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1.0),
        ((2.0, 0.5, 0.5), (1.0, 1.0, 1.0), 0.0),
        ((1.5, 0.0, 0.0), (1.0, 1.0, 1.0), -0.5),
        ((0.0, 0.0, 0.0), (0.1, 0.1, 0.1), -1.1),
        ((0.0, 0.0, -4.0), (1.0, 1.0, 0.5), 2.5),
    ],
)
def test_boxes_in_line(centre: tuple[float, ...], half: tuple[float, ...], expected: float) -> None:
    assert separation(box((0, 0, 0), (1, 1, 1)), box(centre, half)) == pytest.approx([expected])


def test_edges_that_cross_are_told_apart_where_no_face_does() -> None:
    """Two bars crossed corner to corner: every face overlaps, only the axis square to both edges is free."""
    turn = np.sqrt(0.5)
    along_x = box((0, 0, 0), (2, 0.5, 0.5), [[1, 0, 0], [0, turn, -turn], [0, turn, turn]])
    for height, free in ((1.5, 1.5 - 2 * 0.5 * np.sqrt(2)), (1.3, 1.3 - np.sqrt(2))):
        along_y = box((0, 0, height), (0.5, 2, 0.5), [[turn, 0, turn], [0, 1, 0], [-turn, 0, turn]])
        assert separation(along_x, along_y) == pytest.approx([free])


@examples(60)
@given(seed=st.integers(0, 10_000), shift=st.tuples(*[st.floats(-5, 5)] * 3))
def test_moving_both_changes_nothing_and_neither_does_their_order(seed: int, shift: tuple[float, float, float]) -> None:
    first, second = random_boxes(20, seed), random_boxes(20, seed + 1)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    free = separation(first, second)
    there = [
        Boxes(turn @ side.centres + np.array(shift)[:, None], np.einsum("ij,jkm->ikm", turn, side.axes), side.half)
        for side in (first, second)
    ]
    assert separation(there[0], there[1]) == pytest.approx(free, abs=1e-9)
    assert separation(second, first) == pytest.approx(free, abs=1e-9)
    grown = Boxes(second.centres, second.axes, second.half * 1.1)
    assert ((separation(first, grown) < 0) >= (free < 0)).all()


def test_many_at_once_are_the_same_as_one_by_one_and_none_is_none() -> None:
    first, second = random_boxes(50, 8), random_boxes(50, 9)
    free = separation(first, second)
    for m in range(50):
        index = np.array([m])
        assert separation(first.take(index), second.take(index)) == pytest.approx(free[[m]])
    nobody = np.zeros(0, dtype=np.intp)
    assert separation(first.take(nobody), second.take(nobody)).shape == (0,)


def test_not_a_number_is_not_a_gap() -> None:
    broken = box((np.nan, 0, 0), (1, 1, 1))
    assert np.isnan(separation(broken, box((5, 0, 0), (1, 1, 1)))).all()


def test_corners_are_the_lowest_points() -> None:
    boxes = random_boxes(40, 6)
    rng = np.random.default_rng(0)
    for m in range(40):
        frame = np.eye(4)
        frame[:3, :3], frame[:3, 3] = boxes.axes[:, :, m], boxes.centres[:, m]
        found = corners(frame, boxes.half[:, m])
        assert found.shape == (8, 3)
        within = boxes.centres[:, m] + rng.uniform(-1, 1, (200, 3)) * boxes.half[:, m] @ boxes.axes[:, :, m].T
        reach = np.abs(boxes.axes[2, :, m]) @ boxes.half[:, m]
        assert found[:, 2].min() == pytest.approx(boxes.centres[2, m] - reach)
        assert found[:, 2].min() <= within[:, 2].min()
