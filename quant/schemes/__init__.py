"""Quantization schemes as rows of a table: how a weight is stored, and how it is read back.

A small file for each idea; `SCHEMES` holds them by name.
"""

from __future__ import annotations

from quant.schemes.base import (
    BRAIN,
    FLOAT,
    FULL,
    HALF,
    INT4_MAX,
    INT8_MAX,
    ROWS,
    STATIC,
    TINY,
    W8,
    W8A8,
    WEIGHT,
    Quantized,
    Scheme,
    effective,
)
from quant.schemes.channel import dequantize_per_channel, quantize_per_channel
from quant.schemes.table import SCHEMES
from quant.schemes.token import product_w8a8, quantize_per_token

__all__ = [
    "BRAIN",
    "FLOAT",
    "FULL",
    "HALF",
    "INT4_MAX",
    "INT8_MAX",
    "ROWS",
    "SCHEMES",
    "STATIC",
    "TINY",
    "W8",
    "W8A8",
    "WEIGHT",
    "Quantized",
    "Scheme",
    "dequantize_per_channel",
    "effective",
    "product_w8a8",
    "quantize_per_channel",
    "quantize_per_token",
]
