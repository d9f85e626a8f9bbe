"""One optimizer step: micro-batches forward and backward, gradients clipped, weights moved.

Takes a learner, its optimizer and the micro-batches of this process; gives a Report. Losses are divided by the counts
of the whole step over all processes, so that cutting a batch into parts changes nothing but rounding. A step whose
gradient is not finite moves nothing. Knows nothing of data, files or time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from train.learn.batch import Batch
from train.learn.learner import Learner, Pass
from train.learn.losses import Weights
from train.learn.optimizer import clip
from train.learn.schedule import rates
from train.recipe.config import Stage
from train.trainer.world import World


@dataclass(frozen=True, slots=True)
class Report:
    """What a step was like, over all processes."""

    loss: float
    flow: float | None  # None: not learned
    ce: float | None
    z: float | None
    accuracy: float | None  # of labelled tokens
    norms: dict[str, float]  # of each part's gradient, before clipping
    rates: dict[str, float]
    moved: bool  # False: the gradient was not finite


@dataclass(frozen=True, slots=True, eq=False)
class Stepper:
    """A stage's learner and optimizer in a world."""

    learner: Learner
    optimizer: torch.optim.Optimizer
    stage: Stage
    world: World
    autocast: bool  # bfloat16 where torch takes it, over float32 masters

    def step(self, number: int, batches: Sequence[Batch], seed: int) -> Report:
        """Step `number` of the stage, from 0. seed: of dropout."""
        stage, world = self.stage, self.world
        torch.manual_seed(seed)
        weights = Weights(stage.loss.flow, stage.loss.lm, stage.loss.z if stage.loss.lm > 0 else 0.0)
        want = Pass(flow=weights.flow > 0, lm=weights.lm > 0, insulated=stage.insulated)
        counts = world.total(torch.stack([batch.counts for batch in batches]).sum(0).to(torch.float32).to(world.device))
        counts = counts.cpu()
        seen = torch.zeros(4, device=world.device)
        for batch in batches:
            with torch.autocast(world.device.type, torch.bfloat16, enabled=self.autocast):
                sums = self.learner(batch.to(world.device), want)
            loss = weights.total(sums, counts)
            (loss * world.size).backward()  # FSDP divides by the number of processes
            seen += torch.stack([sums.flow, sums.ce, sums.z, sums.right]).detach()
        lr = rates(stage, number)
        for group in self.optimizer.param_groups:
            group["lr"] = lr[group["name"]]
        norms = clip(self.optimizer, stage, world.total)
        moved = all(math.isfinite(norm) for norm in norms.values())
        if moved:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        flow, ce, z, right = world.total(seen).tolist()
        rows, tokens = (max(float(count), 1.0) for count in counts)
        total = weights.flow * flow / rows + (weights.lm * ce + weights.z * z) / tokens
        return Report(
            loss=total,
            flow=flow / rows if want.flow else None,
            ce=ce / tokens if want.lm else None,
            z=stage.loss.z * z / tokens if want.lm else None,
            accuracy=right / tokens if want.lm else None,
            norms=norms,
            rates={name: lr[name] for name in norms},
            moved=moved,
        )
