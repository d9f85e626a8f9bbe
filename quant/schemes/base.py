"""What a scheme is: how a weight is stored, how it is read back, and what that asks of the activation.

Data only. A scheme is a pair of numpy functions (quantize, dequantize), the truth that graphs are checked against;
quant.rewrite finds its ONNX form by `Scheme.form`. Knows nothing of graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from policy_spec.errors import QuantError, sentence
from quant.statistics import ProductStats

FULL, HALF, BRAIN, W8A8 = "fp32", "fp16", "bf16", "int8-w8a8"  # names of schemes that others speak of
W8 = "int8-weight"
INT8_MAX = 127.0  # symmetric: -128 is not used, so that negation is exact and no product overflows
INT4_MAX = 7.0
TINY = 1e-12  # keeps an all-zero row or channel from dividing by zero

# Forms: which rewrite writes a scheme.
FLOAT, ROWS, STATIC, WEIGHT = "float", "rows", "static", "weight"


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """A weight [K, N] as it is stored, and what its activation x [..., K] needs.

    The product is (x * before) @ dequantize(self), the activation rounded to `step` where there is one.
    """

    values: np.ndarray  # int8 [K, N] (4 bits: -8 to 7), float16, or the bits of bfloat16 as uint16
    scale: np.ndarray  # float32 [N], or [K / group, N]; empty for floats
    group: int = 0  # rows that share a scale; 0: all of a column
    before: np.ndarray | None = None  # float32 [K]; None: nothing to multiply by
    step: float = 0.0  # of a static activation grid, symmetric around 0; 0: none


class Quantize(Protocol):
    """weight float32 [K, N] and the statistics of its activations, where the scheme needs them."""

    def __call__(self, weight: np.ndarray, stats: ProductStats | None = None, /) -> Quantized: ...


# weight [K, N] (of all products that share the activation, side by side) -> float32 [K] that the activation is
# divided by and the weight's rows are multiplied with.
Factor = Callable[[np.ndarray, ProductStats], np.ndarray]


@dataclass(frozen=True, slots=True)
class Scheme:
    """One row: name, bits of weight and activation, the numpy pair, and what a person should know."""

    name: str
    weight_bits: int
    activation_bits: int
    quantize: Quantize | None  # of a weight whose factor is already in it; None: stored as trained
    dequantize: Callable[[Quantized], np.ndarray] | None
    about: str
    form: str = ""
    group: int = 0
    needs: str = ""  # "activations": statistics are needed
    factor: Factor | None = None
    rotated: bool = False  # the graph is rotated before: quant.rewrite.rotate
    gram: bool = False  # the statistics must hold the Gram matrix

    def fitted(self, weight: np.ndarray, stats: ProductStats | None = None) -> Quantized:
        """The whole scheme for one weight by itself, its own factor included. Raises QuantError without the statistics
        that it needs, or where the group does not divide K.
        """
        assert self.quantize is not None, self.name
        if self.factor is None:
            return self.quantize(weight, stats)
        factor = self.factor(weight, self.told(stats))
        quantized = self.quantize(weight * factor[:, None], divided(self.told(stats), factor))
        before = (1.0 / factor).astype(np.float32)
        return Quantized(quantized.values, quantized.scale, quantized.group, before, quantized.step)

    def told(self, stats: ProductStats | None) -> ProductStats:
        """The statistics. Raises QuantError where there are none."""
        if stats is None:
            raise QuantError(
                sentence(f"scheme {self.name} needs statistics of the activations", do="give calibration episodes")
            )
        return stats


def effective(scheme: Scheme, quantized: Quantized) -> np.ndarray:
    """The weight that the product has in effect, float32 [K, N]: dequantized, times what multiplies the activation."""
    assert scheme.dequantize is not None
    weight = scheme.dequantize(quantized)
    return weight if quantized.before is None else weight * quantized.before[:, None]


def divided(stats: ProductStats, factor: np.ndarray) -> ProductStats:
    """Statistics of x / factor."""
    sample = stats.sample / factor
    ends = float(sample.min(initial=0.0)), float(sample.max(initial=0.0))
    tails = np.quantile(sample, [0.001, 0.999]) if sample.size else np.zeros(2)
    wide = factor.astype(np.float64)
    return ProductStats(
        weight=stats.weight,
        rows=stats.rows,
        largest=stats.largest / factor,
        low=ends[0],
        high=ends[1],
        low_999=float(tails[0]),
        high_999=float(tails[1]),
        mean_square=stats.mean_square / wide**2,
        sample=sample,
        gram=None if stats.gram is None else stats.gram / np.outer(wide, wide),
    )
