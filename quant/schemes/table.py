"""The schemes, one row each."""

from __future__ import annotations

from quant.schemes.awq import awq_factor, quantize_clipped
from quant.schemes.base import BRAIN, FLOAT, FULL, HALF, ROWS, STATIC, W8, W8A8, WEIGHT, Scheme
from quant.schemes.blocks import GROUPS, dequantize_blocks, quantize_rtn
from quant.schemes.channel import dequantize_per_channel, quantize_per_channel
from quant.schemes.floats import dequantize_bfloat16, dequantize_float16, quantize_bfloat16, quantize_float16
from quant.schemes.gptq import quantize_gptq
from quant.schemes.smooth import round_rows, round_tensor, smoothing
from quant.schemes.static import quantize_static

ACTIVATIONS = "activations"
_CHANNEL = quantize_per_channel, dequantize_per_channel
_STATIC = quantize_static, dequantize_per_channel


def _floats() -> tuple[Scheme, ...]:
    half, brain = "half the bytes; norms, softmax and scores stay float32", "float32's range with 8 bits of precision"
    return (
        Scheme(FULL, 32, 32, None, None, "as trained"),
        Scheme(HALF, 16, 16, quantize_float16, dequantize_float16, half, FLOAT),
        Scheme(BRAIN, 16, 16, quantize_bfloat16, dequantize_bfloat16, brain + "; not on ONNX Runtime's CPU", FLOAT),
    )


def _int8() -> tuple[Scheme, ...]:
    rows = "int8 weights per output channel, int8 activations per token (scaled as they come)"
    static = "int8 weights per output channel, int8 activations on one calibrated grid"
    smooth = ", large channels moved into the weight (SmoothQuant)"
    return (
        Scheme(W8A8, 8, 8, *_CHANNEL, rows, ROWS),
        Scheme("int8-w8a8-static", 8, 8, *_STATIC, static, STATIC, needs=ACTIVATIONS),
        Scheme(
            "int8-w8a8-smooth", 8, 8, *_CHANNEL, rows + smooth, ROWS, needs=ACTIVATIONS, factor=smoothing(round_rows)
        ),
        Scheme(
            "int8-w8a8-static-smooth",
            8,
            8,
            *_STATIC,
            static + smooth,
            STATIC,
            needs=ACTIVATIONS,
            factor=smoothing(round_tensor),
        ),
        Scheme(
            "int8-w8a8-hadamard", 8, 8, *_CHANNEL, rows + ", rotated so that no channel stands out", ROWS, rotated=True
        ),
        Scheme(W8, 8, 32, *_CHANNEL, "int8 weights per output channel, activations as they are", WEIGHT),
    )


def _int4(group: int) -> tuple[Scheme, ...]:
    about, back = f"int4 weights in groups of {group} rows, ", dequantize_blocks
    name, clipped = f"int4-g{group}", quantize_clipped(group)
    return (
        Scheme(name, 4, 32, quantize_rtn(group), back, about + "rounded to nearest", WEIGHT, group),
        Scheme(
            f"{name}-awq",
            4,
            32,
            clipped,
            back,
            about + "rows scaled by the activations they meet (AWQ)",
            WEIGHT,
            group,
            ACTIVATIONS,
            awq_factor(group),
        ),
        Scheme(
            f"{name}-gptq",
            4,
            32,
            quantize_gptq(group),
            back,
            about + "each row's loss made up for by the next (GPTQ)",
            WEIGHT,
            group,
            ACTIVATIONS,
            gram=True,
        ),
    )


SCHEMES: dict[str, Scheme] = {
    row.name: row for row in (*_floats(), *_int8(), *(row for group in GROUPS for row in _int4(group)))
}
