"""Rules of TensorRT's lint about types and quantization: what a tensor may be, and where.

Each takes a Seen graph and a version and yields (where, what was found). Numbers of large weights are never read.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from export.trt_graph import Seen, is_constant, label, sides_of, size_of, small

Version = tuple[int, ...]
Found = Iterator[tuple[str, str]]  # node or tensor, what it is
T = ir.DataType

NARROW = frozenset([T.INT16, T.UINT16, T.UINT32, T.UINT64, T.STRING, T.COMPLEX64, T.COMPLEX128, T.UINT4])
EIGHT = frozenset([T.FLOAT8E4M3FN, T.FLOAT8E4M3FNUZ, T.FLOAT8E5M2, T.FLOAT8E5M2FNUZ, T.FLOAT4E2M1])
FOUR = frozenset([T.INT4, T.UINT4])
QUANTIZED = frozenset([T.INT8, T.INT4])
MOST_ELEMENTS = 2**31 - 1


def values_of(seen: Seen) -> Iterator[tuple[ir.Value, str]]:
    """Every tensor once, with where it is found."""
    for value in (*seen.graph.inputs, *seen.graph.initializers.values()):
        yield value, str(value.name)
    for node in seen.nodes():
        for value in node.outputs:
            yield value, label(node)


def _of(seen: Seen, kinds: frozenset[ir.DataType]) -> Found:
    for value, where in values_of(seen):
        if seen.type(value) in kinds:
            yield where, seen.type(value).name


def double(seen: Seen, _: Version) -> Found:
    """Float64 anywhere."""
    return _of(seen, frozenset([T.DOUBLE]))


def unknown_type(seen: Seen, _: Version) -> Found:
    """A type that TensorRT does not have."""
    return _of(seen, NARROW)


def eight_bit_float(seen: Seen, _: Version) -> Found:
    """FP8 and FP4."""
    return _of(seen, EIGHT)


def brain(seen: Seen, _: Version) -> Found:
    """bfloat16, for GPUs without it."""
    return _of(seen, frozenset([T.BFLOAT16]))


def unsigned_bytes(seen: Seen, _: Version) -> Found:
    """UINT8 that is more than a graph's input, cast at once."""
    for value, where in values_of(seen):
        if seen.type(value) != T.UINT8:
            continue
        if not value.is_graph_input() and not value.is_graph_output():
            yield where, "UINT8 inside the graph"
        for node, _index in value.uses():
            if node.op_type != "Cast":
                yield label(node), f"reads UINT8 {value.name}"


def long_door(seen: Seen, _: Version) -> Found:
    """INT64 inputs and outputs."""
    for value in (*seen.graph.inputs, *seen.graph.outputs):
        if seen.type(value) == T.INT64:
            yield str(value.name), "INT64 input or output"


def quantized_constant(seen: Seen, _: Version) -> Found:
    """An INT8 or INT4 constant that is not dequantized first."""
    for value in seen.graph.initializers.values():
        if seen.type(value) not in QUANTIZED:
            continue
        for node, index in value.uses():
            stored = node.op_type == "DequantizeLinear" and index == 0
            zero = node.op_type in ("DequantizeLinear", "QuantizeLinear") and index == 2
            if not stored and not zero:
                yield label(node), f"reads the {seen.type(value).name} constant {value.name}"


def zero_point(seen: Seen, _: Version) -> Found:
    """A zero point that is not zero, or not a constant."""
    for node in seen.nodes("QuantizeLinear", "DequantizeLinear"):
        point = node.inputs[2] if len(node.inputs) > 2 else None
        if point is None:
            continue
        if point.const_value is None:
            yield label(node), "a zero point that is computed"
        elif bool(np.any(point.const_value.numpy())):
            yield label(node), "a zero point that is not 0"


def unsigned_grid(seen: Seen, _: Version) -> Found:
    """Quantized to UINT8: read as INT8, with no more than a warning."""
    for node in seen.nodes("QuantizeLinear", "DequantizeLinear"):
        point = node.inputs[2] if len(node.inputs) > 2 else None
        if seen.type(point) == T.UINT8 or (point is None and node.op_type == "QuantizeLinear"):
            yield label(node), "UINT8" if point is not None else "no zero point, which means UINT8 in ONNX"


def scales(seen: Seen, _: Version) -> Found:
    """Scales that are computed, or not positive where they can be read."""
    for node in seen.nodes("QuantizeLinear", "DequantizeLinear"):
        scale = node.inputs[1]
        if not is_constant(scale):
            yield label(node), "a scale that is computed"
            continue
        known = small(scale)
        if known is not None and bool((known.astype(np.float32) <= 0).any()):
            yield label(node), "a scale that is not positive"


def activation_axis(seen: Seen, _: Version) -> Found:
    """An activation with more than one scale."""
    for node in seen.nodes("QuantizeLinear"):
        if not is_constant(node.inputs[0]) and (size_of(node.inputs[1]) or 1) > 1:
            yield label(node), f"{size_of(node.inputs[1])} scales"


def four_bit_activation(seen: Seen, _: Version) -> Found:
    """An activation in INT4."""
    for node in seen.nodes("QuantizeLinear"):
        if not is_constant(node.inputs[0]) and seen.type(node.outputs[0]) in FOUR:
            yield label(node), seen.type(node.outputs[0]).name


def blocks(seen: Seen, _: Version) -> Found:
    """Blocks that do not divide their weight, more than one blocked side, an odd last side of INT4, a wrong number of
    scales.
    """
    for node in seen.nodes("DequantizeLinear"):
        sides, steps = sides_of(node.inputs[0]), sides_of(node.inputs[1])
        if sides is None or steps is None:
            continue
        if seen.type(node.inputs[0]) == T.INT4 and sides and sides[-1] % 2:
            yield label(node), f"INT4 with a last side of {sides[-1]}"
        if len(steps) == len(sides) > 1:
            yield from _blocked(node, sides, steps)
        elif len(steps) == 1 and steps[0] > 1:
            axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
            if sides[axis] != steps[0]:
                yield label(node), f"{steps[0]} scales for {sides[axis]} channels"


def _blocked(node: ir.Node, sides: tuple[int, ...], steps: tuple[int, ...]) -> Found:
    if any(side % step for side, step in zip(sides, steps, strict=True)):
        yield label(node), f"blocks that do not divide: {list(sides)} by {list(steps)} scales"
        return
    size = node.attributes["block_size"].as_int() if "block_size" in node.attributes else 0
    cut = [axis for axis, (side, step) in enumerate(zip(sides, steps, strict=True)) if side != step]
    if len(cut) > 1:
        yield label(node), f"blocks along {len(cut)} sides"
    elif cut and cut[0] < len(sides) - 2:
        yield label(node), f"blocks along side {cut[0]} of {len(sides)}"
    elif cut and size and sides[cut[0]] != size * steps[cut[0]]:
        yield label(node), f"ragged blocks: {steps[cut[0]]} of {size} over {sides[cut[0]]}"


def large(seen: Seen, _: Version) -> Found:
    """A tensor of more elements than 32 bits count."""
    for value, where in values_of(seen):
        if (size_of(value) or 0) > MOST_ELEMENTS:
            yield where, f"{size_of(value)} elements"
