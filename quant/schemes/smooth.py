"""SmoothQuant: channels of the activation that are large are divided, the weight's rows multiplied by the same.

factor = max|x|^a / max|w|^(1 - a) (Xiao et al. 2022, equation 4). The strength a is searched for each activation by
the error of the quantized product on the sample, each output channel in its own size, so that one that stands out does
not hide what the others lose; 0 stands for no migration at all. Where the factor goes (a norm's
weight, or a Mul) is the graph's business.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quant.schemes.base import TINY, Factor, Quantized, divided
from quant.schemes.channel import dequantize_per_channel, quantize_per_channel
from quant.schemes.static import round_static, static_step
from quant.schemes.token import quantize_per_token
from quant.statistics import ProductStats

STRENGTHS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ROWS = 64  # of the sample, for the search
Round = Callable[[np.ndarray, ProductStats], np.ndarray]


def round_rows(x: np.ndarray, _stats: ProductStats) -> np.ndarray:
    """x as the product per token sees it."""
    values, largest = quantize_per_token(x)
    return values.astype(np.float32) * np.float32(1.0 / 127.0) * largest


def round_tensor(x: np.ndarray, stats: ProductStats) -> np.ndarray:
    """x as the product with a static grid sees it."""
    return round_static(x, static_step(stats))


def smoothing(rounded: Round) -> Factor:
    """The factor of products whose activation is rounded so."""

    def factor(weight: np.ndarray, stats: ProductStats) -> np.ndarray:
        x = spread(stats.sample, ROWS)
        exact, best = x @ weight, (np.inf, np.ones(len(weight), dtype=np.float32))
        size = np.abs(exact).max(axis=0) + np.float32(TINY)
        for strength in STRENGTHS:
            tried = migration(weight, stats.largest, strength)
            moved: Quantized = quantize_per_channel(weight * tried[:, None])
            got = rounded(x / tried, divided(stats, tried)) @ dequantize_per_channel(moved)
            lost = float(np.square((got - exact) / size).sum(dtype=np.float64))
            best = min(best, (lost, tried), key=lambda pair: pair[0])
        return best[1]

    return factor


def migration(weight: np.ndarray, largest: np.ndarray, strength: float) -> np.ndarray:
    """The factor of one strength, float32 [K], 1 where a channel or a row is all zeros."""
    if strength == 0.0:
        return np.ones(len(weight), dtype=np.float32)
    rows = np.abs(weight).max(axis=1)
    there = (largest > TINY) & (rows > TINY)
    factor = np.where(there, largest, 1.0) ** strength / np.where(there, rows, 1.0) ** (1.0 - strength)
    return np.clip(np.where(there, factor, 1.0), 1e-5, 1e5).astype(np.float32)


def spread(sample: np.ndarray, rows: int) -> np.ndarray:
    """At most `rows` rows, evenly over the sample."""
    return sample[np.linspace(0, len(sample) - 1, min(rows, len(sample))).astype(np.int64)]
