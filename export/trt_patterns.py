"""Rules of TensorRT's lint about what stands together: attentions that it miscomputes, float16 that overflows, shapes
that no profile covers.

Each takes a Seen graph and a version and yields (where, what was found).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from export.trt_graph import Seen, above, is_constant, is_product, label, moves, nearest_product, size_of, small
from export.trt_operators import NOT_TAKEN, TAKEN

Version = tuple[int, ...]
Found = Iterator[tuple[str, str]]
T = ir.DataType

OPSETS: tuple[tuple[Version, int], ...] = (((10, 0), 20), ((10, 15), 24))  # newest that an operator list names
BLOCKS_OPSET = 21  # of INT4 in blocks, which parsers read since 10.0 (docs/sources.md, TensorRT's importer)
PROFILED = frozenset(["K", "M"])  # sides for which `armside build` makes optimization profiles
SQUARES = ("LayerNormalization", "Pow", "ReduceMean", "Softmax", "Sqrt")  # overflow float16 here
AXES = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Squeeze", "Unsqueeze")
_NORMS = frozenset(["LayerNormalization", "Pow", "RMSNormalization", "ReduceMean"])


def number(version: str) -> Version:
    """10.16.2 -> (10, 16, 2)."""
    return tuple(int(part) for part in version.split("."))


def opset(seen: Seen, version: Version) -> Found:
    """An opset that the parser's list does not reach."""
    newest = max(most for least, most in OPSETS if least <= version)
    if seen.opset <= newest:
        return
    four = any(seen.type(value) == T.INT4 for value in seen.graph.initializers.values())
    if not (seen.opset == BLOCKS_OPSET and four):
        yield seen.name, f"opset {seen.opset}, newest {newest}"


def domain(seen: Seen, _: Version) -> Found:
    """Another vendor's operators."""
    for node in seen.nodes():
        if node.domain not in ("", "ai.onnx"):
            yield label(node), f"of {node.domain}"


def operator(seen: Seen, version: Version) -> Found:
    """An operator that the version's parser refuses."""
    for node in seen.nodes(*NOT_TAKEN):
        row = NOT_TAKEN[node.op_type]
        if node.domain in ("", "ai.onnx") and (not row.since or version < number(row.since)):
            yield label(node), f"{row.why}: {row.do} (docs/sources.md#{row.source})"


def unlisted(seen: Seen, _: Version) -> Found:
    """An operator that nobody looked up."""
    for node in seen.nodes():
        if node.domain in ("", "ai.onnx") and node.op_type not in TAKEN and node.op_type not in NOT_TAKEN:
            yield label(node), node.op_type


def scaled_key(seen: Seen, _: Version) -> Found:
    """An attention's scale on the key."""
    for attention in seen.attentions():
        if attention.scores.op_type != "MatMul":
            continue
        for node in above(attention.scores.inputs[1], moves):
            if node.op_type in ("Mul", "Div") and any(_scalar(value) for value in node.inputs):
                yield label(node), f"scales the key of {label(attention.scores)}"


def _scalar(value: ir.Value | None) -> bool:
    return is_constant(value) and size_of(value) == 1


def fused_heads(seen: Seen, _: Version) -> Found:
    """Query and key out of one product, with norms or rotations by head between."""
    for attention in seen.attentions():
        if attention.scores.op_type != "MatMul":
            continue
        query, key = (nearest_product(value) for value in attention.scores.inputs)
        if query is None or query is not key:
            continue
        between = [node for node in above(attention.scores.inputs[0], lambda node: not is_product(node))]
        if any(node.op_type in _NORMS or node.op_type == "Concat" for node in between):
            yield label(query), f"gives query and key of {label(attention.scores)}"


def half_squares(seen: Seen, _: Version) -> Found:
    """Norms, softmaxes and scores in float16."""
    for node in seen.nodes(*SQUARES):
        if seen.type(node.inputs[0]) == T.FLOAT16:
            yield label(node), "in float16"
    for attention in seen.attentions():
        if seen.type(attention.scores.inputs[0]) == T.FLOAT16:
            yield label(attention.scores), "scores of a softmax in float16"


def half_infinite(seen: Seen, _: Version) -> Found:
    """A float16 constant that is infinite."""
    for value in seen.graph.initializers.values():
        if seen.type(value) == T.FLOAT16:
            known = small(value)
            if known is not None and bool(np.isinf(known.astype(np.float32)).any()):
                yield str(value.name), "infinite in float16"


def open_side(seen: Seen, _: Version) -> Found:
    """A side of an input that no profile covers."""
    for value in seen.graph.inputs:
        for side in value.shape or ():
            if not isinstance(side, int) and str(side.value) not in PROFILED:
                yield str(value.name), f"side {side.value or 'without a name'}"


def computed_axes(seen: Seen, _: Version) -> Found:
    """Axes that are computed."""
    for node in seen.nodes(*AXES):
        if len(node.inputs) > 1 and node.inputs[1] is not None and not is_constant(node.inputs[1]):
            yield label(node), "axes that are computed"


def scatter_reduction(seen: Seen, _: Version) -> Found:
    """ScatterND with the attribute, even where it says none."""
    for node in seen.nodes("ScatterND"):
        if "reduction" in node.attributes:
            yield label(node), f"reduction {node.attributes['reduction'].as_string()}"


def norm_outputs(seen: Seen, _: Version) -> Found:
    """LayerNormalization with its mean or deviation, read or not."""
    for node in seen.nodes("LayerNormalization"):
        if any(value.name != "" for value in node.outputs[1:]):
            yield label(node), f"{len(node.outputs)} outputs"
