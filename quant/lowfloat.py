"""float16 or bfloat16 everywhere in a graph but on its float32 islands.

Islands are marked by export in metadata (RMS norms, softmax, QK^T, ViT and pooling attention, masks) and by rewrites
(what surrounds an INT8 product); layer norms, whose squares overflow, and what writes into a cache are islands by
kind. Casts stand at the borders, one for each value. Graph inputs and outputs stay float32. Weights are stored in the
low type; one that does not fit float16 is refused. Where a runtime lacks the type, `emulate` computes in float32 and
rounds every value to it. Knows nothing of plans.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from policy_spec.errors import QuantError
from quant.schemes.floats import quantize_bfloat16, quantize_float16

ISLAND = "armside.float32_island"  # metadata of nodes that stay float32, as export writes it
ISLAND_KINDS = frozenset(["LayerNormalization", "QuantizeLinear", "ScatterND"])
FLOAT = ir.DataType.FLOAT
LEAST_SCALE = 2.0**-24  # smallest float16 above 0: TensorRT takes no scale of 0, which zero weights would round to
Keep = Callable[[ir.Node], bool]


def on_island(node: ir.Node) -> bool:
    """Whether a node stays float32 in every precision."""
    return ISLAND in node.metadata_props or node.op_type in ISLAND_KINDS


def lower(graph: ir.Graph, low: ir.DataType, keep: Keep = on_island, emulate: bool = False) -> None:
    """Rewrites `graph` in place to FLOAT16 or BFLOAT16. `keep`: nodes that stay float32."""
    _Lower(graph, low, keep, emulate).run()


def rounded(array: np.ndarray, low: ir.DataType, name: str) -> ir.TensorProtocol:
    """A float32 array as a tensor of the low type. Raises QuantError where a value does not fit."""
    try:
        values = (quantize_float16 if low == ir.DataType.FLOAT16 else quantize_bfloat16)(array).values
    except QuantError as error:
        raise QuantError(f"{name}: {error}") from error
    return ir.tensor(values if low == ir.DataType.FLOAT16 else values.view(low.numpy()), dtype=low, name=name)


class _Lower:
    """One use: `run`."""

    def __init__(self, graph: ir.Graph, low: ir.DataType, keep: Keep, emulate: bool) -> None:
        self.graph, self.low, self.keep, self.emulate = graph, low, keep, emulate
        self.floats: set[ir.Value] = {v for v in graph.inputs if v.dtype == FLOAT}
        self.floats |= {v for v in graph.initializers.values() if v.const_value and v.const_value.dtype == FLOAT}
        self.lowered: set[ir.Value] = set()  # values of the low type now
        self.casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def run(self) -> None:
        for node in list(self.graph):
            if node.op_type == "Cast":
                self._cast(node)
            elif any(value in self.floats for value in node.inputs):
                self._node(node)
        for index, output in enumerate(self.graph.outputs):
            if output in self.lowered and not self.emulate:
                self.graph.outputs[index] = self._at_the_door(output)

    def _node(self, node: ir.Node) -> None:
        kept = self.keep(node)
        for index, value in enumerate(node.inputs):
            if value is None or value not in self.floats:
                continue
            if value.const_value is not None and not kept:
                step = node.op_type == "DequantizeLinear" and index == 1
                node.replace_input_with(index, self._constant(value, LEAST_SCALE if step else None))
            elif (value in self.lowered) == kept:
                node.replace_input_with(index, self._border(value, FLOAT if kept else self.low, node))
        if node.op_type == "QuantizeLinear":
            return
        for value in node.outputs:
            self.floats.add(value)
            if not kept:
                self._made_low(value)

    def _cast(self, node: ir.Node) -> None:
        """A cast to float gives the low type at once; one from float takes either."""
        if node.attributes["to"].as_int() != FLOAT:
            return
        self.floats.add(node.outputs[0])
        if not self.keep(node):
            if not self.emulate:
                node.attributes["to"] = ir.AttrInt64("to", self.low)
            self._made_low(node.outputs[0])

    def _made_low(self, value: ir.Value) -> None:
        if self.emulate:
            self._round(value)
            return
        self.lowered.add(value)
        if value.type is not None:
            value.type = ir.TensorType(self.low)

    def _constant(self, value: ir.Value, least: float | None = None) -> ir.Value:
        """An initializer's low twin, nothing in it below `least`."""
        name, source = f"{value.name}.low", value.const_value
        assert source is not None
        if name not in self.graph.initializers:
            stored = FLOAT if self.emulate else self.low

            def load() -> ir.TensorProtocol:
                array = np.asarray(source.numpy(), dtype=np.float32)
                tensor = rounded(array if least is None else np.maximum(array, least), self.low, name)
                return ir.tensor(np.asarray(tensor.numpy(), dtype=np.float32), name=name) if self.emulate else tensor

            tensor = ir.LazyTensor(load, dtype=stored, shape=source.shape, name=name)
            made = ir.Value(name=name, type=ir.TensorType(stored), shape=source.shape, const_value=tensor)
            self.graph.register_initializer(made)
        return self.graph.initializers[name]

    def _border(self, value: ir.Value, to: ir.DataType, before: ir.Node) -> ir.Value:
        """The value in another type, cast once."""
        if self.emulate and (to == FLOAT or value in self.lowered):
            return value  # both sides are float32; only what comes from an island or a door is rounded here
        key = value, to
        if key not in self.casts:
            steps = (self.low, FLOAT) if self.emulate else (to,)
            made = value
            for step in steps:
                node = ir.node("Cast", [made], {"to": step}, name=f"{value.name}.{step.name.lower()}")
                node.outputs[0].name = node.name
                self.graph.insert_before(before, node)
                made = node.outputs[0]
            self.casts[key] = made
            self.floats.add(made)
            if to != FLOAT:
                self.lowered.add(made)
        return self.casts[key]

    def _round(self, value: ir.Value) -> None:
        """Emulation: every reader of the value gets it rounded. A graph's output keeps its name."""
        node = value.producer()
        assert node is not None
        down = ir.node("Cast", [value], {"to": self.low}, name=f"{value.name or node.name}.down")
        up = ir.node("Cast", [down.outputs[0]], {"to": FLOAT}, name=f"{value.name or node.name}.up")
        self.graph.insert_after(node, [down, up])
        new = up.outputs[0]
        for consumer, index in list(value.uses()):
            if consumer is not down:
                consumer.replace_input_with(index, new)
        self.floats.add(new)
        self.lowered.add(new)
        for index, output in enumerate(self.graph.outputs):
            if output is value:
                new.type, new.shape = value.type, value.shape
                value.name, new.name = f"{value.name}.unrounded", value.name
                self.graph.outputs[index] = new

    def _at_the_door(self, value: ir.Value) -> ir.Value:
        """A graph's output in float32 again, under its name."""
        node = ir.node("Cast", [value], {"to": FLOAT}, name=f"{value.name}.door")
        door = node.outputs[0]
        door.type, door.shape = ir.TensorType(FLOAT), value.shape
        value.name, door.name = f"{value.name}.low", value.name
        self.graph.append(node)
        return door
