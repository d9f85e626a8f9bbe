"""INT4 in groups of rows: each group of each column has a scale of its own. Rounded to nearest (RTN).

Symmetric, -7 to 7 from the largest magnitude: TensorRT takes no zero points and no negative scales. `clipped_scale`
finds a smaller range where that loses less; GPTQ and AWQ use it. A group that does not divide the rows is refused, as
TensorRT refuses ragged blocks: 4304 (the ViT's MLP) and 588 (its patches) have no group of 32, so plans give them
INT8 or float16 instead of padding what is small.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from policy_spec.errors import QuantError, sentence
from quant.schemes.base import INT4_MAX, TINY, Quantize, Quantized
from quant.statistics import ProductStats

GROUPS = (32, 64, 128)
_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)  # of the largest magnitude, as the range


def in_blocks(weight: np.ndarray, group: int) -> np.ndarray:
    """[K, N] as [K / group, group, N]. Raises QuantError where the group does not divide K."""
    rows, columns = weight.shape
    if rows % group:
        raise QuantError(
            sentence(
                f"a weight of {rows} rows cannot be cut into INT4 groups of {group}",
                expected=f"a multiple of {group}",
                got=rows,
                do="choose int8-weight or fp16 for its tensor group, or a group size that divides",
            )
        )
    return weight.reshape(rows // group, group, columns)


def full_scale(blocks: np.ndarray) -> np.ndarray:
    """max|w| / 7 of each group: float32 [K / group, N]."""
    return np.maximum(np.abs(blocks).max(axis=1), TINY).astype(np.float32) / np.float32(INT4_MAX)


def round_blocks(blocks: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Integers -8 to 7 of [K / group, group, N] by scales [K / group, N]; as float32."""
    return np.clip(np.rint(blocks / scale[:, None, :]), -8, 7)


def clipped_scale(blocks: np.ndarray, importance: np.ndarray) -> np.ndarray:
    """The scale that loses least of w * sqrt(importance), where importance [K] is the mean square of the activation
    (the diagonal of AWQ's and GPTQ's error): all of the range, or less where an outlier would coarsen the group.
    """
    full = full_scale(blocks)
    weights = importance.reshape(blocks.shape[0], blocks.shape[1], 1).astype(np.float32)
    best, least = full.copy(), np.full(full.shape, np.inf, dtype=np.float32)
    for share in _SHARES:
        scale = full * np.float32(share)
        loss = (np.square(round_blocks(blocks, scale) * scale[:, None, :] - blocks) * weights).sum(axis=1)
        better = loss < least
        best[better], least[better] = scale[better], loss[better]
    return best


def quantize_rtn(group: int) -> Quantize:
    """Rounded to nearest in groups of `group` rows."""

    def quantize(weight: np.ndarray, _stats: ProductStats | None = None, /) -> Quantized:
        blocks = in_blocks(weight, group)
        return from_blocks(blocks, full_scale(blocks), group)

    return quantize


def from_blocks(blocks: np.ndarray, scale: np.ndarray, group: int) -> Quantized:
    """What is stored, of blocks rounded to the nearest."""
    values = round_blocks(blocks, scale).astype(np.int8).reshape(-1, blocks.shape[-1])
    return Quantized(values, scale, group)


def dequantize_blocks(quantized: Quantized) -> np.ndarray:
    """float32 [K, N]."""
    blocks = in_blocks(quantized.values, quantized.group).astype(np.float32)
    values: np.ndarray = (blocks * quantized.scale[:, None, :]).reshape(quantized.values.shape)
    return values


Blocks = Callable[[int], Quantize]
