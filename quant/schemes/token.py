"""INT8 activations per token: each row has the scale of its largest magnitude, found as it comes.

The slow truth of the W8A8 product beside the two steps that graphs take.
"""

from __future__ import annotations

import numpy as np

from quant.schemes.base import INT8_MAX, TINY, Quantized


def quantize_per_token(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Activations [..., K] -> int8 values and each row's largest magnitude [..., 1].

    In the graph's own order of rounding: the row is divided by its magnitude, then put on the grid of 1 / 127.
    """
    largest = np.maximum(np.abs(x).max(axis=-1, keepdims=True), np.float32(TINY)).astype(np.float32)
    unit = (x / largest).astype(np.float32)
    return np.clip(np.rint(unit / np.float32(1.0 / INT8_MAX)), -128, 127).astype(np.int8), largest


def product_w8a8(x: np.ndarray, weight: Quantized) -> np.ndarray:
    """The slow truth of the W8A8 product: integers multiplied exactly, then the scales. x [..., K] -> [..., N]."""
    values, largest = quantize_per_token(x if weight.before is None else x * weight.before)
    exact = values.astype(np.int64) @ weight.values.astype(np.int64)
    return (exact.astype(np.float64) * weight.scale / INT8_MAX * largest).astype(np.float32)
