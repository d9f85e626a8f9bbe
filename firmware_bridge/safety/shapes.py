"""How far solid boxes are from each other and from a floor, many at once. Pure numpy.

Takes boxes as columns: centres [3, M], axes [3, 3, M] (column j is the box's j-th edge direction), half edges
[3, M], in m; gives signed distances [M]. The long index is last because numpy is fast only along that one.
Knows nothing of arms. Source: the separating axis theorem (Gottschalk, Lin, Manocha, OBBTree, 1996).
"""

from __future__ import annotations

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

    Positive: the largest gap along one of the 15 axes, which the distance is never below. Negative: the
    depth, the shortest way on which one leaves the other.
    """
    gap = second.centres - first.centres
    turn = sum(first.axes[k, :, None] * second.axes[k, None, :] for k in range(3))  # [3, 3, M] first^T second
    assert isinstance(turn, np.ndarray)
    along_first = sum(first.axes[k] * gap[k] for k in range(3))  # [3, M]
    along_second = sum(second.axes[k] * gap[k] for k in range(3))
    size = np.abs(turn)
    reach_first = sum(size[:, k] * second.half[k] for k in range(3))  # of the second box, along the first's axes
    reach_second = sum(size[k] * first.half[k] for k in range(3))
    faces = np.maximum(
        (np.abs(along_first) - reach_first - first.half).max(axis=0),
        (np.abs(along_second) - reach_second - second.half).max(axis=0),
    )
    best: Array = np.maximum(faces, _edges(first.half, second.half, turn, size, np.asarray(along_first)))
    return best


_NEXT, _LAST = [1, 2, 0], [2, 0, 1]


def _edges(first: Array, second: Array, turn: Array, size: Array, gap: Array) -> Array:
    """The largest gap [M] along the nine axes that are square to an edge of each box."""
    sine = np.sqrt(np.maximum(1.0 - turn * turn, 0.0))
    between = np.abs(gap[_LAST, None] * turn[_NEXT] - gap[_NEXT, None] * turn[_LAST])
    reach = first[_NEXT, None] * size[_LAST] + first[_LAST, None] * size[_NEXT]
    reach += second[None, _NEXT] * size[:, _LAST] + second[None, _LAST] * size[:, _NEXT]
    spans = sine > PARALLEL
    gaps = np.where(spans, (between - reach) / np.where(spans, sine, 1.0), -np.inf)
    best: Array = gaps.reshape(9, -1).max(axis=0)
    return best


def above(boxes: Boxes, height: float) -> Array:
    """How far the lowest corner of each box is above z = `height`, [M]; exact."""
    reach = (np.abs(boxes.axes[2]) * boxes.half).sum(axis=0)
    lowest: Array = boxes.centres[2] - reach - height
    return lowest


def apart(first: Boxes, second: Boxes) -> Array:
    """A quick lower bound [M] of the distance, by the spheres around the boxes."""
    gap = second.centres - first.centres
    distance = np.sqrt((gap * gap).sum(axis=0))
    radii = np.sqrt((first.half * first.half).sum(axis=0)) + np.sqrt((second.half * second.half).sum(axis=0))
    bound: Array = distance - radii
    return bound
