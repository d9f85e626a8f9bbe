"""The repeated pieces of a call as pure functions: a ViT block, a language-model layer, an expert block.

Take activations, one block's weights (tuples of weights.py) and sizes; give activations. The same function serves all
blocks of a kind, so that `torch.compile`, where it is asked for, compiles one block and not thirty-six. Written for few
launches: a norm's weight carries the adaLN scale, a product's bias its shift, q and k are normed and rotated together,
and grouped queries stand as more rows of one head, so that keys are never copied. Know nothing of buffers' owners.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.gpu.weights import BlockStep, BlockWeights, LayerWeights, VitWeights
from train.model.expert import NORM_EPS
from train.model.vit import ACTIVATIONS


class VitSizes(NamedTuple):
    """What is the same in all ViT blocks."""

    heads: int
    eps: float
    act: str


class TextSizes(NamedTuple):
    """What is the same in all layers of the language model."""

    heads: int
    kv_heads: int
    head_dim: int
    eps: float


class ExpertSizes(NamedTuple):
    """What is the same in all blocks of the expert."""

    heads: int
    qk_norm: bool
    eps: float  # of the qk-norm
    rope: bool
    causal: bool


class Keys(NamedTuple):
    """One layer's K and V: where new rows are written, and how many are looked at."""

    k: Tensor  # [places, kv_heads, d]
    v: Tensor
    seen: int  # the first places, over which the bias reaches


class Rope(NamedTuple):
    """cos, and sin with the sign of the half-split rotation: [rows, 1, d]."""

    cos: Tensor
    sin: Tensor


def signed(cos: Tensor, sin: Tensor, dtype: torch.dtype) -> Rope:
    """Tables [rows, d] of train.model.llm.rope_tables for `rotate`."""
    half = sin.shape[-1] // 2
    sin = torch.cat([-sin[:, :half], sin[:, half:]], dim=-1)
    return Rope(cos.to(dtype).unsqueeze(1), sin.to(dtype).unsqueeze(1))


def rotate(x: Tensor, rope: Rope) -> Tensor:
    """RoPE of x [rows, heads, d]."""
    return torch.addcmul(x * rope.cos, x.roll(x.shape[-1] // 2, -1), rope.sin)


def vit_block(x: Tensor, w: VitWeights, c: VitSizes) -> Tensor:
    """x [N, P, hidden]. q, k and v by one product."""
    n, p, hidden = x.shape
    normed = F.layer_norm(x, (hidden,), w.norm, w.norm_bias, c.eps)
    q, k, v = F.linear(normed, w.qkv, w.qkv_bias).view(n, p, 3, c.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, p, -1)
    x = x + F.linear(mixed, w.out, w.out_bias)
    normed = F.layer_norm(x, (hidden,), w.ffn_norm, w.ffn_norm_bias, c.eps)
    return x + F.linear(ACTIVATIONS[c.act](F.linear(normed, w.up, w.up_bias)), w.down, w.down_bias)


def layer_keys(x: Tensor, w: LayerWeights, rope: Rope, to: Keys, at: Tensor | None, c: TextSizes) -> Tensor:
    """Writes x's rows [S, hidden] into K and V, at the places `at` int64 [S], or at the first S. Gives q [S, heads, d].

    Norm and rotation of q and k are float32, whatever the rest is.
    """
    rows, both = x.shape[0], c.heads + c.kv_heads
    normed = F.rms_norm(x, (x.shape[1],), w.attn_norm, c.eps)
    qkv = F.linear(normed, w.qkv, w.qkv_bias).view(rows, both + c.kv_heads, c.head_dim)
    qk = qkv[:, :both].float()
    if w.qk_norm is not None:
        qk = F.rms_norm(qk, (c.head_dim,), None, c.eps) * w.qk_norm
    qk = rotate(qk, rope)
    k, v = qk[:, c.heads :], qkv[:, both:]
    if at is None:
        to.k[:rows].copy_(k)
        to.v[:rows].copy_(v)
    else:
        to.k.index_copy_(0, at, k.to(to.k.dtype))
        to.v.index_copy_(0, at, v)
    return qk[:, : c.heads]


def layer_rest(x: Tensor, q: Tensor, w: LayerWeights, keys: Keys, bias: Tensor, c: TextSizes) -> Tensor:
    """Attention over the seen keys and the MLP. bias: additive [group * S, seen], a row for each query of a group."""
    rows, group = x.shape[0], c.heads // c.kv_heads
    q = q.to(x.dtype).view(rows, c.kv_heads, group, c.head_dim).permute(1, 2, 0, 3)
    q = q.reshape(1, c.kv_heads, group * rows, c.head_dim)
    k, v = (t[: keys.seen].transpose(0, 1).unsqueeze(0) for t in (keys.k, keys.v))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    mixed = mixed.view(c.kv_heads, group, rows, c.head_dim).permute(2, 0, 1, 3).reshape(rows, -1)
    x = x + F.linear(mixed, w.out)
    up, gate = F.linear(F.rms_norm(x, (x.shape[1],), w.ff_norm, c.eps), w.up_gate).chunk(2, dim=-1)
    return x + F.linear(F.silu(gate) * up, w.down)


def layer(x: Tensor, w: LayerWeights, rope: Rope, keys: Keys, way: Way, c: TextSizes) -> Tensor:
    """One whole layer: x [S, hidden], the same out."""
    q = layer_keys(x, w, rope, keys, way.at, c)
    return layer_rest(x, q, w, keys, way.bias, c)


class Way(NamedTuple):
    """Where the rows of a run go and what they see."""

    at: Tensor | None  # int64 [S] places in the cache; None: the first S
    bias: Tensor  # additive [group * S, seen]


def expert_block(x: Tensor, w: BlockWeights, m: BlockStep, kv: Tensor, masks: ExpertMasks, c: ExpertSizes) -> Tensor:
    """x float32 [H, hidden]; kv [2, heads, S, d] of this block; a step's modulations ride on norms and biases.

    The residual stream, the norms and the gates stay float32: ten rows cost nothing, and ten steps add up.
    """
    hidden, narrow = x.shape[-1], kv.dtype
    qkv = F.linear(F.rms_norm(x, (hidden,), m.self_scale, NORM_EPS).to(narrow), w.qkv, m.qkv_bias)
    qkv = qkv.view(x.shape[0], 3 * c.heads, -1)
    qk = _normed(qkv, c)[:, : 2 * c.heads]  # v too, for nothing: a part of the rows would be copied first
    if c.rope:
        qk = rotate(qk, masks.rope)
    q, k = qk.transpose(0, 1).unsqueeze(0).split(c.heads, dim=1)
    v = qkv[:, 2 * c.heads :].transpose(0, 1).unsqueeze(0)
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=c.causal).squeeze(0).transpose(0, 1).reshape(x.shape)
    x = torch.addcmul(x, m.self_gate, F.linear(mixed, w.self_out, w.self_out_bias))
    q = F.linear(F.rms_norm(x, (hidden,), m.cross_scale, NORM_EPS).to(narrow), w.q, m.q_bias)
    q = _normed(q.view(x.shape[0], c.heads, -1), c).transpose(0, 1).unsqueeze(0)
    mixed = F.scaled_dot_product_attention(q, kv[:1], kv[1:], attn_mask=masks.cross)
    mixed = mixed.squeeze(0).transpose(0, 1).reshape(x.shape)
    x = torch.addcmul(x, m.cross_gate, F.linear(mixed, w.cross_out, w.cross_out_bias))
    inner = F.linear(F.rms_norm(x, (hidden,), m.mlp_scale, NORM_EPS).to(narrow), w.gate_up, m.gate_up_bias)
    gate, up = inner.chunk(2, dim=-1)
    return torch.addcmul(x, m.mlp_gate, F.linear(F.silu(gate) * up, w.down, w.down_bias))


class ExpertMasks(NamedTuple):
    """What all blocks and steps of a call share."""

    rope: Rope  # of the chunk's steps
    cross: Tensor  # additive [1, 1, 1, S]: which places of the prompt are seen


def _normed(x: Tensor, c: ExpertSizes) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), None, c.eps) if c.qk_norm else x


@dataclass(frozen=True, slots=True)
class Pieces:
    """The functions that a call is made of, plain or compiled."""

    vit_block: Callable[..., Tensor] = vit_block
    layer_keys: Callable[..., Tensor] = layer_keys
    layer: Callable[..., Tensor] = layer
    expert_block: Callable[..., Tensor] = expert_block

    @classmethod
    def made(cls, compiled: bool) -> Pieces:
        """`compiled`: by torch.compile, each for the shapes that it meets, before anything is captured."""
        if not compiled:
            return cls()
        names = cls.__dataclass_fields__
        plain = cls()
        return cls(*(torch.compile(getattr(plain, name), fullgraph=True, dynamic=False) for name in names))
