"""Moves a scheme's factors into a graph: weights' rows are multiplied, what makes their activation is divided.

Products that share an activation, or a weight, share a factor (SmoothQuant, AWQ). It is divided out where that costs
nothing: in the weight of the norm before, or in the columns of the linear layer whose output is gated (up before
down); else by a Mul on the activation. Exact in all three. Knows nothing of how factors are found.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from quant.rewrite.work import Insert, Product, Work, replace_tensor
from quant.schemes.base import divided

OPERATORS = frozenset(["Mul"])


def migrate(work: Work, products: list[Product]) -> None:
    """For every product whose scheme has a factor: it is found, and divided out of the activation; `work.factors` says
    what each weight is to be multiplied with. Later products first, so that a layer whose columns take up a factor has
    done so before its own is found. Raises QuantError where statistics are missing.
    """
    for together in reversed(_components([p for p in products if p.scheme.factor is not None])):
        weights = {product.name: product for product in together}
        first = together[0]
        assert first.scheme.factor is not None
        stats = work.told(first)
        assert stats is not None
        whole = np.concatenate([_float(p.weight) for p in weights.values()], axis=1)
        factor = first.scheme.factor(whole, stats)
        if (factor == 1.0).all():
            continue
        for name in weights:
            work.factors[name] = factor
            work.divided[name] = divided(stats, factor)
        for x in dict.fromkeys(product.x for product in together):
            _divide(work, x, factor, together)


def _components(products: list[Product]) -> list[list[Product]]:
    """Products that share an activation or a weight, and a scheme."""
    found: list[list[Product]] = []
    for product in products:
        near = [c for c in found if any(p.scheme == product.scheme and _share(p, product) for p in c)]
        for component in near:
            found.remove(component)
        found.append([p for component in near for p in component] + [product])
    return found


def _share(a: Product, b: Product) -> bool:
    return a.x is b.x or a.weight is b.weight


def _float(value: ir.Value) -> np.ndarray:
    assert value.const_value is not None
    return np.asarray(value.const_value.numpy(), dtype=np.float32)


def _divide(work: Work, x: ir.Value, factor: np.ndarray, takers: list[Product]) -> None:
    """x / factor for the takers."""
    nodes = {product.node for product in takers}
    alone = all(node in nodes for node, _ in x.uses()) and not x.is_graph_output()
    producer = x.producer()
    if alone and producer is not None and (_into_norm(work, producer, factor) or _into_columns(producer, factor)):
        return
    first = next(product for product in takers if product.x is x)
    add, name = Insert(work.graph, first.node, "factor"), str(first.node.name)
    before = add.const(f"{first.name}.before", (1.0 / factor).astype(np.float32))
    smaller = add.op("Mul", x, before, name=f"{name}.before")
    for product in takers:
        if product.x is x:
            product.node.replace_input_with(0, smaller)


def _is_vector(value: ir.Value | None, width: int) -> bool:
    if value is None or value.const_value is None:
        return False
    return [int(side) for side in value.const_value.shape.numpy()] == [width]


def _into_norm(work: Work, producer: ir.Node, factor: np.ndarray) -> bool:
    """Where the activation is a norm's output: its weight, and its bias, divided."""
    if producer.op_type == "LayerNormalization" and len(producer.inputs) == 3:
        places = [1, 2]
    elif producer.op_type == "Mul" and _is_vector(producer.inputs[1], len(factor)):
        places = [1]
    else:
        return False
    add = Insert(work.graph, producer)
    for place in places:
        value = producer.inputs[place]
        if not _is_vector(value, len(factor)):
            return False
    for place in places:
        value = producer.inputs[place]
        assert value is not None
        array = (_float(value) / factor).astype(np.float32)
        count = sum(name.startswith(f"{value.name}.") for name in work.graph.initializers)
        name = f"{value.name}.{count}.folded" if len(value.uses()) > 1 else f"{value.name}.folded"
        producer.replace_input_with(place, add.const(name, array))
    return True


def _into_columns(producer: ir.Node, factor: np.ndarray) -> bool:
    """Where the activation is gated, x = silu(gate) * up: the columns of up's weight, and its bias, divided."""
    if producer.op_type != "Mul" or producer.inputs[1] is None:
        return False
    up = producer.inputs[1].producer()
    parts = []
    if up is not None and up.op_type == "Add" and _is_vector(up.inputs[1], len(factor)):
        parts.append(up.inputs[1])
        up = up.inputs[0].producer() if len(up.outputs[0].uses()) == 1 and up.inputs[0] is not None else None
    if up is None or up.op_type != "MatMul" or len(up.outputs[0].uses()) != 1:
        return False
    weight = up.inputs[1]
    if weight is None or weight.const_value is None or len(weight.const_value.shape) != 2:
        return False
    for value in (weight, *parts):
        assert value is not None
        if len(value.uses()) != 1:
            return False
    for value in (weight, *parts):
        assert value is not None
        replace_tensor(value, lambda array: array / factor)
    return True
