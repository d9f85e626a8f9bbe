"""Whose layer each node and weight of a graph is: what is written, resumed and verified as one.

`Emit.layer` marks the nodes that it writes; a rewrite puts unmarked ones beside them. Takes an onnx_ir model of either
kind, marks what is unmarked, and gives layers in the order in which they run, their weights, and a model of one layer
alone. Knows nothing of schemes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from export.emit import LAYER


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Some nodes of a graph, with what passes in and out of them."""

    name: str  # llm.blocks.07; the graph's own name for what belongs to no layer
    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]  # from the graph's inputs or from other layers
    outputs: tuple[ir.Value, ...]  # for other layers or the graph's outputs
    weights: tuple[ir.Value, ...]  # initializers that it reads, shared ones among them


def mark_layers(model: ir.Model) -> None:
    """Gives every node a layer: an unmarked one belongs to the only layer that reads it, else to the one it reads.

    What several layers read and none made (masks, tables) stays the graph's own.
    """
    graph = model.graph
    for node in reversed(list(graph)):
        if LAYER not in node.metadata_props:
            readers = [user.metadata_props.get(LAYER, "") for out in node.outputs for user, _ in out.uses()]
            if readers and len(set(readers)) == 1 and readers[0]:
                node.metadata_props[LAYER] = readers[0]
    for node in graph:
        if LAYER not in node.metadata_props:
            made = [x.producer() for x in node.inputs if x is not None]
            marks = [n.metadata_props[LAYER] for n in made if n is not None and LAYER in n.metadata_props]
            if marks:
                node.metadata_props[LAYER] = marks[-1]


def name_of(node: ir.Node, graph: ir.Graph) -> str:
    """The layer that a node belongs to."""
    return node.metadata_props.get(LAYER, str(graph.name))


def weights_by_layer(model: ir.Model) -> dict[str, list[ir.Value]]:
    """Every initializer once, under its layer, or the graph's name where several layers read it; in running order."""
    graph = model.graph
    order: dict[str, list[ir.Value]] = {
        name: [] for name in [str(graph.name), *(name_of(node, graph) for node in graph)]
    }
    for value in graph.initializers.values():
        readers = {name_of(user, graph) for user, _ in value.uses()}
        order[readers.pop() if len(readers) == 1 else str(graph.name)].append(value)
    return {name: values for name, values in order.items() if values}


def split_layers(model: ir.Model) -> list[Layer]:
    """The graph's layers, each after those that it reads."""
    graph = model.graph
    nodes: dict[str, list[ir.Node]] = {}
    for node in graph:
        nodes.setdefault(name_of(node, graph), []).append(node)
    layers = {name: _layer(name, mine) for name, mine in nodes.items()}
    maker = {value: name for name, layer in layers.items() for value in layer.outputs}
    waits = {name: {maker[x] for x in layer.inputs if x in maker} for name, layer in layers.items()}
    order: list[Layer] = []
    while waits:  # a rewrite may put a node of a layer before what the layer reads
        ready = next((name for name, needed in waits.items() if not needed & waits.keys()), None)
        assert ready is not None, f"layers read each other: {', '.join(waits)}"
        del waits[ready]
        order.append(layers[ready])
    return order


def _layer(name: str, nodes: Sequence[ir.Node]) -> Layer:
    mine = set(nodes)
    read = dict.fromkeys(x for node in nodes for x in node.inputs if x is not None)
    weights = tuple(x for x in read if x.const_value is not None and x.producer() is None)
    inputs = tuple(x for x in read if x not in set(weights) and x.producer() not in mine)
    made = [x for node in nodes for x in node.outputs]
    outputs = tuple(x for x in made if x.is_graph_output() or any(user not in mine for user, _ in x.uses()))
    return Layer(name, tuple(nodes), inputs, outputs, weights)


def layer_model(model: ir.Model, layer: Layer, feeds: Mapping[str, np.ndarray]) -> ir.Model:
    """A model of one layer alone: copies of its nodes, the same weights. Its inputs and outputs have the names that
    they have in the whole, its inputs the types and shapes of `feeds`: inside a graph nothing says them.
    """
    values: dict[ir.Value, ir.Value] = {}
    for x in layer.inputs:
        fed = feeds[str(x.name)]
        kind = ir.TensorType(ir.DataType.from_numpy(fed.dtype))
        values[x] = ir.Value(name=x.name, type=kind, shape=ir.Shape(fed.shape))
    for x in layer.weights:
        assert x.const_value is not None
        kind = ir.TensorType(x.const_value.dtype)
        values[x] = ir.Value(name=x.name, type=kind, shape=x.const_value.shape, const_value=x.const_value)
    copies = []
    for node in layer.nodes:
        outputs = [ir.Value(name=x.name) for x in node.outputs]
        values.update(zip(node.outputs, outputs, strict=True))
        inputs = [None if x is None else values[x] for x in node.inputs]
        attributes = list(node.attributes.values())
        copies.append(ir.Node(node.domain, node.op_type, inputs, attributes, outputs=outputs, name=node.name))
    graph = ir.Graph(
        [values[x] for x in layer.inputs],
        [values[x] for x in layer.outputs],
        nodes=copies,
        initializers=[values[x] for x in layer.weights],
        opset_imports=dict(model.graph.opset_imports),
        name=layer.name,
    )
    return ir.Model(graph, ir_version=model.ir_version, producer_name="armside")
