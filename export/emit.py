"""Writes ONNX nodes one at a time, with weights taken lazily from a checkpoint.

A thin layer over onnx_ir's Tape. Linear layers become MatMul (+ Add), never Gemm: quantizers and weight-only kernels
skip Gemm. Products and initializers carry the weights' released names, so a plan can speak of tensor groups. Parts
that overflow float16 are written inside `island(...)`: their nodes carry the island's name in metadata, and a lower-
precision pass keeps them float32 (docs/sources.md, overflow: image features reach 1.7e4 and pooling scores 8e4, so
RMS norms, softmax, QK^T and pooling attention overflow).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

OPSET = 20  # Gelu needs 20; TensorRT 10.3 on a Jetson knows few operators of 21 and later
IR_VERSION = 10
ISLAND = "armside.float32_island"
LAYER = "armside.layer"  # whose node it is: "llm.blocks.07"; without one it is the graph's own (masks, tables)

# Every operator that may appear in an exported graph: accepted by ONNX Runtime's CPU provider and by TensorRT 10 and
# TensorRT-RTX. A test holds the graphs to this table.
OPERATORS = frozenset(
    [
        "Add",
        "Cast",
        "Concat",
        "Div",
        "Gather",
        "Gelu",
        "LayerNormalization",
        "MatMul",
        "Max",
        "Mul",
        "Pow",
        "ReduceMean",
        "ReduceSum",
        "Reshape",
        "ScatterND",  # new tokens into a cache: in place, where the runtime binds input and output to one buffer
        "Sigmoid",
        "Softmax",
        "Split",
        "Sqrt",
        "Sub",
        "Transpose",
    ]
)

Lazy = Callable[[], np.ndarray]
Output = tuple[ir.Value, str, ir.DataType, Sequence[int | str]]  # value, name, type, shape


class Emit:
    """Builds one graph. Values are onnx_ir values; `const` and `weight` make initializers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tape = Tape()
        self.inputs: list[ir.Value] = []
        self._consts: dict[str, ir.Value] = {}
        self._islands: list[str] = []
        self._layer = ""
        self._names: dict[str, int] = {}

    # -- values --
    def input(self, name: str, dtype: ir.DataType, shape: Sequence[int | str]) -> ir.Value:
        """A graph input; a side that is a name is each run's own choice."""
        value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        self.inputs.append(value)
        return value

    def const(self, name: str, array: np.ndarray) -> ir.Value:
        """An initializer from an array; the same name gives the same value."""
        if name not in self._consts:
            array = np.ascontiguousarray(array)
            self._consts[name] = self.tape.initializer(ir.tensor(array, name=name), name=name)
        return self._consts[name]

    def weight(self, name: str, shape: Sequence[int], load: Lazy) -> ir.Value:
        """An initializer read only when the graph is written. `load` gives float32 of `shape`."""
        if name not in self._consts:
            tensor = ir.LazyTensor(
                lambda: ir.tensor(np.ascontiguousarray(load(), dtype=np.float32), name=name),
                dtype=ir.DataType.FLOAT,
                shape=ir.Shape(shape),
                name=name,
            )
            self._consts[name] = self.tape.initializer(tensor, name=name)
        return self._consts[name]

    def ints(self, *values: int) -> ir.Value:
        """An int64 vector constant, named by its values."""
        return self.const("i64_" + "_".join(str(v) for v in values), np.array(values, dtype=np.int64))

    def scalar(self, value: float) -> ir.Value:
        """A float32 scalar constant, named by its value."""
        return self.const(f"f32_{value!r}", np.array(value, dtype=np.float32))

    # -- nodes --
    @contextmanager
    def island(self, name: str) -> Iterator[None]:
        """Nodes written inside stay float32 in every precision."""
        self._islands.append(name)
        try:
            yield
        finally:
            self._islands.pop()

    @contextmanager
    def layer(self, name: str) -> Iterator[None]:
        """Nodes written inside belong to one layer: its weights are written, resumed and verified as one."""
        outer, self._layer = self._layer, name
        try:
            yield
        finally:
            self._layer = outer

    def out(self, x: ir.Value) -> ir.Value:
        """What the layer hands to the next one, under a name by which both sides of a comparison find it."""
        x.name = layer_output(self._layer)
        return x

    def _meta(self) -> dict[str, str] | None:
        meta = {ISLAND: self._islands[-1]} if self._islands else {}
        return (meta | {LAYER: self._layer} if self._layer else meta) or None

    def op(self, op_type: str, *inputs: ir.Value, name: str | None = None, **attributes: object) -> ir.Value:
        """One node with one output."""
        if name is not None:  # a weight shared by several layers (context_k_proj) names several nodes
            seen = self._names[name] = self._names.get(name, -1) + 1
            name = f"{name}@{seen}" if seen else name
        return self.tape.op(op_type, inputs, attributes or None, name=name, metadata_props=self._meta())  # type: ignore[arg-type]

    def split(self, x: ir.Value, parts: int, axis: int) -> Sequence[ir.Value]:
        """x cut into equal parts along axis."""
        attributes = {"axis": axis, "num_outputs": parts}
        return self.tape.op_multi_out("Split", (x,), attributes, num_outputs=parts, metadata_props=self._meta())

    def reshape(self, x: ir.Value, *shape: int) -> ir.Value:
        """Reshape to fixed sides; 0 keeps, -1 infers."""
        return self.op("Reshape", x, self.ints(*shape))

    def transpose(self, x: ir.Value, *perm: int) -> ir.Value:
        """Permutes axes."""
        return self.op("Transpose", x, perm=list(perm))

    def rms_norm(self, x: ir.Value, eps: float, weight: ir.Value) -> ir.Value:
        """x / sqrt(mean(x^2) + eps) * weight: the pattern that ONNX Runtime fuses into one kernel, which it does
        only with a weight. A norm without one takes `flat`, which may carry a scale that would otherwise be a
        node of its own.
        """
        with self.island("rms_norm"):
            mean = self.op("ReduceMean", self.op("Pow", x, self.scalar(2.0)), self.ints(-1), keepdims=1)
            x = self.op("Div", x, self.op("Sqrt", self.op("Add", mean, self.scalar(eps))))
            return self.op("Mul", x, weight)

    def flat(self, size: int, value: float = 1.0) -> ir.Value:
        """A constant norm weight."""
        return self.const(f"flat_{size}_{value!r}", np.full(size, value, dtype=np.float32))

    def softmax(self, x: ir.Value, axis: int = -1) -> ir.Value:
        """Softmax in float32."""
        with self.island("softmax"):
            return self.op("Softmax", x, axis=axis)

    def rope(self, x: ir.Value, cos: ir.Value, sin_signed: ir.Value) -> ir.Value:
        """Rotation of half-split pairs: x * cos + swap(x) * sin', sin' negative on its first half."""
        a, b = self.split(x, 2, -1)
        swapped = self.op("Concat", b, a, axis=-1)
        return self.op("Add", self.op("Mul", x, cos), self.op("Mul", swapped, sin_signed))

    def silu_gated(self, gate: ir.Value, up: ir.Value) -> ir.Value:
        """silu(gate) * up."""
        return self.op("Mul", self.op("Mul", gate, self.op("Sigmoid", gate)), up)

    # -- the model --
    def model(self, outputs: Sequence[Output]) -> ir.Model:
        """The finished graph; outputs as (value, name, dtype, shape)."""
        named = []
        for value, name, dtype, shape in outputs:
            value.name, value.type, value.shape = name, ir.TensorType(dtype), ir.Shape(shape)
            named.append(value)
        graph = ir.Graph(
            self.inputs,
            named,
            nodes=self.tape.nodes,
            initializers=self.tape.initializers,
            opset_imports={"": OPSET},
            name=self.name,
        )
        return ir.Model(graph, ir_version=IR_VERSION, producer_name="armside")


def layer_name(part: str, number: int) -> str:
    """Of a repeated part, `llm.blocks`: sorts as it runs."""
    return f"{part}.{number:02d}"


def layer_output(layer: str) -> str:
    """The value that a layer hands to the next one."""
    return f"{layer}.out"


def rope_constants(
    emit: Emit, name: str, cos: np.ndarray, sin: np.ndarray, scale: float = 1.0
) -> tuple[ir.Value, ir.Value]:
    """cos and signed sin [length, d], times `scale`: the attention scale rides on Q's tables, so it costs nothing
    (and stands on Q, as TensorRT 10.3 needs it)."""
    half = cos.shape[-1] // 2
    signed = np.concatenate([-sin[:, :half], sin[:, half:]], axis=-1)
    return (
        emit.const(f"{name}.cos", (cos * scale).astype(np.float32)),
        emit.const(f"{name}.sin", (signed * scale).astype(np.float32)),
    )
