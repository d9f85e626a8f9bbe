"""The image encoder: SigLIP2-shaped ViT blocks over 14-pixel patches, and the attention that the connector shares.

Takes pixel values [N, P, 3 * patch^2] in [-1, 1], gives the hidden states after each tapped block. No class token, no
final norm. Attention and softmax are at least float32, as released (`float32_attention`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policy_spec.config import VitConfig
from train.model.attention import attend
from train.model.norms import widen
from train.model.recompute import run

# The released activation names, as torch spells them.
ACTIVATIONS = {
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu": F.gelu,
    "silu": F.silu,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}


class Attention(nn.Module):
    """Multi-head attention with biased projections; queries may differ from keys and values (pooling)."""

    def __init__(self, width_in: int, width_out: int, heads: int, kv_heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.wq = nn.Linear(width_in, heads * head_dim)
        self.wk = nn.Linear(width_in, kv_heads * head_dim)
        self.wv = nn.Linear(width_in, kv_heads * head_dim)
        self.wo = nn.Linear(heads * head_dim, width_out)

    def forward(self, query: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """query [B, Q, width], context [B, K, width], mask bool broadcastable to [B, heads, Q, K] (True: may see)."""
        q = self._split(self.wq(query), self.heads)
        k = self._split(self.wk(context), self.kv_heads)
        v = self._split(self.wv(context), self.kv_heads)
        if self.kv_heads != self.heads:
            group = self.heads // self.kv_heads
            k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        out = attend(widen(q), widen(k), widen(v), mask)
        return self.wo(out.to(query.dtype).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor, heads: int) -> Tensor:
        return x.unflatten(-1, (heads, self.head_dim)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two biased layers around the configured activation."""

    def __init__(self, width: int, inner: int, act: str) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, inner)
        self.w2 = nn.Linear(inner, width)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(self.act(self.w1(x)))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, c: VitConfig) -> None:
        super().__init__()
        self.attention = Attention(c.hidden_size, c.hidden_size, c.num_heads, c.num_kv_heads, c.head_dim)
        self.feed_forward = FeedForward(c.hidden_size, c.intermediate_size, c.hidden_act)
        self.attention_norm = nn.LayerNorm(c.hidden_size, eps=c.layer_norm_eps)
        self.ffn_norm = nn.LayerNorm(c.hidden_size, eps=c.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed)
        return x + self.feed_forward(self.ffn_norm(x))


class Blocks(nn.Module):
    """Holds the blocks under their released name, `transformer.resblocks`."""

    def __init__(self, c: VitConfig, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(c) for _ in range(layers))


class Vit(nn.Module):
    """Patch embedding, positions, and as many blocks as the last tap needs."""

    def __init__(self, c: VitConfig, layers: int) -> None:
        super().__init__()
        self.config = c
        self.patch_embedding = nn.Linear(3 * c.patch_size**2, c.hidden_size)
        self.positional_embedding = nn.Parameter(torch.zeros(c.num_positions, c.hidden_size))
        self.transformer = Blocks(c, layers)
        self.recompute = False  # blocks are computed again in the backward pass, to hold less

    def forward(self, pixels: Tensor, taps: tuple[int, ...]) -> Tensor:
        """pixels [N, P, 3 * patch^2] -> tapped hidden states, concatenated in the taps' order: [N, P, taps *
        hidden].
        """
        x = self.patch_embedding(pixels) + positions(self.positional_embedding, self.config.grid).to(pixels.dtype)
        seen = []
        for block in self.transformer.resblocks:
            x = run(block, self.recompute, x)
            seen.append(x)
        return torch.cat([seen[i] for i in taps], dim=-1)


def positions(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """The learned positions for a patch grid: as stored, or resampled (bicubic, antialiased) from their square grid."""
    side = math.isqrt(table.shape[0])
    if (side, side) == grid:
        return table
    square = table.unflatten(0, (side, side)).permute(2, 0, 1).unsqueeze(0)
    fitted = F.interpolate(square, size=grid, mode="bicubic", align_corners=False, antialias=True)
    return fitted.squeeze(0).permute(1, 2, 0).flatten(0, 1)
