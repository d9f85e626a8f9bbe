"""Low-rank adapters: y = W x + (alpha / rank) B A dropout(x), on every matrix of the model but the expert's.

A is drawn from N(0, 1/rank), B begins at 0, so that nothing changes at first. `merged` gives the matrix that does the
same alone: a checkpoint holds no adapters. Parameters lie beside the matrix as lora_a and lora_b. Knows nothing of
optimizers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.learn.groups import group_of
from train.recipe.config import Lora

A, B = "lora_a", "lora_b"


class LoraLinear(nn.Linear):
    """A matrix that stays, and an adapter that learns."""

    def __init__(self, base: nn.Linear, how: Lora) -> None:
        device, dtype = base.weight.device, base.weight.dtype
        super().__init__(base.in_features, base.out_features, base.bias is not None, device="meta", dtype=dtype)
        self.weight = base.weight
        self.bias = base.bias
        self.lora_a = nn.Parameter(torch.zeros(how.rank, base.in_features, device=device, dtype=dtype))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, how.rank, device=device, dtype=dtype))
        self.scale = how.alpha / how.rank
        self.dropout = nn.Dropout(how.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + F.linear(F.linear(self.dropout(x), self.lora_a), self.lora_b) * self.scale


def adapt(model: nn.Module, how: Lora) -> list[str]:
    """Puts adapters on every matrix but the expert's. Returns the names of the matrices."""
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and group_of(name) != "expert"
    ]
    for name, module in found:
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, LoraLinear(module, how))
    return [f"{name}.weight" for name, _ in found]


def first_values(name: str, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """What an adapter's parameter begins with."""
    if name.endswith(B):
        return torch.zeros(shape)
    return torch.randn(shape, generator=rng) / shape[0]


def merged(weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    """The matrix with its adapter folded in, in float64 and back."""
    return (weight.double() + scale * (b.double() @ a.double())).to(weight.dtype)
