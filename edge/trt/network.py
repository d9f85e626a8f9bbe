"""A bundle's ONNX graph as a network of TensorRT: parsed, strongly typed, cut to one block where that is asked for.

Takes the imported library and an EngineRow. A block is cut here, with the library's own calls, because the computer
beside the arm has no onnx: the value at the cut becomes an input of the later block and an output of the earlier one,
and the builder drops what nothing reads any more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.trt.plan import ROWS, Block
from policy_spec.errors import SessionError, sentence
from policy_spec.graphs import DYNAMIC

PARSER_ERRORS = 3  # that are shown


def parse(trt: Any, builder: Any, logger: Any, onnx: Path) -> Any:
    """The network of a file, types as the graph has them. Raises SessionError with what the parser refused."""
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # TensorRT 11 knows no other networks
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        said = [str(parser.get_error(i)).strip() for i in range(min(parser.num_errors, PARSER_ERRORS))]
        raise SessionError(
            sentence(
                f"{trt.__name__} {trt.__version__} does not take {onnx.name}",
                got="; ".join(said) or "no reason given",
                do="export the bundle again for this computer, and report what it said if that does not help",
            )
        )
    return network


def keep_block(network: Any, block: Block) -> None:
    """Leaves one block of the language model in the network. Raises SessionError where a cut is not to be found."""
    places = _places(network)
    start, stop = -1, network.num_layers - 1
    if block.starts is not None:
        start = _place(places, block.starts)[0]
    if block.ends is not None:
        stop = _place(places, block.ends)[0]
    outputs = [network.get_output(i) for i in range(network.num_outputs)]
    for tensor in outputs:
        if not start < places[tensor.name][0] <= stop:
            network.unmark_output(tensor)
    if block.ends is not None:
        network.mark_output(places[block.ends][1])
    if block.starts is not None:
        _feed(network, places[block.starts][1], block.starts)


def _feed(network: Any, tensor: Any, name: str) -> None:
    """Whoever reads `tensor` reads a new input of that name instead."""
    tensor.name = f"{name}.before"
    given = network.add_input(name, tensor.dtype, tensor.shape)
    for axis, side in enumerate(tensor.shape):
        if side == DYNAMIC:  # the same number as in the other inputs: the builder goes by its name
            given.set_dimension_name(axis, _tokens(network))
    for number in range(network.num_layers):
        layer = network.get_layer(number)
        for at in range(layer.num_inputs):
            read = layer.get_input(at)
            if read is not None and read.name == tensor.name:
                layer.set_input(at, given)


def _tokens(network: Any) -> str:
    """What the graph calls the number of tokens of a run."""
    for number in range(network.num_inputs):
        tensor = network.get_input(number)
        for axis, side in enumerate(tensor.shape):
            name = tensor.get_dimension_name(axis)
            if side == DYNAMIC and tensor.name not in ROWS and name:
                return str(name)
    return "K"


def _places(network: Any) -> dict[str, tuple[int, Any]]:
    """Name of each value -> number of the layer that makes it, and the value. Layers stand in the graph's order."""
    places: dict[str, tuple[int, Any]] = {}
    for number in range(network.num_layers):
        layer = network.get_layer(number)
        for at in range(layer.num_outputs):
            tensor = layer.get_output(at)
            if tensor is not None:
                places[tensor.name] = (number, tensor)
    return places


def _place(places: dict[str, tuple[int, Any]], name: str) -> tuple[int, Any]:
    if name not in places:
        what = f"the language model cannot be cut at {name}"
        raise SessionError(sentence(what, expected="a value of that name", do="export the bundle again"))
    return places[name]
