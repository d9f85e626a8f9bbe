"""Pictures of which a given share of the depth grid's cells changes from one to the next: what thinking is timed on.

Takes one picture, gives the next ones: in each chosen cell two halves are painted, dark where it was bright. A margin
is left around, so that no neighbour changes with it when the picture is resized. Knows nothing of sessions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
DARK, BRIGHT = 20, 235
MARGIN = 6  # a cell's side over the margin that is left on each side


def shots(first: Pixels, side: int, share: float, seed: int = 0) -> Iterator[Pixels]:
    """The first picture, then one after another without end. uint8 [H, W, 3], at least 4 pixels a cell; `side` cells
    along each side. No pixel is black, because black patches count as unchanged.
    """
    random = np.random.default_rng(seed)
    now, cells = np.maximum(np.asarray(first, np.uint8), DARK), side * side
    while True:
        yield now
        now = now.copy()
        for cell in random.choice(cells, round(share * cells), replace=False):
            paint(now, divmod(int(cell), side), side)


def paint(image: Pixels, cell: tuple[int, int], side: int) -> None:
    """Repaints the inside of one cell (row, column), so that it differs whatever was there."""
    top, bottom = inside(image.shape[0], cell[0], side)
    left, right = inside(image.shape[1], cell[1], side)
    middle = (left + right) // 2
    was_bright = image[top:bottom, left:middle].mean() > (DARK + BRIGHT) / 2
    one, other = (DARK, BRIGHT) if was_bright else (BRIGHT, DARK)
    image[top:bottom, left:middle] = one
    image[top:bottom, middle:right] = other


def inside(length: int, index: int, side: int) -> tuple[int, int]:
    """First pixel of a cell's inside, and the first after it."""
    start, stop = length * index / side, length * (index + 1) / side
    margin = max(1.0, (stop - start) / MARGIN)
    return int(np.ceil(start + margin)), max(int(np.floor(stop - margin)), int(np.ceil(start + margin)) + 2)
