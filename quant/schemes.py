"""Quantization schemes as rows of a table: how a weight is stored, and how it is read back.

A scheme is a pair of numpy functions (quantize, dequantize); quant.rewrite finds its ONNX form by the scheme's name.
The pair is the truth: the graph's arithmetic is checked against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FULL, W8A8 = "fp32", "int8-w8a8"  # names of schemes
INT8_MAX = 127.0  # symmetric: -128 is not used, so that negation is exact and no product overflows
TINY = 1e-12  # keeps an all-zero row or channel from dividing by zero


@dataclass(frozen=True, slots=True)
class Quantized:
    """A weight [K, N] as integers and one scale per output channel."""

    values: np.ndarray  # int8 [K, N]
    scale: np.ndarray  # float32 [N]


def quantize_per_channel(weight: np.ndarray) -> Quantized:
    """Symmetric int8, round half to even, one scale per column: scale = max|w| / 127."""
    scale = np.maximum(np.abs(weight).max(axis=0), TINY).astype(np.float32) / np.float32(INT8_MAX)
    values = np.clip(np.rint(weight / scale), -INT8_MAX, INT8_MAX).astype(np.int8)
    return Quantized(values, scale)


def dequantize_per_channel(quantized: Quantized) -> np.ndarray:
    """float32 [K, N]."""
    return quantized.values.astype(np.float32) * quantized.scale


def quantize_per_token(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Activations [..., K] -> int8 values and each row's largest magnitude [..., 1].

    In the graph's own order of rounding: the row is divided by its magnitude, then put on the grid of 1 / 127.
    """
    largest = np.maximum(np.abs(x).max(axis=-1, keepdims=True), np.float32(TINY)).astype(np.float32)
    unit = (x / largest).astype(np.float32)
    return np.clip(np.rint(unit / np.float32(1.0 / INT8_MAX)), -128, 127).astype(np.int8), largest


def product_w8a8(x: np.ndarray, weight: Quantized) -> np.ndarray:
    """The slow truth of the W8A8 product: integers multiplied exactly, then the scales. x [..., K] -> [..., N]."""
    values, largest = quantize_per_token(x)
    exact = values.astype(np.int64) @ weight.values.astype(np.int64)
    return (exact.astype(np.float64) * weight.scale / INT8_MAX * largest).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Scheme:
    """One row: name, bits of weight and activation, the numpy pair, and what a person should know."""

    name: str
    weight_bits: int
    activation_bits: int
    quantize: Callable[[np.ndarray], Quantized] | None
    dequantize: Callable[[Quantized], np.ndarray] | None
    about: str


SCHEMES: dict[str, Scheme] = {
    row.name: row
    for row in (
        Scheme(FULL, 32, 32, None, None, "as trained"),
        Scheme(
            W8A8,
            8,
            8,
            quantize_per_channel,
            dequantize_per_channel,
            "int8 weights per output channel, int8 activations per token (scaled as they come)",
        ),
    )
}
