"""The language model: Qwen3-shaped decoder with grouped-query attention, per-head qk-norm, RoPE and SwiGLU.

Gives, for every layer, the keys (after norm and RoPE) and values that the action expert attends to.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policy_spec.config import TextConfig
from train.model.attention import attend
from train.model.norms import RMSNorm, widen
from train.model.recompute import run


def rope_tables(length: int, head_dim: int, theta: float, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """cos and sin, float32 [length, head_dim], the half-split layout. Recomputed, never loaded: bf16 storage rounds
    inv_freq.
    """
    inv_freq = 1.0 / (theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim))
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), inv_freq)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [B, heads, S, d] rotated in float32 or wider; back in x's dtype."""
    wide = widen(x)
    a, b = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat([-b, a], dim=-1) * sin).to(x.dtype)


class SelfAttention(nn.Module):
    """Fused projection att_proj -> q, k, v; qk-norm; RoPE; grouped-query attention."""

    def __init__(self, c: TextConfig) -> None:
        super().__init__()
        self.c = c
        self.widths = (c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim, c.num_kv_heads * c.head_dim)
        self.att_proj = nn.Linear(c.hidden_size, sum(self.widths), bias=c.qkv_bias)
        self.attn_out = nn.Linear(self.widths[0], c.hidden_size, bias=False)
        self.per_head_norm = c.qk_norm_type == "qwen3"
        if c.use_qk_norm:
            self.q_norm = RMSNorm(c.head_dim if self.per_head_norm else self.widths[0], c.layer_norm_eps)
            self.k_norm = RMSNorm(c.head_dim if self.per_head_norm else self.widths[1], c.layer_norm_eps)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, S, hidden] -> q [B, heads, S, d], k and v [B, kv_heads, S, d], q and k normed and rotated."""
        q, k, v = self.att_proj(x).split(self.widths, dim=-1)
        if self.c.use_qk_norm and not self.per_head_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (t.unflatten(-1, (-1, self.c.head_dim)) for t in (q, k, v))
        if self.c.use_qk_norm and self.per_head_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        return apply_rope(q, cos, sin), apply_rope(k, cos, sin), v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """Attention over all given keys; bias additive, broadcastable to [B, heads, Q, K]. Returns [B, Q, hidden]."""
        group = self.c.num_heads // self.c.num_kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        out = attend(q, k, v, bias)
        return self.attn_out(out.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """SwiGLU with a fused first layer: ff_proj -> (x, gate); ff_out(silu(gate) * x)."""

    def __init__(self, c: TextConfig) -> None:
        super().__init__()
        self.ff_proj = nn.Linear(c.hidden_size, 2 * c.intermediate_size, bias=False)
        self.ff_out = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        up, gate = self.ff_proj(x).chunk(2, dim=-1)
        return self.ff_out(F.silu(gate) * up)


class Layer(nn.Module):
    """One decoder layer; the norms come before each half, or after it where `norm_after`."""

    def __init__(self, c: TextConfig) -> None:
        super().__init__()
        self.norm_after = c.norm_after
        self.dropout = nn.Dropout(0.0)  # of both residual branches; a trainer may raise its `p`
        self.self_attn = SelfAttention(c)
        self.mlp = Mlp(c)
        self.attn_norm = RMSNorm(c.hidden_size, c.layer_norm_eps)
        self.ff_norm = RMSNorm(c.hidden_size, c.layer_norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the residual stream, and this layer's k and v [B, kv_heads, S, d]."""
        q, k, v = self.self_attn.project(x if self.norm_after else self.attn_norm(x), cos, sin)
        mixed = self.dropout(self.self_attn.attend(q, k, v, bias))
        if self.norm_after:
            x = x + self.attn_norm(mixed)
            return x + self.ff_norm(self.dropout(self.mlp(x))), k, v
        x = x + mixed
        return x + self.dropout(self.mlp(self.ff_norm(x))), k, v


class Embedding(nn.Module):
    """Base and additional rows, stored apart in a checkpoint, one table in use."""

    def __init__(self, c: TextConfig) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(c.vocab_size, c.hidden_size))
        self.new_embedding = nn.Parameter(torch.zeros(c.additional_vocab_size, c.hidden_size))

    def forward(self, ids: Tensor) -> Tensor:
        base, extra = self.embedding.shape[0], self.new_embedding.shape[0]
        rows = F.embedding(ids.clamp(max=base - 1), self.embedding)
        if not extra:
            return rows
        added = F.embedding((ids - base).clamp(min=0, max=extra - 1), self.new_embedding)
        return torch.where((ids < base)[..., None], rows, added)


class Transformer(nn.Module):
    """Embeddings in, keys and values of every layer out."""

    def __init__(self, c: TextConfig) -> None:
        super().__init__()
        self.c = c
        self.wte = Embedding(c)
        self.blocks = nn.ModuleList(Layer(c) for _ in range(c.num_layers))
        self.ln_f = RMSNorm(c.hidden_size, c.layer_norm_eps)
        self.recompute = False  # layers are computed again in the backward pass, to hold less

    def forward(self, x: Tensor, bias: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """x [B, S, hidden], bias [B, 1, S, S] -> last hidden state (normed), and (k, v) of each layer."""
        cos, sin = rope_tables(x.shape[1], self.c.head_dim, self.c.rope_theta, x.device)
        kv = []
        for layer in self.blocks:
            x, k, v = run(layer, self.recompute, x, cos, sin, bias)
            kv.append((k, v))
        return self.ln_f(x), kv


def attention_bias(token_type: Tensor) -> Tensor:
    """Additive mask float32 [B, 1, S, S]: causal, and image tokens (token_type [B, S] is 1) see each other both ways.

    All-zero token types give the purely causal mask.
    """
    length = token_type.shape[1]
    image = token_type.bool()
    allowed = torch.ones(length, length, dtype=torch.bool, device=token_type.device).tril()[None] | (
        image[:, :, None] & image[:, None, :]
    )
    bias = torch.zeros(allowed.shape, device=token_type.device).masked_fill(~allowed, torch.finfo(torch.float32).min)
    return bias[:, None]
