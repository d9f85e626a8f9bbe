"""Rotates the language model's activations by Hadamard matrices, so that no channel stands out: for INT8 on QKV and O.

Everything is folded into weights, nothing is rotated while the graph runs:
- V, head by head, and back in what reads V: the output projection, and the expert's context projection;
- the residual stream, from the embeddings, the image features and every layer's two outputs on, and back in what
  reads it: q, k, v, up, gate and the lm_head. RMSNorm commutes with a rotation once its weight is folded into those.
Image features come from another graph: they are rotated in the vision graph's last layer (`rotate` does it where the
plan rotates llm.attention). Not rotated, since a nonlinear step lies between: the MLP's inner activation, per-head
norms of q and k, the ViT (layer norms subtract a mean) and the expert (modulations scale channels at every step).

V stays as it is in graphs with a cache, which another graph reads. Exact in real numbers. Refused where it is not:
norms after the sublayers, sizes without a Hadamard matrix.
"""

from __future__ import annotations

import re

import numpy as np
import onnx_ir as ir

from policy_spec.errors import QuantError, sentence
from quant.hadamard import turned_columns, turned_rows
from quant.rewrite.work import Work, replace_tensor
from quant.schemes import SCHEMES

_BLOCK = r"model\.transformer\.blocks\.\d+"
READERS = re.compile(rf"({_BLOCK}\.(self_attn\.att_proj\.[qkv]|mlp\.ff_proj\.(up|gate))|lm_head)\.weight")
WRITERS = re.compile(rf"{_BLOCK}\.(self_attn\.attn_out|mlp\.ff_out)\.weight")
VALUES = re.compile(_BLOCK + r"\.self_attn\.att_proj\.v\.(weight|bias)")
OUT = re.compile(_BLOCK + r"\.self_attn\.attn_out\.weight")
CONTEXT = "model.action_expert.context_v_proj.weight"
PROJECTOR = re.compile(r"model\.vision_backbone\.image_projector\.w2\.(weight|bias)")


def rotate(work: Work) -> bool:
    """In place, where the plan gives the language model's attention a rotated scheme. Returns whether it did."""
    graph = work.graph
    if not plan_rotates(work):
        return False
    if graph.name == "vision":
        for name in [name for name in graph.initializers if PROJECTOR.fullmatch(name)]:
            replace_tensor(graph.initializers[name], turned_columns)
        return True
    if graph.name != "llm":
        return False
    _residual(work)
    _values(graph)
    return True


def plan_rotates(work: Work) -> bool:
    """Whether the plan, for any layer, rotates what enters the language model's attention."""
    return any(
        SCHEMES[c.scheme].rotated for c in work.plan.choices if c.group.startswith("llm.") and c.scheme in SCHEMES
    )


def _residual(work: Work) -> None:
    graph = work.graph
    for node in graph:
        table = node.inputs[0] if node.op_type == "Gather" else None
        if table is not None and str(table.name).endswith("wte.merged"):
            replace_tensor(table, turned_columns)
            break
    norms: dict[ir.Value, np.ndarray] = {}
    for name in [name for name in graph.initializers if READERS.fullmatch(name)]:
        value = graph.initializers[name]
        for gain in {_gain(node) for node, _ in value.uses()}:
            norms[gain] = np.asarray(gain.const_value.numpy(), dtype=np.float32)  # type: ignore[union-attr]
            _fold(value, norms[gain])
    for name in [name for name in graph.initializers if WRITERS.fullmatch(name)]:
        replace_tensor(graph.initializers[name], turned_columns)
    for gain in norms:
        replace_tensor(gain, np.ones_like)


def _fold(value: ir.Value, gain: np.ndarray) -> None:
    replace_tensor(value, lambda weight: turned_rows(weight * gain[:, None]))


def _gain(product: ir.Node) -> ir.Value:
    """The weight of the norm whose output a product reads."""
    x = product.inputs[0]
    norm = x.producer() if x is not None else None
    while norm is not None and norm.op_type == "Gather" and norm.inputs[0] is not None:  # rows that are asked for
        norm = norm.inputs[0].producer()
    gain = norm.inputs[1] if norm is not None and norm.op_type == "Mul" else None
    if gain is None or gain.const_value is None:
        raise QuantError(
            sentence(
                f"the graph cannot be rotated: {product.name} does not read a norm with a weight",
                do="choose another scheme for llm.attention, such as int8-w8a8-smooth",
            )
        )
    return gain


def _values(graph: ir.Graph) -> None:
    """V per head, where nothing but the weights below reads it."""
    if CONTEXT not in graph.initializers:
        return  # V goes into a cache, which another graph reads
    context = graph.initializers[CONTEXT]
    outs = [value for name, value in graph.initializers.items() if OUT.fullmatch(name)]
    size = head_size(graph)
    for name in [name for name in graph.initializers if VALUES.fullmatch(name)]:
        replace_tensor(graph.initializers[name], lambda weight: turned_columns(weight, size))
    for value in (context, *outs):
        replace_tensor(value, lambda weight: turned_rows(weight, size))


def head_size(graph: ir.Graph) -> int:
    """Width of a head: the last side of the RoPE table."""
    table = graph.initializers["rope.cos"]
    assert table.shape is not None
    return int(table.shape[-1])
