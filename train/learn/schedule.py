"""Learning rates over time: a linear warm-up of each part's own, then a cosine down to a share of its rate.

Takes a step, gives rates. Knows nothing of optimizers.
"""

from __future__ import annotations

import math

from train.learn.groups import GROUPS
from train.recipe.config import Stage


def factor(step: int, warmup: float, steps: int, final: float) -> float:
    """What a rate is multiplied by at `step`, counted from 0: 1/warmup, 2/warmup, ... 1, then the cosine, which is at
    `final` when all steps are done.
    """
    if step < warmup:
        return (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1.0, steps - warmup))
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))


def rates(stage: Stage, step: int) -> dict[str, float]:
    """The learning rate of each part."""
    return {
        name: getattr(stage.lr, name) * factor(step, getattr(stage.warmup, name), stage.steps, stage.final_lr)
        for name in GROUPS
    }
