"""INT8 per output channel: the weight's side of every INT8 scheme.

Symmetric, round half to even, one scale per column. Knows nothing of activations.
"""

from __future__ import annotations

import numpy as np

from quant.schemes.base import INT8_MAX, TINY, Quantized
from quant.statistics import ProductStats

_COLUMNS = 4096  # at a time: the lm_head of a real vocabulary is 1.5 GB, and each step would make another of its size


def quantize_per_channel(weight: np.ndarray, _stats: ProductStats | None = None, /) -> Quantized:
    """scale = max|w| / 127 of each column."""
    values, scale = np.empty(weight.shape, dtype=np.int8), np.empty(weight.shape[1], dtype=np.float32)
    for start in range(0, weight.shape[1], _COLUMNS):
        part = weight[:, start : start + _COLUMNS]
        steps = np.maximum(np.abs(part).max(axis=0), TINY).astype(np.float32) / np.float32(INT8_MAX)
        scale[start : start + _COLUMNS] = steps
        values[:, start : start + _COLUMNS] = np.clip(np.rint(part / steps), -INT8_MAX, INT8_MAX)
    return Quantized(values, scale)


def dequantize_per_channel(quantized: Quantized) -> np.ndarray:
    """float32 [K, N]."""
    return quantized.values.astype(np.float32) * quantized.scale
