"""The depth gate of MolmoThink: a learned scale on the K and V of depth tokens, before the expert's shared
projection.

gate = sigmoid(linear(mean of V over the positions that the expert sees and that are not depth tokens)). A shared
gate takes the last layer's V for all layers; per-layer gates take their own. With `context_layer_norm` the norm
that follows cancels any such scale (docs/sources.md); it is applied all the same, because the released code does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policy_spec.config import ModelConfig
from train.model.expert import KV


def depth_token_ids(c: ModelConfig, device: torch.device | None = None) -> Tensor:
    """Ids of depth_output, depth_start, depth_end and every code."""
    names = ("depth_output_token_id", "depth_start_token_id", "depth_end_token_id")
    ids = [c.token_ids[n] for n in names if n in c.token_ids]
    start = c.token_ids.get("depth_token_start_id")
    if start is not None:
        ids.extend(range(start, start + c.num_depth_tokens))
    return torch.tensor(ids, dtype=torch.int64, device=device)


def gates(heads: nn.Linear | nn.ModuleList, kv: KV, visible: Tensor, depth: Tensor) -> list[Tensor]:
    """One gate [B, 1] per layer. visible, depth: bool [B, S]."""
    pool = visible & ~depth
    pool = torch.where(pool.any(-1, keepdim=True), pool, visible)
    weight = pool.to(kv[0][1].dtype)[..., None]

    def one(head: nn.Module, v: Tensor) -> Tensor:
        flat = v.transpose(1, 2).flatten(2)  # [B, S, kv width]
        mean = (flat * weight).sum(1) / weight.sum(1).clamp(min=1.0)
        return torch.sigmoid(head(mean)).to(v.dtype)

    if isinstance(heads, nn.ModuleList):
        return [one(head, v) for head, (_, v) in zip(heads, kv, strict=True)]
    return [one(heads, kv[-1][1])] * len(kv)


def apply_gates(kv: KV, values: list[Tensor], depth: Tensor) -> KV:
    """Scales K and V at depth positions by their layer's gate."""
    out = []
    for (k, v), gate in zip(kv, values, strict=True):
        scale = torch.where(depth, gate, torch.ones_like(gate))[:, None, :, None]  # [B, 1, S, 1]
        out.append((k * scale, v * scale))
    return out
