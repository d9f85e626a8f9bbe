"""RMS normalisation in float32 or wider, with or without a learned scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def widen(x: Tensor) -> Tensor:
    """At least float32: half floats become float32, float64 stays."""
    return x if x.dtype == torch.float64 else x.float()


def rms_norm(x: Tensor, eps: float, weight: Tensor | None = None) -> Tensor:
    """x / sqrt(mean(x^2) + eps), over the last axis, in float32 or wider; back in x's dtype."""
    wide = widen(x)
    out = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    if weight is not None:
        out = out * widen(weight)
    return out.to(x.dtype)


class RMSNorm(nn.Module):
    """Learned-scale RMS norm of the language model."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.eps, self.weight)
