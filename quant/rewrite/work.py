"""One graph while it is rewritten: its products, the plan's schemes, and what the rewrites share.

Adds nodes and initializers; weights stay lazy, an integer weight is computed when the graph is written. Names that a
rewrite makes end in what they hold (`.values`, `.scale`, ...): `original` gives back the weight's own. Knows nothing
of any scheme's form.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from policy_spec.errors import QuantError, sentence
from quant.lowfloat import ISLAND
from quant.plan import Plan
from quant.schemes import FULL, SCHEMES, Quantized, Scheme
from quant.statistics import ProductStats, Statistics

# Forms of a quantized graph: for ONNX Runtime; standard operators, for TensorRT; the same with float16 and bfloat16
# emulated in float32, for measuring on a CPU what they cost.
ORT, QDQ, EMULATED = "onnxruntime", "qdq", "emulated"
FORMS = (ORT, QDQ, EMULATED)
_PART = re.compile(r"\.(values|scale|packed|before|folded|step|low)$")
Load = Callable[[], np.ndarray]


def original(name: str) -> str:
    """The name of the weight that an initializer was made from; its own where it is one."""
    while True:
        shorter = _PART.sub("", name)
        if shorter == name:
            return name
        name = shorter


@dataclass(slots=True, eq=False)
class Product:
    """x @ weight, the weight a constant [K, N] that the plan quantizes."""

    node: ir.Node
    scheme: Scheme

    @property
    def x(self) -> ir.Value:
        value = self.node.inputs[0]
        assert value is not None
        return value

    @property
    def weight(self) -> ir.Value:
        value = self.node.inputs[1]
        assert value is not None
        return value

    @property
    def name(self) -> str:
        """The weight's own name."""
        return str(self.weight.name)

    @property
    def sides(self) -> tuple[int, int]:
        """K, N."""
        shape = self.weight.shape
        assert shape is not None
        return int(shape[0]), int(shape[1])


@dataclass(slots=True, eq=False)
class Work:
    """A graph, the plan, and what the products share."""

    graph: ir.Graph
    plan: Plan
    stats: Statistics
    form: str = ORT
    # activations whose rows a product has measured: value -> (row / largest, largest)
    rows: dict[ir.Value, tuple[ir.Value, ir.Value]] = field(default_factory=dict)
    users: Counter[ir.Value] = field(default_factory=Counter)  # products that have quantized a value so far
    factors: dict[str, np.ndarray] = field(default_factory=dict)  # weight -> what its rows are multiplied with
    divided: dict[str, ProductStats] = field(default_factory=dict)  # weight -> statistics of its divided activation
    newest: tuple[str, Quantized] | None = None

    def scheme(self, weight: str) -> Scheme:
        """The plan's scheme for one weight. Raises QuantError on a name that is no scheme's."""
        name = self.plan.choice(str(self.graph.name), weight).scheme
        if name not in SCHEMES:
            raise QuantError(
                sentence(
                    f"the plan gives {weight} an unknown scheme",
                    expected=f"one of {', '.join(SCHEMES)}",
                    got=name,
                    do="correct the plan",
                )
            )
        return SCHEMES[name]

    def products(self) -> list[Product]:
        """Every MatMul by a constant matrix whose scheme is not full precision, in the graph's order."""
        found = []
        for node in self.graph:
            weight = node.inputs[1] if node.op_type == "MatMul" else None
            if weight is None or weight.const_value is None or len(weight.shape or ()) != 2:
                continue
            scheme = self.scheme(str(weight.name))
            if scheme.name != FULL:
                found.append(Product(node, scheme))
        return found

    def told(self, product: Product) -> ProductStats | None:
        """The statistics of a product whose scheme needs them. Raises QuantError where there are none."""
        if not product.scheme.needs:
            return None
        return self.divided.get(product.name) or self.stats.need(product.name, product.scheme.name)

    def quantized(self, product: Product) -> Callable[[], Quantized]:
        """A function that computes the weight's integers and scales. Only the newest is kept: they are written one
        after the other, and a cache of all would hold the whole graph's integers in memory.
        """
        name, scheme, stats = product.name, product.scheme, self.told(product)
        source, factor = product.weight.const_value, self.factors.get(product.name)
        assert source is not None and scheme.quantize is not None

        def compute() -> Quantized:
            if self.newest is None or self.newest[0] != name:
                weight = np.asarray(source.numpy(), dtype=np.float32)
                if factor is not None:
                    weight = weight * factor[:, None]
                assert scheme.quantize is not None
                self.newest = name, scheme.quantize(weight, stats)
            return self.newest[1]

        return compute


class Insert:
    """Adds nodes before a given node, and initializers. `island`: the nodes stay float32 in any precision."""

    def __init__(self, graph: ir.Graph, before: ir.Node, island: str = "") -> None:
        self.graph, self.before, self.island = graph, before, island

    def op(self, op_type: str, *inputs: ir.Value, name: str, domain: str = "", **attributes: object) -> ir.Value:
        """A node with one output of the node's name."""
        node = ir.node(op_type, inputs, attributes or None, name=name, domain=domain)  # type: ignore[arg-type]
        if self.island:
            node.metadata_props[ISLAND] = self.island
        node.outputs[0].name = name
        self.graph.insert_before(self.before, node)
        return node.outputs[0]

    def const(self, name: str, array: np.ndarray) -> ir.Value:
        """An initializer from an array; the same name gives the same value."""
        return self.initializer(name, ir.tensor(array, name=name))

    def lazy(self, name: str, dtype: ir.DataType, shape: Sequence[int], load: Callable[[], np.ndarray]) -> ir.Value:
        """An initializer that `load` computes when the graph is written."""
        return self.initializer(name, lazy_tensor(name, dtype, shape, load))

    def initializer(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        """One by its name, made if it is not there."""
        if name not in self.graph.initializers:
            value = ir.Value(
                name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape), const_value=tensor
            )
            self.graph.register_initializer(value)
        return self.graph.initializers[name]


def lazy_tensor(name: str, dtype: ir.DataType, shape: Sequence[int], load: Load) -> ir.LazyTensor:
    """A tensor that `load` computes when it is written; 4-bit values as int8."""

    def made() -> ir.TensorProtocol:
        array = np.ascontiguousarray(load())
        return ir.tensor(array.astype(dtype.numpy()) if dtype == ir.DataType.INT4 else array, dtype=dtype, name=name)

    return ir.LazyTensor(made, dtype=dtype, shape=ir.Shape(tuple(shape)), name=name)


def replace_tensor(value: ir.Value, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Gives an initializer another content of the same shape, computed when it is written."""
    source = value.const_value
    assert source is not None and value.shape is not None
    shape = [int(side) for side in value.shape]
    name = str(value.name)
    value.const_value = lazy_tensor(name, ir.DataType.FLOAT, shape, lambda: change(np.asarray(source.numpy())))


def finish(graph: ir.Graph, node: ir.Node, after: ir.Node) -> None:
    """Puts `after`, which reads the node's output, between it and its readers; a graph's output keeps its name."""
    old, new = node.outputs[0], after.outputs[0]
    new.name, new.type, new.shape = f"{old.name}.rescaled", old.type, old.shape
    graph.insert_after(node, after)
    for consumer, index in list(old.uses()):
        if consumer is not after:
            consumer.replace_input_with(index, new)
    for index, output in enumerate(graph.outputs):
        if output is old:
            old.name, new.name = f"{old.name}.unscaled", old.name
            graph.outputs[index] = new


def take_over(graph: ir.Graph, node: ir.Node, out: ir.Value) -> None:
    """`out` stands for the output of `node`, which is removed; in name too where it is the graph's."""
    old = node.outputs[0]
    out.type, out.shape = old.type, old.shape
    if old.is_graph_output():
        old.name, out.name = f"{old.name}.replaced", old.name
    old.replace_all_uses_with(out, replace_graph_outputs=True)
    graph.remove(node, safe=True)
