"""INT8 activations on one grid for the whole tensor, its step calibrated beforehand.

Cheaper than per token (no row is measured while the graph runs) and TensorRT's own form; one outlier in any channel
coarsens the grid of all, so it wants smoothing, and products without outliers. Symmetric, as TensorRT asks.
"""

from __future__ import annotations

import numpy as np

from policy_spec.errors import QuantError, sentence
from quant.schemes.base import INT8_MAX, TINY, Quantized
from quant.schemes.channel import quantize_per_channel
from quant.statistics import ProductStats

_SHARES = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], dtype=np.float32)  # of the largest value, as the range


def quantize_static(weight: np.ndarray, stats: ProductStats | None = None, /) -> Quantized:
    """The weight per channel, the activation's step from its statistics."""
    if stats is None:
        raise QuantError(sentence("static INT8 needs statistics of the activations", do="give calibration episodes"))
    quantized = quantize_per_channel(weight)
    return Quantized(quantized.values, quantized.scale, step=static_step(stats))


def static_step(stats: ProductStats) -> float:
    """The step whose grid loses least on the sample, in squares: values beyond the range are clipped."""
    largest = float(stats.largest.max(initial=0.0))
    if largest <= TINY:
        return float(np.float32(1.0 / INT8_MAX))
    steps = largest * _SHARES / np.float32(INT8_MAX)
    losses = [float(np.square(round_static(stats.sample, step) - stats.sample).sum(dtype=np.float64)) for step in steps]
    return float(steps[int(np.argmin(losses))])


def quantize_static_activation(x: np.ndarray, step: float) -> np.ndarray:
    """Activations [..., K] -> int8, as QuantizeLinear does it."""
    return np.clip(np.rint(x / np.float32(step)), -128, 127).astype(np.int8)


def round_static(x: np.ndarray, step: float) -> np.ndarray:
    """x on the grid, float32."""
    return quantize_static_activation(x, step).astype(np.float32) * np.float32(step)


def product_static(x: np.ndarray, weight: Quantized) -> np.ndarray:
    """The slow truth: integers multiplied exactly, then the scales. x [..., K] -> [..., N]."""
    values = quantize_static_activation(x if weight.before is None else x * weight.before, weight.step)
    exact = values.astype(np.int64) @ weight.values.astype(np.int64)
    return (exact.astype(np.float64) * weight.scale * np.float64(np.float32(weight.step))).astype(np.float32)
