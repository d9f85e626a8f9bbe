"""Which cells of the depth grid saw a change since the picture before: the patch comparison of MolmoThink.

Takes uint8 RGB pictures of any size, gives a mask over the grid, row by row, bit for bit the released one: Pillow's
bilinear resize (which antialiases) to 32 pixels a cell, then the cosine of the raw patches in float32. Brightness as
a whole does not count; noise on a flat dark patch does. Knows nothing of codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from policy_spec.errors import SpecError, sentence
from policy_spec.image import as_rgb

CELL = 32  # pixels of one cell's side
THRESHOLD = np.float32(0.996)  # a smaller cosine is a change
_NOTHING = np.float32(1e-8)  # a product of norms below it: both patches count as equal

Bools = NDArray[np.bool_]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """One picture as the comparison sees it; kept, so that each picture is resized once."""

    pixels: Float32  # [n, CELL * CELL * 3] 0..255
    norms: Float32  # [n]


def grid_side(codes: int) -> int:
    """Cells along each side. Raises SpecError where so many codes do not fill a square."""
    side = math.isqrt(codes)
    if side * side != codes or not codes:
        raise SpecError(
            sentence("number of depth codes", expected="a square, such as 100", got=codes, do="export without think")
        )
    return side


def patches_of(image: Any, side: int) -> Patches:
    """Resizes and cuts a picture. Raises ObservationError on what is no uint8 picture."""
    pixels = as_rgb(image)
    if pixels.shape[:2] != (side * CELL, side * CELL):
        resized = Image.fromarray(pixels).resize((side * CELL, side * CELL), Image.Resampling.BILINEAR)
        pixels = np.asarray(resized)
    cut = pixels.reshape(side, CELL, side, CELL, 3).transpose(0, 2, 1, 3, 4).reshape(side * side, -1)
    values = cut.astype(np.float32)
    return Patches(values, np.sqrt(np.sum(values * values, axis=-1)))


def similarity(now: Patches, before: Patches) -> Float32:
    """[n] cosines; 1 where there is nothing to compare."""
    dot = np.sum(now.pixels * before.pixels, axis=-1)
    length = now.norms * before.norms
    out: Float32 = np.where(length < _NOTHING, np.float32(1), dot / (length + np.float32(1e-12)))
    return out


def changed_cells(now: Patches, before: Patches) -> Bools:
    """[n] True where a cell's code has to be predicted afresh."""
    out: Bools = similarity(now, before) < THRESHOLD
    return out
