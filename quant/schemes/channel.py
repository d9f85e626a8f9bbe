"""INT8 per output channel: the weight's side of every INT8 scheme.

Symmetric, round half to even, one scale per column. Knows nothing of activations.
"""

from __future__ import annotations

import numpy as np

from quant.schemes.base import INT8_MAX, TINY, Quantized
from quant.statistics import ProductStats


def quantize_per_channel(weight: np.ndarray, _stats: ProductStats | None = None, /) -> Quantized:
    """scale = max|w| / 127 of each column."""
    scale = np.maximum(np.abs(weight).max(axis=0), TINY).astype(np.float32) / np.float32(INT8_MAX)
    values = np.clip(np.rint(weight / scale), -INT8_MAX, INT8_MAX).astype(np.int8)
    return Quantized(values, scale)


def dequantize_per_channel(quantized: Quantized) -> np.ndarray:
    """float32 [K, N]."""
    return quantized.values.astype(np.float32) * quantized.scale
