"""Depth codes as a picture: a grid of colours, and the cells that changed outlined on the camera's own picture.

Takes codes, masks and RGB pictures, gives RGB pictures. A code is a name, not a distance: the checkpoint comes without
the decoder that would say how far each one is. So equal colours are equal codes and nothing else; neighbours in the
palette mean nothing. Knows nothing of recordings and pages.
"""

from __future__ import annotations

import colorsys
import functools

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
GOLDEN = 0.6180339887498949  # steps of hue that never come close to one another again
LIGHTS = (0.42, 0.62, 0.78)  # in turn, so that codes of like hue differ in lightness
OUTLINE = (255, 64, 0)
UNDER = (255, 255, 255)  # beneath the outline, for pictures of its own colour


@functools.cache
def palette(values: int) -> Image:
    """[values, 3] RGB: a colour for each code, told apart as well as so many can be."""
    colours = [colorsys.hls_to_rgb(code * GOLDEN % 1.0, LIGHTS[code % 3], 0.75) for code in range(values)]
    out = np.rint(255 * np.array(colours)).astype(np.uint8)
    out.setflags(write=False)
    return out


def code_map(codes: npt.ArrayLike, side: int, cell: int = 16) -> Image:
    """[side * cell, side * cell, 3]: each cell in its code's colour, row by row as the policy predicts them."""
    names = np.asarray(codes, np.int64).reshape(side, side)
    grid = palette(max(128, int(names.max()) + 1))[names]
    return np.repeat(np.repeat(grid, cell, axis=0), cell, axis=1)


def outlined(image: npt.NDArray[np.uint8], changed: npt.ArrayLike, side: int) -> Image:
    """A copy of a picture of any size with a line around every region of changed cells.

    The grid covers the whole picture, whatever its proportions: so the policy compares it.
    """
    out = np.ascontiguousarray(image).copy()
    height, width = out.shape[:2]
    thick = max(1, round(min(height, width) / 160))
    lines = [_scaled(ends, width / side, height / side) for ends in rim(np.asarray(changed, np.bool_), side)]
    for colour, extra in ((UNDER, 2), (OUTLINE, 0)):
        for begin, end in lines:
            cv2.line(out, begin, end, colour, thick + extra)
    return out


def rim(changed: npt.NDArray[np.bool_], side: int) -> list[tuple[int, int, int, int]]:
    """Edges between a changed cell and one that is not, or the rim: (x0, y0, x1, y1) in cells, each of length 1."""
    grid = np.pad(changed.reshape(side, side), 1)
    edges = []
    for y, x in np.argwhere(grid[1:, 1:-1] != grid[:-1, 1:-1]).tolist():
        edges.append((x, y, x + 1, y))
    for y, x in np.argwhere(grid[1:-1, 1:] != grid[1:-1, :-1]).tolist():
        edges.append((x, y, x, y + 1))
    return edges


def _scaled(ends: tuple[int, int, int, int], across: float, down: float) -> tuple[tuple[int, int], tuple[int, int]]:
    x0, y0, x1, y1 = ends
    return (round(x0 * across), round(y0 * down)), (round(x1 * across), round(y1 * down))
