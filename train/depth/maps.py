"""Depth maps as an autoencoder sees them, and how well codes say what was seen. Numpy alone.

Takes maps [h, w] in metres (or of a monocular model, 0 to 1), NaN where nothing was measured; gives squares of one
size, shares of a range, and errors per cell in the unit of the maps. Knows nothing of networks and files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from policy_spec.errors import DatasetError, sentence

Floats = NDArray[np.float32]
QUANTILES = (0.005, 0.995)  # of all pixels: what lies beyond counts as lying there
BATCH = 256  # maps at once


@dataclass(frozen=True, slots=True)
class Range:
    """What depth is a share of."""

    near: float
    far: float
    unit: str = "m"  # "" of a monocular model, whose numbers have none

    def share(self, maps: Floats) -> Floats:
        """-1 at near (and nearer) to 1 at far; what was not measured counts as far."""
        out = (np.nan_to_num(maps, nan=self.far) - self.near) / (self.far - self.near)
        return np.clip(2.0 * out - 1.0, -1.0, 1.0).astype(np.float32)

    def depth(self, shares: Floats) -> Floats:
        """The inverse."""
        return np.asarray((shares + 1.0) / 2.0 * (self.far - self.near) + self.near, np.float32)

    def clipped(self, maps: Floats) -> Floats:
        """What of the maps can be said; NaN stays."""
        return np.clip(maps, self.near, self.far)


@dataclass(frozen=True, slots=True)
class Errors:
    """Mean distance of a cell's mean depth from the truth's, in the unit of the maps."""

    codes: float  # what the codes say
    constant: float  # who says each cell's usual depth, whatever is seen
    shuffled: float  # the same codes with the entries of the codebook shuffled: the control
    used: int  # codes
    perplexity: float  # of their shares: as many as so many equally frequent ones

    def to_json(self) -> dict[str, Any]:
        return {name: round(float(getattr(self, name)), 6) for name in self.__slots__}


def square(depth: Floats, side: int) -> Floats:
    """[h, w] -> [side, side]: means over areas, of what was measured; NaN where nothing was."""
    values = np.asarray(depth, np.float32)
    known = np.isfinite(values).astype(np.float32)
    filled = np.where(known > 0, values, np.float32(0))
    box = Image.Resampling.BOX
    total, share = (np.asarray(Image.fromarray(each).resize((side, side), box)) for each in (filled, known))
    with np.errstate(invalid="ignore", divide="ignore"):
        out: Floats = np.where(share > 0.25, total / share, np.float32(np.nan)).astype(np.float32)
    return out


def range_of(maps: Floats, unit: str) -> Range:
    """The range of these maps. Raises DatasetError where all is equally far, or nothing was measured."""
    known = maps[np.isfinite(maps)]
    if known.size == 0:
        raise DatasetError(sentence("depth maps", expected="measured depth", got="none in all of them"))
    near, far = (float(value) for value in np.quantile(known, QUANTILES))
    if not far - near > 1e-6:
        raise DatasetError(sentence("depth maps", expected="depth that differs", got=f"{near:g} everywhere"))
    return Range(near, far, unit)


def cell_means(maps: Floats, grid: int) -> Floats:
    """[N, side, side] -> [N, grid * grid]; NaN where nothing of a cell was measured."""
    count, side = len(maps), maps.shape[-1] // grid
    cut = maps.reshape(count, grid, side, grid, side).transpose(0, 1, 3, 2, 4).reshape(count, grid * grid, -1)
    known = np.isfinite(cut)
    total, number = np.where(known, cut, 0.0).sum(-1), known.sum(-1)
    out: Floats = np.where(number > 0, total / np.maximum(number, 1), np.nan).astype(np.float32)
    return out


def off(said: Floats, truth: Floats) -> float:
    """Mean absolute difference of cells [N, cells], of those that were measured."""
    return float(np.nanmean(np.abs(said - truth)))


def usual(cells: Floats) -> Floats:
    """[N, cells] -> [cells]: the median of each, the best constant for this error. 0 where it never was measured."""
    seen = np.isfinite(cells).any(axis=0)
    out = np.zeros(cells.shape[1], np.float32)
    out[seen] = np.nanmedian(cells[:, seen], axis=0)
    return out


def spread(codes: NDArray[np.int64], values: int) -> tuple[int, float]:
    """How many codes are used, and the perplexity of their shares."""
    shares = np.bincount(codes.reshape(-1), minlength=values) / codes.size
    some = shares[shares > 0]
    return len(some), float(np.exp(-(some * np.log(some)).sum()))


def batches(count: int, size: int = BATCH) -> Iterator[slice]:
    """Slices of a range."""
    return (slice(begin, min(begin + size, count)) for begin in range(0, count, size))
