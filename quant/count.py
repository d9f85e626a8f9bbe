"""What one graph does and holds, counted from its shapes: products, weights, doors, room for what lies between.

Takes an onnx_ir model whose weights nobody reads; gives numbers that any plan can be priced with (quant.cost). Only
products are counted as operations: everything else together is a few per cent of them. Knows nothing of targets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from policy_spec.errors import ExportError, sentence
from policy_spec.graphs import CACHE, NEXT

ISLAND = "armside.float32_island"  # metadata of nodes that stay float32 in every precision
_VIEWS = ("Reshape",)  # the same numbers under another shape: no room of their own


@dataclass(frozen=True, slots=True)
class Product:
    """One MatMul."""

    weight: str | None  # the initializer on its right, None where both sides are activations
    operations: int  # multiplications and additions
    island: bool


@dataclass(frozen=True, slots=True)
class Weight:
    """One initializer."""

    name: str
    shape: tuple[int, ...]
    item: int  # bytes of one number as exported; 4: float32, which a plan may make smaller
    read: int  # numbers that one run reads: all, or the rows that are looked up
    table: bool  # rows are looked up, nothing else
    island: bool  # read by nodes that stay float32


@dataclass(frozen=True, slots=True)
class Door:
    """An input or output: how many numbers go through, of how many bytes each."""

    name: str
    numbers: int
    item: int


@dataclass(frozen=True, slots=True)
class GraphCount:
    """One graph at one size."""

    name: str
    products: tuple[Product, ...]
    weights: tuple[Weight, ...]
    doors: tuple[Door, ...]
    between: int  # the most numbers that lie between nodes at any moment, doors not counted

    @property
    def operations(self) -> int:
        """Of all products."""
        return sum(product.operations for product in self.products)


def count_graph(model: ir.Model, sides: Mapping[str, int] | None = None) -> GraphCount:
    """sides: lengths of the sides that each run chooses (K, M). Shapes between the nodes are overwritten. Raises
    ExportError where a shape cannot be told.
    """
    graph = model.graph
    rims = [(value, value.shape) for value in (*graph.inputs, *graph.outputs)]
    try:
        _bind(graph, sides or {})
        ShapeInferencePass(check_type=False, strict_mode=False)(model)
        return _counted(graph)
    finally:
        for value, shape in rims:
            value.shape = shape


def _counted(graph: ir.Graph) -> GraphCount:
    products = tuple(_product(node) for node in graph if node.op_type == "MatMul")
    weights = tuple(_weight(value) for value in graph.initializers.values())
    doors = [_door(v) for v in graph.inputs] + [_door(v) for v in graph.outputs if not _in_place(str(v.name))]
    return GraphCount(str(graph.name), products, weights, tuple(doors), _between(graph))


def _bind(graph: ir.Graph, sides: Mapping[str, int]) -> None:
    """Inputs and outputs with numbers for named sides; what was inferred for other sides is forgotten."""
    for node in graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None
    for value in (*graph.inputs, *graph.outputs):
        named = [getattr(side, "value", side) for side in value.shape or ()]
        value.shape = ir.Shape([side if isinstance(side, int) else sides.get(str(side), str(side)) for side in named])


def _in_place(name: str) -> bool:
    """A cache is read whole and written in a few places: its input counts for both."""
    return name.startswith(CACHE) and name.endswith(NEXT)


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    shape = None if value is None else value.shape
    sides = None if shape is None else [side for side in shape]
    if sides is None or not all(isinstance(side, int) for side in sides):
        name = "nothing" if value is None else value.name
        raise ExportError(sentence(f"the shape of {name} cannot be told", expected="numbers for every side", got=shape))
    return tuple(int(side) for side in sides)  # type: ignore[arg-type]


def _numbers(value: ir.Value | None) -> int:
    return math.prod(_shape(value))


def _product(node: ir.Node) -> Product:
    left, right = node.inputs
    assert right is not None
    weight = str(right.name) if right.const_value is not None else None
    return Product(weight, 2 * _numbers(node.outputs[0]) * _shape(left)[-1], ISLAND in node.metadata_props)


def _weight(value: ir.Value) -> Weight:
    tensor = value.const_value
    assert tensor is not None, value.name
    shape = tuple(int(side) for side in tensor.shape)
    users = [node for node, _ in value.uses()]
    size = math.prod(shape)
    looked_up = [node for node in users if node.op_type == "Gather" and node.inputs[0] is value]
    table = bool(users) and len(looked_up) == len(users)
    read = min(size, sum(_numbers(node.outputs[0]) for node in looked_up)) if table else size
    item = 4 if tensor.dtype == ir.DataType.FLOAT else max(1, tensor.dtype.itemsize)
    island = bool(users) and all(ISLAND in node.metadata_props for node in users)
    return Weight(str(value.name), shape, int(item), read, table, island)


def _door(value: ir.Value) -> Door:
    dtype = value.dtype or ir.DataType.FLOAT
    return Door(str(value.name), _numbers(value), int(max(1, dtype.itemsize)))


def _between(graph: ir.Graph) -> int:
    """Numbers alive at the worst moment, node by node in order; views share their source's."""
    root: dict[ir.Value, ir.Value] = {}
    last: dict[ir.Value, int] = {}
    nodes = list(graph)
    for place, node in enumerate(nodes):
        for value in node.inputs:
            if value is not None and value.producer() is not None:
                last[root.get(value, value)] = place
        if node.op_type in _VIEWS and node.inputs[0] is not None:
            source = node.inputs[0]
            root[node.outputs[0]] = root.get(source, source)
    ends: dict[int, int] = {}
    alive = most = 0
    for place, node in enumerate(nodes):
        for value in node.outputs:
            if value in root or value.is_graph_output():
                continue
            alive += _numbers(value)
            ends[last.get(value, place)] = ends.get(last.get(value, place), 0) + _numbers(value)
        most = max(most, alive)
        alive -= ends.pop(place, 0)
    return most
