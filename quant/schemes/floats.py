"""float16 and bfloat16 as stored: rounded half to even, float16 refused where it overflows.

bfloat16 is kept as the bits of its upper half, so that nothing but numpy is needed.
"""

from __future__ import annotations

import numpy as np

from policy_spec.errors import QuantError, sentence
from quant.schemes.base import Quantized
from quant.statistics import ProductStats

FLOAT16_MAX = 65504.0
_NONE = np.zeros(0, dtype=np.float32)


def quantize_float16(weight: np.ndarray, _stats: ProductStats | None = None, /) -> Quantized:
    """Raises QuantError where a value does not fit."""
    largest = float(np.abs(weight).max(initial=0.0))
    if not largest < FLOAT16_MAX + 16:  # half a step beyond the largest still rounds to it
        raise QuantError(
            sentence("a value does not fit float16", expected=f"at most {FLOAT16_MAX:g}", got=largest, do="choose bf16")
        )
    return Quantized(weight.astype(np.float16), _NONE)


def dequantize_float16(quantized: Quantized) -> np.ndarray:
    """float32, exactly."""
    return quantized.values.astype(np.float32)


def quantize_bfloat16(weight: np.ndarray, _stats: ProductStats | None = None, /) -> Quantized:
    """The upper 16 bits of float32, rounded half to even; values that are finite and fit."""
    bits = np.ascontiguousarray(weight, dtype=np.float32).view(np.uint32)
    odd = (bits >> 16) & 1
    return Quantized(((bits + 0x7FFF + odd) >> 16).astype(np.uint16), _NONE)


def dequantize_bfloat16(quantized: Quantized) -> np.ndarray:
    """float32, exactly."""
    return (quantized.values.astype(np.uint32) << 16).view(np.float32)


def round_bfloat16(x: np.ndarray) -> np.ndarray:
    """x as bfloat16 holds it, float32."""
    return dequantize_bfloat16(quantize_bfloat16(x))
