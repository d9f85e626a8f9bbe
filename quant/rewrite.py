"""Puts a plan into a graph: each MatMul whose weight the plan quantizes becomes its scheme's ONNX form.

W8A8 per token: the row is divided by its largest magnitude, quantized and dequantized on the fixed grid 1/127, and
the magnitude is multiplied back after the product. ONNX Runtime fuses quantize, dequantize and MatMul into an
integer kernel; TensorRT takes the same form, which DynamicQuantizeLinear and MatMulInteger do not offer
(docs/sources.md, INT8 per token). Weights stay lazy: an integer weight is computed when the graph is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from policy_spec.errors import ExportError, sentence
from quant.plan import Plan
from quant.schemes import FULL, INT8_MAX, SCHEMES, TINY, W8A8, Quantized

# What a rewrite puts beside the operators of a full-precision graph; a test holds quantized graphs to it.
OPERATORS = frozenset(["Abs", "DequantizeLinear", "Div", "Max", "Mul", "QuantizeLinear", "ReduceMax"])


@dataclass(slots=True)
class Shared:
    """What the products of one graph share while it is rewritten, and while it is written."""

    # activations that a product has already quantized: value -> (row / scale, scale, products so far)
    rows: dict[ir.Value, tuple[ir.Value, ir.Value, int]] = field(default_factory=dict)
    newest: tuple[str, Quantized] | None = None

    def quantized(self, scheme: str, name: str, source: ir.TensorProtocol) -> Quantized:
        """One weight by its scheme. Only the newest is kept: its integers and scales are written one after the
        other, and a cache of all would hold the whole graph's integers in memory.
        """
        if self.newest is None or self.newest[0] != name:
            quantize = SCHEMES[scheme].quantize
            assert quantize is not None, scheme
            self.newest = name, quantize(source.numpy())
        return self.newest[1]


def quantize_model(model: ir.Model, plan: Plan) -> dict[str, int]:
    """Rewrites `model` in place. Returns how many weights each scheme took. Raises ExportError where the plan names a
    scheme that has no rewrite.
    """
    graph = model.graph
    taken: dict[str, int] = {}
    shared = Shared()
    for node in list(graph):
        weight = node.inputs[1] if node.op_type == "MatMul" else None
        if weight is None or weight.const_value is None or len(weight.shape or ()) != 2:
            continue
        scheme = plan.choice(str(graph.name), str(weight.name)).scheme
        if scheme == FULL:
            continue
        if scheme not in REWRITES:
            raise ExportError(
                sentence(
                    f"the plan gives {weight.name} a scheme that no graph can be rewritten to",
                    expected=f"one of {', '.join([FULL, *REWRITES])}",
                    got=scheme,
                    do="add its rewrite to quant.rewrite.REWRITES",
                )
            )
        REWRITES[scheme](graph, node, shared)
        taken[scheme] = taken.get(scheme, 0) + 1
    for name in [n for n, v in graph.initializers.items() if not v.uses() and not v.is_graph_output()]:
        del graph.initializers[name]
    return taken


class _Insert:
    """Adds nodes before a given node."""

    def __init__(self, graph: ir.Graph, before: ir.Node) -> None:
        self.graph, self.before = graph, before

    def op(self, op_type: str, *inputs: ir.Value, name: str, **attributes: object) -> ir.Value:
        node = ir.node(op_type, inputs, attributes or None, name=name)  # type: ignore[arg-type]
        node.outputs[0].name = name
        self.graph.insert_before(self.before, node)
        return node.outputs[0]

    def const(self, name: str, array: np.ndarray) -> ir.Value:
        return self.initializer(name, ir.tensor(array, name=name))

    def initializer(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        if name not in self.graph.initializers:
            value = ir.Value(
                name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape), const_value=tensor
            )
            self.graph.register_initializer(value)
        return self.graph.initializers[name]


def _w8a8(graph: ir.Graph, node: ir.Node, shared: Shared) -> None:
    x, weight = node.inputs
    rows = shared.rows
    assert x is not None and weight is not None
    add, name = _Insert(graph, node), str(node.name)
    unit, scale, user = rows[x] if x in rows else (*_scale_rows(add, x, name), 0)
    rows[x] = unit, scale, user + 1
    # Each product has a quantize and dequantize of its own: ONNX Runtime fuses only a pair that has one user, and
    # merges pairs that look alike. Their `axis` tells them apart; with a scalar scale it has no other meaning.
    grid = add.op("QuantizeLinear", unit, *_unit_scale(add), name=f"{name}.q", axis=user)
    row = add.op("DequantizeLinear", grid, *_unit_scale(add), name=f"{name}.row", axis=user)
    back = add.op("DequantizeLinear", *_integer_weight(add, weight, shared), name=f"{name}.dq", axis=1)
    out = node.outputs[0]
    assert not out.is_graph_output(), name  # its consumers are rewired below; a caller could not be
    node.replace_input_with(0, row)
    node.replace_input_with(1, back)
    after = ir.node("Mul", (out, scale), name=f"{name}.rescale")
    after.outputs[0].name = f"{name}.rescaled"
    graph.insert_after(node, after)
    for consumer, index in list(out.uses()):
        if consumer is not after:
            consumer.replace_input_with(index, after.outputs[0])


def _scale_rows(add: _Insert, x: ir.Value, name: str) -> tuple[ir.Value, ir.Value]:
    """Each row divided by its largest magnitude, so that it lies in [-1, 1]; and those magnitudes."""
    axis = add.const("quant.last_axis", np.array([-1], dtype=np.int64))
    largest = add.op("ReduceMax", add.op("Abs", x, name=f"{name}.abs"), axis, name=f"{name}.max", keepdims=1)
    floor = add.const("quant.tiny", np.array(TINY, dtype=np.float32))
    scale = add.op("Max", largest, floor, name=f"{name}.nonzero")
    return add.op("Div", x, scale, name=f"{name}.unit"), scale


def _unit_scale(add: _Insert) -> tuple[ir.Value, ir.Value]:
    """Scale 1 / 127 (a row divided by its largest value fills the grid), zero point 0."""
    step = add.const("quant.step", np.array(1.0 / INT8_MAX, dtype=np.float32))
    return step, add.const("quant.zero", np.array(0, dtype=np.int8))


def _integer_weight(add: _Insert, weight: ir.Value, shared: Shared) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The weight's integers, scales and zero points as initializers, computed when written."""
    source, name = weight.const_value, str(weight.name)
    assert source is not None
    channels = int(source.shape[1])

    def lazy(part: str, dtype: ir.DataType, shape: ir.ShapeProtocol) -> ir.LazyTensor:
        return ir.LazyTensor(
            lambda: ir.tensor(np.ascontiguousarray(getattr(shared.quantized(W8A8, name, source), part))),
            dtype=dtype,
            shape=ir.Shape(tuple(shape)),
            name=f"{name}.{part}",
        )

    values = add.initializer(f"{name}.values", lazy("values", ir.DataType.INT8, ir.Shape(source.shape)))
    scale = add.initializer(f"{name}.scale", lazy("scale", ir.DataType.FLOAT, ir.Shape((channels,))))
    zero = add.const(f"quant.zeros_{channels}", np.zeros(channels, dtype=np.int8))
    return values, scale, zero


REWRITES: dict[str, Callable[[ir.Graph, ir.Node, Shared], None]] = {W8A8: _w8a8}
