"""W8A8 per token: the row is divided by its largest magnitude, put on the fixed grid 1 / 127 by quantize and
dequantize, and the magnitude is multiplied back after the product.

ONNX Runtime fuses quantize, dequantize and MatMul into an integer kernel; TensorRT takes the same form, which
DynamicQuantizeLinear and MatMulInteger do not offer (docs/sources.md, INT8 per token). One form for both: the integer
kernel of ONNX Runtime, written directly, is not measurably faster.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from quant.rewrite.work import ISLAND, Insert, Product, Work, finish
from quant.schemes import INT8_MAX, TINY

OPERATORS = frozenset(["Abs", "DequantizeLinear", "Div", "Max", "Mul", "QuantizeLinear", "ReduceMax"])
_ISLAND = "int8"


def rewrite_rows(work: Work, product: Product) -> None:
    """In place."""
    node, x, name = product.node, product.x, str(product.node.name)
    add = Insert(work.graph, node, _ISLAND)
    if x not in work.rows:
        work.rows[x] = _scale_rows(add, x, name)
    (unit, scale), user = work.rows[x], work.users[x]
    work.users[x] += 1
    # Each product has a quantize and dequantize of its own: ONNX Runtime fuses only a pair that has one user, and
    # merges pairs that look alike. Their `axis` tells them apart; with a scalar scale it has no other meaning.
    grid = add.op("QuantizeLinear", unit, *_unit_scale(add), name=f"{name}.q", axis=user)
    row = add.op("DequantizeLinear", grid, *_unit_scale(add), name=f"{name}.row", axis=user)
    node.replace_input_with(0, row)
    node.replace_input_with(1, integer_weight(work, add, product))
    node.metadata_props[ISLAND] = _ISLAND
    after = ir.node("Mul", (node.outputs[0], scale), name=f"{name}.rescale", metadata_props={ISLAND: _ISLAND})
    finish(work.graph, node, after)


def _scale_rows(add: Insert, x: ir.Value, name: str) -> tuple[ir.Value, ir.Value]:
    """Each row divided by its largest magnitude, so that it lies in [-1, 1]; and those magnitudes."""
    axis = add.const("quant.last_axis", np.array([-1], dtype=np.int64))
    largest = add.op("ReduceMax", add.op("Abs", x, name=f"{name}.abs"), axis, name=f"{name}.max", keepdims=1)
    floor = add.const("quant.tiny", np.array(TINY, dtype=np.float32))
    scale = add.op("Max", largest, floor, name=f"{name}.nonzero")
    return add.op("Div", x, scale, name=f"{name}.unit"), scale


def _unit_scale(add: Insert) -> tuple[ir.Value, ir.Value]:
    """Scale 1 / 127 (a row divided by its largest value fills the grid), zero point 0."""
    step = add.const("quant.step", np.array(1.0 / INT8_MAX, dtype=np.float32))
    return step, add.const("quant.zero", np.array(0, dtype=np.int8))


def integer_weight(work: Work, add: Insert, product: Product) -> ir.Value:
    """The weight as INT8 per channel, dequantized by a node of its own."""
    values, scale = stored_weight(work, add, product)
    channels = product.sides[1]
    zero = add.const(f"quant.zeros_{channels}", np.zeros(channels, dtype=np.int8))
    return add.op("DequantizeLinear", values, scale, zero, name=f"{product.node.name}.dq", axis=1)


def stored_weight(work: Work, add: Insert, product: Product) -> tuple[ir.Value, ir.Value]:
    """The weight's integers [K, N] and scales [N] as initializers, computed when written."""
    name, (rows, channels), compute = product.name, product.sides, work.quantized(product)
    values = add.lazy(f"{name}.values", ir.DataType.INT8, (rows, channels), lambda: compute().values)
    return values, add.lazy(f"{name}.scale", ir.DataType.FLOAT, (channels,), lambda: compute().scale)
