"""The action expert: a flow-matching transformer over the action chunk that cross-attends to every LLM layer's K and V.

adaLN-Zero modulation by the flow time, non-affine RMS norms and qk-norms, RoPE on self-attention only. One shared
projection brings each layer's K and V into the expert's width; K is then normed per head.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policy_spec.config import ExpertConfig, TextConfig
from train.model.attention import attend
from train.model.llm import apply_rope, rope_tables
from train.model.norms import rms_norm
from train.model.recompute import run

NORM_EPS = 1e-6  # of the expert's own norms; the qk-norm's comes from the configuration
ROPE_BASE = 10000.0
HIDDEN = torch.finfo(torch.float32).min  # additive mask of a hidden key

KV = list[tuple[Tensor, Tensor]]  # per layer: k, v


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """adaLN: norm, then scale by 1 + scale and shift; shift and scale [B, 1, hidden]."""
    return rms_norm(x, NORM_EPS) * (1 + scale) + shift


class SelfAttention(nn.Module):
    """Attention among the chunk's steps."""

    def __init__(self, c: ExpertConfig) -> None:
        super().__init__()
        self.c = c
        self.qkv = nn.Linear(c.hidden_size, 3 * c.hidden_size)
        self.out_proj = nn.Linear(c.hidden_size, c.hidden_size)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], bias: Tensor | None) -> Tensor:
        q, k, v = (t.unflatten(-1, (self.c.num_heads, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
        if self.c.qk_norm:
            q, k = rms_norm(q, self.c.qk_norm_eps), rms_norm(k, self.c.qk_norm_eps)
        if self.c.rope:
            q, k = apply_rope(q, *rope), apply_rope(k, *rope)
        out = attend(q, k, v, bias)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Attention from the chunk to one LLM layer's projected K and V."""

    def __init__(self, c: ExpertConfig) -> None:
        super().__init__()
        self.c = c
        self.q_proj = nn.Linear(c.hidden_size, c.hidden_size)
        self.out_proj = nn.Linear(c.hidden_size, c.hidden_size)

    def forward(self, x: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        """x [B * K, H, hidden]; k, v [B, heads, S, d]; bias additive [B, 1, 1, S].

        Queries do not see each other, so the K chunks of one prompt are asked as one chunk of K * H steps: its keys
        and values are read once and never copied.
        """
        rows = k.shape[0]
        q = self.q_proj(x.reshape(rows, -1, x.shape[-1])).unflatten(-1, (self.c.num_heads, -1)).transpose(1, 2)
        if self.c.qk_norm:
            q = rms_norm(q, self.c.qk_norm_eps)
        out = attend(q, k, v, bias)
        return self.out_proj(out.transpose(1, 2).reshape(x.shape))


class Mlp(nn.Module):
    """SwiGLU with biases."""

    def __init__(self, c: ExpertConfig) -> None:
        super().__init__()
        self.up_proj = nn.Linear(c.hidden_size, c.inner_size)
        self.gate_proj = nn.Linear(c.hidden_size, c.inner_size)
        self.down_proj = nn.Linear(c.inner_size, c.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Modulation(nn.Module):
    """The time conditioning -> `chunks` vectors of the hidden width."""

    def __init__(self, hidden: int, chunks: int) -> None:
        super().__init__()
        self.chunks = chunks
        self.linear = nn.Linear(hidden, chunks * hidden)

    def forward(self, conditioning: Tensor) -> list[Tensor]:
        """[B, hidden] -> chunks of [B, 1, hidden]."""
        return [t.unsqueeze(1) for t in self.linear(F.silu(conditioning)).chunk(self.chunks, dim=-1)]


class Block(nn.Module):
    """Self-attention, cross-attention and MLP, each modulated (shift, scale) and gated."""

    def __init__(self, c: ExpertConfig) -> None:
        super().__init__()
        self.self_attn = SelfAttention(c)
        self.cross_attn = CrossAttention(c)
        self.mlp = Mlp(c)
        self.modulation = Modulation(c.hidden_size, 9)

    def forward(self, x: Tensor, mod: list[Tensor], kv: tuple[Tensor, Tensor], masks: Masks) -> Tensor:
        shift_s, scale_s, gate_s, shift_c, scale_c, gate_c, shift_m, scale_m, gate_m = mod
        x = x + gate_s * self.self_attn(modulate(x, shift_s, scale_s), masks.rope, masks.self_bias)
        x = x + gate_c * self.cross_attn(modulate(x, shift_c, scale_c), *kv, masks.cross_bias)
        return x + gate_m * self.mlp(modulate(x, shift_m, scale_m))


class Masks:
    """What all blocks of a call share: RoPE tables, and additive masks for cross- and self-attention."""

    def __init__(self, horizon: int, c: ExpertConfig, visible: Tensor | None, valid_steps: Tensor | None) -> None:
        """visible bool [B, S] (prompt positions the expert may see); valid_steps bool [B, H] or None."""
        device = next((t.device for t in (visible, valid_steps) if t is not None), None)
        self.rope = rope_tables(horizon, c.head_dim, ROPE_BASE, device)
        self.cross_bias = None if visible is None else _bias(visible)[:, None, None, :]
        self.valid_steps = valid_steps
        self_bias = None if valid_steps is None else _bias(valid_steps)[:, None, None, :]
        if c.causal_attn:
            causal = _bias(torch.ones(horizon, horizon, dtype=torch.bool, device=device).tril())[None, None]
            self_bias = causal if self_bias is None else (self_bias + causal).clamp(min=HIDDEN)
        self.self_bias = self_bias


def _bias(visible: Tensor) -> Tensor:
    return torch.zeros(visible.shape, device=visible.device).masked_fill(~visible.bool(), HIDDEN)


class TimeEmbedding(nn.Module):
    """Sinusoid of the flow time; sin and cos halves, frequencies 1 .. 1e-4 inclusive."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, t: Tensor) -> Tensor:
        """t float32 [B] -> [B, dim]."""
        half = self.dim // 2
        freq = torch.exp(torch.arange(half, dtype=t.dtype, device=t.device) * (-math.log(10000.0) / max(half - 1, 1)))
        angles = t[:, None] * freq
        return F.pad(torch.cat([angles.sin(), angles.cos()], dim=-1), (0, self.dim % 2))


class FinalLayer(nn.Module):
    """Modulated norm and the projection to action dims."""

    def __init__(self, c: ExpertConfig) -> None:
        super().__init__()
        self.modulation = Modulation(c.hidden_size, 2)
        self.linear = nn.Linear(c.hidden_size, c.max_action_dim)

    def forward(self, x: Tensor, mod: list[Tensor]) -> Tensor:
        return self.linear(modulate(x, *mod))


def context_widths(c: ExpertConfig, text: TextConfig) -> tuple[int, int]:
    """Inputs and outputs of the shared projections of K and V."""
    if c.conditioning == "per_head":
        return text.head_dim, c.head_dim
    return (text.hidden_size if c.conditioning == "hidden_state" else text.num_kv_heads * text.head_dim), c.hidden_size


class ActionExpert(nn.Module):
    """trajectory, time, context -> velocity."""

    def __init__(self, c: ExpertConfig, text: TextConfig) -> None:
        super().__init__()
        self.c = c
        width, out = context_widths(c, text)
        self.time_embed = nn.Sequential(
            TimeEmbedding(c.timestep_embed_dim),
            nn.Linear(c.timestep_embed_dim, c.hidden_size),
            nn.SiLU(),
            nn.Linear(c.hidden_size, c.hidden_size),
        )
        self.action_embed = nn.Linear(c.max_action_dim, c.hidden_size)
        self.context_k_proj = nn.Linear(width, out, bias=False)
        self.context_v_proj = nn.Linear(width, out, bias=False)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.num_layers))
        self.final_layer = FinalLayer(c)
        self.recompute = False  # blocks are computed again in the backward pass, to hold less

    def context(self, kv: KV) -> KV:
        """Each layer's k, v [B, kv_heads, S, d] -> the expert's k, v [B, heads, S, expert d] for each block.

        Conditioned on the last hidden state, kv is that state alone, as one head, and all blocks share what it gives.
        """
        out = []
        for k, v in kv:
            k, v = self._projected(k, self.context_k_proj), self._projected(v, self.context_v_proj)
            if self.c.context_layer_norm:
                k, v = rms_norm(k, NORM_EPS), rms_norm(v, NORM_EPS)
            k, v = (t.unflatten(-1, (self.c.num_heads, -1)).transpose(1, 2) for t in (k, v))
            out.append((rms_norm(k, self.c.qk_norm_eps) if self.c.qk_norm else k, v))
        return out * len(self.blocks) if self.c.conditioning == "hidden_state" else out

    def _projected(self, x: Tensor, project: nn.Linear) -> Tensor:
        """[B, heads of the source, S, d] -> [B, S, hidden]."""
        x = x.transpose(1, 2)
        if self.c.conditioning == "per_head":  # one head goes to one head, or to several where the expert has more
            return project(x).repeat_interleave(self.c.num_heads // x.shape[2], dim=2).flatten(2)
        return project(x.flatten(2))

    def modulations(self, t: Tensor) -> tuple[list[list[Tensor]], list[Tensor]]:
        """Flow time [B] -> each block's nine vectors and the final layer's two, all [B, 1, hidden]."""
        conditioning = self.time_embed(t)
        blocks = [cast(Block, block).modulation(conditioning) for block in self.blocks]
        return blocks, self.final_layer.modulation(conditioning)

    def forward(self, x: Tensor, t: Tensor, context: KV, masks: Masks) -> Tensor:
        """x [B, H, A], t [B] in [0, 1), context from `context()` -> velocity [B, H, A]."""
        blocks, final = self.modulations(t)
        valid = 1.0 if masks.valid_steps is None else masks.valid_steps[..., None].to(x.dtype)
        x = self.action_embed(x).to(x.dtype) * valid  # the residual stream stays as wide as the trajectory
        for block, mod, kv in zip(self.blocks, blocks, context, strict=True):
            x = run(block, self.recompute, x, mod, kv, masks) * valid
        return self.final_layer(x, final) * valid
