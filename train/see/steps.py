"""How a lesson in seeing goes on: a rate that rises and falls in a cosine, clipped gradients, a wish to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

Marks = TypeVar("Marks")
LAST = 0.05  # of the highest rate, at the end
CLIP, BETAS = 1.0, (0.9, 0.98)  # of AdamW


@dataclass(frozen=True, slots=True)
class Pace:
    """How many steps, and how large."""

    steps: int
    rate: float  # the highest
    warmup: int  # steps until then


def learn(
    parameters: Sequence[nn.Parameter],
    pace: Pace,
    look: Callable[[], tuple[Tensor, Marks]],
    told: Callable[[int, int, Marks], None],
    stop: Callable[[], bool],
) -> None:
    """Steps along what `look` gives: the loss [] of a new batch, and marks for `told`."""
    optimizer = torch.optim.AdamW(parameters, pace.rate, BETAS, weight_decay=0.0, fused=True)
    for step in range(pace.steps):
        for group in optimizer.param_groups:
            group["lr"] = pace.rate * schedule(step, pace.steps, pace.warmup)
        loss, marks = look()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        told(step + 1, pace.steps, marks)
        if stop():
            break


def schedule(step: int, steps: int, warmup: int) -> float:
    """Of the highest rate: a rise over `warmup` steps, then a cosine that falls to LAST of it."""
    rise = min(1.0, (step + 1) / min(warmup, steps))
    return rise * (LAST + (1.0 - LAST) * 0.5 * (1.0 + math.cos(math.pi * step / steps)))
