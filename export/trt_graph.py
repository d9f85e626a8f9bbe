"""What TensorRT's lint sees of a graph: types of all values, constants, and the products behind an attention.

Takes an onnx_ir model, whose inner values need not be typed: types are carried forward from inputs and constants. Reads
no large weight: shapes and types are enough. Knows nothing of rules and versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

SMALL = 64  # elements: a constant that may be read
_SAME = frozenset(["Add", "Cast", "Div", "Max", "Mul", "Reshape", "Sub", "Transpose", "Where"])
_MOVES = frozenset(["Cast", "Concat", "Expand", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose"])


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """Scores that a Softmax reads: a product of two activations, or, in a pooling, a sum."""

    softmax: ir.Node
    scores: ir.Node  # MatMul or ReduceSum


class Seen:
    """One graph."""

    def __init__(self, model: ir.Model) -> None:
        self.graph = model.graph
        self.name = str(model.graph.name)
        self.opset = model.graph.opset_imports.get("", 0)
        self._types: dict[ir.Value, ir.DataType] = {}
        for node in model.graph:
            for output in node.outputs:
                self._types[output] = self._made(node)

    def type(self, value: ir.Value | None) -> ir.DataType:
        """Of any value; UNDEFINED where nothing says it."""
        if value is None:
            return ir.DataType.UNDEFINED
        if value.const_value is not None:
            return value.const_value.dtype
        return self._types.get(value) or value.dtype or ir.DataType.UNDEFINED

    def _made(self, node: ir.Node) -> ir.DataType:
        inputs = list(node.inputs)
        if node.op_type == "Cast":
            return ir.DataType(node.attributes["to"].as_int())
        if node.op_type == "QuantizeLinear":
            return self.type(inputs[2]) if len(inputs) > 2 else ir.DataType.UINT8
        if node.op_type == "DequantizeLinear":
            return self.type(inputs[1])
        if node.op_type == "Where":
            return self.type(inputs[1])
        return self.type(inputs[0]) if inputs else ir.DataType.UNDEFINED

    def nodes(self, *kinds: str) -> Iterator[ir.Node]:
        """Of these operators; of all where none is named."""
        return (node for node in self.graph if not kinds or node.op_type in kinds)

    def attentions(self) -> Iterator[Attention]:
        """Every Softmax with the scores that it reads, through masks, scales and reshapes."""
        for softmax in self.nodes("Softmax", "LogSoftmax"):
            for node in above(softmax.inputs[0], lambda node: node.op_type in _SAME):
                if node.op_type == "ReduceSum" or (node.op_type == "MatMul" and not is_product(node)):
                    yield Attention(softmax, node)


def label(node: ir.Node) -> str:
    """How a person finds a node."""
    return f"{node.op_type} {node.name or (node.outputs[0].name if node.outputs else '') or 'without a name'}"


def size_of(value: ir.Value | None) -> int | None:
    """Elements, where every side is known."""
    shape = sides_of(value)
    return None if shape is None else int(np.prod(shape, dtype=np.int64))


def sides_of(value: ir.Value | None) -> tuple[int, ...] | None:
    """Sides, where all are known."""
    shape = None if value is None else value.const_value.shape if value.const_value is not None else value.shape
    if shape is None or any(not isinstance(side, int) for side in shape):
        return None
    return tuple(int(side) for side in shape)  # type: ignore[arg-type]


def small(value: ir.Value | None) -> np.ndarray | None:
    """A constant's numbers, where they are few: a large weight may be computed when it is read."""
    if value is None or value.const_value is None or (size_of(value) or 0) > SMALL:
        return None
    return value.const_value.numpy()


def is_constant(value: ir.Value | None) -> bool:
    """An initializer, or what is dequantized or moved from one."""
    while value is not None and value.const_value is None:
        node = value.producer()
        if node is None or node.op_type not in ("Constant", "DequantizeLinear", "Identity", "Transpose", "Cast"):
            return False
        if node.op_type == "Constant":
            return True
        value = node.inputs[0]
    return value is not None


def is_product(node: ir.Node) -> bool:
    """A product with a weight."""
    return node.op_type in ("MatMul", "Gemm") and (is_constant(node.inputs[1]) or is_constant(node.inputs[0]))


def above(value: ir.Value | None, through: Callable[[ir.Node], bool]) -> list[ir.Node]:
    """The nodes that a value comes from, not going beyond those that are not `through`; nearest first."""
    found: list[ir.Node] = []
    line, seen = [value], set[ir.Node]()
    while line:
        at = line.pop(0)
        node = None if at is None else at.producer()
        if node is None or node in seen:
            continue
        seen.add(node)
        found.append(node)
        if through(node):
            line.extend(node.inputs)
    return found


def moves(node: ir.Node) -> bool:
    """Changes where numbers lie or their type, not what they are."""
    return node.op_type in _MOVES


def nearest_product(value: ir.Value | None) -> ir.Node | None:
    """The product with a weight that an activation was made by; None where an attention or an input comes first."""
    line, seen = [value], set[ir.Node]()
    while line:
        nodes = [at.producer() for at in line if at is not None]
        level = [node for node in nodes if node is not None and node not in seen]
        found = next((node for node in level if is_product(node)), None)
        if found is not None or any(node.op_type == "Softmax" for node in level):
            return found
        seen |= set(level)
        line = [at for node in level for at in node.inputs]
    return None
