"""How far solid boxes are from each other, many at once. Pure numpy.

Takes boxes as columns: centres [3, M], axes [3, 3, M] (column j is the box's j-th edge direction), half edges
[3, M], in m; gives signed distances [M]. The long index is last because numpy is fast only along that one.
Knows nothing of arms. Source: the separating axis theorem (Gottschalk, Lin, Manocha, OBBTree, 1996).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
PARALLEL = 1e-6  # sine below which two edges span no axis of their own; the faces cover that case


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """M boxes."""

    centres: Array  # [3, M]
    axes: Array  # [3, 3, M]
    half: Array  # [3, M]

    def take(self, index: npt.NDArray[np.intp]) -> Boxes:
        """Those at `index`."""
        return Boxes(self.centres[:, index], self.axes[:, :, index], self.half[:, index])


def separation(first: Boxes, second: Boxes) -> Array:
    """Signed separation [M] of box m of `first` from box m of `second`.

    Positive: a gap along an axis, which the distance is never below. Negative: the depth, the shortest way
    on which one leaves the other. The nine axes square to two edges are tried only where the six faces
    show no gap, which is seldom.
    """
    gap = second.centres - first.centres
    turn = _dot(first.axes[:, :, None], second.axes[:, None])  # [3, 3, M]: second's axes as the first sees them
    ahead = _dot(first.axes, gap[:, None])  # [3, M]: the way to the second as the first sees it
    size = np.abs(turn)
    reach_first = first.half + _dot(size.swapaxes(0, 1), second.half[:, None])
    reach_second = second.half + _dot(size, first.half[:, None])
    free: Array = np.maximum(
        (np.abs(ahead) - reach_first).max(axis=0),
        (np.abs(_dot(second.axes, gap[:, None])) - reach_second).max(axis=0),
    )
    close = np.flatnonzero(free < 0.0)
    edges = _edges(first.half[:, close], second.half[:, close], turn[:, :, close], ahead[:, close])
    free[close] = np.maximum(free[close], edges)
    return free


def _dot(one: Array, two: Array) -> Array:
    """The sum of products over the first index, which has three values."""
    total: Array = one[0] * two[0] + one[1] * two[1] + one[2] * two[2]
    return total


_NEXT, _LAST = [1, 2, 0], [2, 0, 1]


def _edges(first: Array, second: Array, turn: Array, ahead: Array) -> Array:
    """The largest gap [M] along the axes that are square to an edge of each box, [i, j] of both."""
    size = np.abs(turn)
    sine = np.sqrt(np.maximum(1.0 - turn * turn, 0.0))
    between = np.abs(ahead[_LAST, None] * turn[_NEXT] - ahead[_NEXT, None] * turn[_LAST])
    reach = first[_NEXT, None] * size[_LAST] + first[_LAST, None] * size[_NEXT]
    reach += second[None, _NEXT] * size[:, _LAST] + second[None, _LAST] * size[:, _NEXT]
    spans = sine > PARALLEL
    gaps = np.where(spans, (between - reach) / np.where(spans, sine, 1.0), -np.inf)
    best: Array = gaps.reshape(9, -1).max(axis=0)
    return best


def corners(frame: Array, half: Array) -> Array:
    """The eight corners [8, 3] of a box whose own frame is `frame` [4, 4]; a solid's lowest point is one of them."""
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    points: Array = (signs * half) @ frame[:3, :3].T + frame[:3, 3]
    return points
