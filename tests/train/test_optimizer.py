"""AdamW, clipping and schedules against the arithmetic written out in float64; what learns in each mode."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from train.learn.groups import GROUPS, group_of
from train.learn.optimizer import choose, clip, make_optimizer
from train.learn.schedule import factor, rates
from train.recipe.config import Clips, Rates, Stage, Warmups

EXPERT, LLM = "model.action_expert.final_layer.linear", "model.transformer.ln_f"


class Two(nn.Module):
    """One matrix of the expert and one vector of the language model, under their released names."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.action_expert = nn.Module()
        self.model.action_expert.final_layer = nn.Module()
        self.model.action_expert.final_layer.linear = nn.Linear(3, 2, bias=False)
        self.model.transformer = nn.Module()
        self.model.transformer.ln_f = nn.LayerNorm(4, bias=False)


def adamw(w: np.ndarray, gradients: list[np.ndarray], lrs: list[float], stage: Stage) -> np.ndarray:
    """Decoupled weight decay, bias correction, in float64."""
    (b1, b2), m, v = stage.betas, np.zeros_like(w), np.zeros_like(w)
    for t, (g, lr) in enumerate(zip(gradients, lrs, strict=True), 1):
        w = w * (1 - lr * stage.weight_decay)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + stage.eps)
    return w


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_those_of_the_formulas(weight_decay: float) -> None:
    stage = Stage(
        steps=10,
        lr=Rates(expert=1e-2, llm=1e-3),
        warmup=Warmups(expert=2, llm=0),
        clip=Clips(expert=0.5, llm=0.0),
        weight_decay=weight_decay,
    )
    torch.manual_seed(0)
    model = Two()
    names = {EXPERT + ".weight": "expert", LLM + ".weight": "llm"}
    before = {n: p.detach().double().numpy().copy() for n, p in model.named_parameters()}
    optimizer = make_optimizer(model, stage)
    gradients: dict[str, list[np.ndarray]] = {n: [] for n in names}
    steps: dict[str, list[float]] = {n: [] for n in names}
    for step in range(4):
        for group in optimizer.param_groups:
            group["lr"] = rates(stage, step)[group["name"]]
        for name, parameter in model.named_parameters():
            parameter.grad = torch.randn(parameter.shape) * 2
            gradient = parameter.grad.double().numpy().copy()
            norm, most = math.sqrt((gradient**2).sum()), getattr(stage.clip, names[name])
            gradients[name].append(gradient * (most / norm if 0 < most < norm else 1.0))
            steps[name].append(
                getattr(stage.lr, names[name]) * factor(step, getattr(stage.warmup, names[name]), 10, 0.1)
            )
        clip(optimizer, stage, lambda t: t)
        optimizer.step()
    for name, parameter in model.named_parameters():
        expected = adamw(before[name], gradients[name], steps[name], stage)
        assert np.abs(parameter.detach().double().numpy() - expected).max() < 1e-6
        unclipped = adamw(before[name], [2 * g for g in gradients[name][:1]] + gradients[name][1:], steps[name], stage)
        assert np.abs(unclipped - expected).max() > 1e-5  # the control: another gradient is seen


def test_norms_are_of_each_part_before_clipping() -> None:
    model, stage = Two(), Stage(clip=Clips(expert=1.0, llm=1.0))
    optimizer = make_optimizer(model, stage)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    norms = clip(optimizer, stage, lambda t: t)
    assert norms["expert"] == pytest.approx(3 * math.sqrt(6)) and norms["llm"] == pytest.approx(6.0)
    assert all(p.grad is not None and float(p.grad.norm()) == pytest.approx(1.0) for p in model.parameters())


def test_warm_up_and_cosine() -> None:
    assert [factor(s, 4, 100, 0.1) for s in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert factor(4, 4, 100, 0.1) == 1.0
    assert factor(52, 4, 100, 0.1) == pytest.approx(0.1 + 0.9 * 0.5)
    assert factor(100, 4, 100, 0.1) == pytest.approx(0.1)
    assert factor(0, 0, 1, 0.1) == 1.0


def test_every_released_name_belongs_to_a_part() -> None:
    assert group_of("model.action_expert_depth_gate.3.weight") == "expert"
    assert group_of("model.transformer.wte.new_embedding") == "llm"
    assert group_of("model.vision_backbone.image_projector.w1.weight") == "connector"
    assert group_of("model.vision_backbone.image_vit.patch_embedding.bias") == "vit"
    with pytest.raises(KeyError):
        group_of("somebody.elses")


@pytest.mark.parametrize(
    ("stage", "learns"),
    [
        (Stage(), {"expert", "llm"}),
        (Stage(mode="expert"), {"expert"}),
        (Stage(lr=Rates(llm=0.0)), {"expert"}),  # a part at rate 0 has no gradients either
    ],
)
def test_what_learns(stage: Stage, learns: set[str]) -> None:
    model = Two()
    choose(model, stage)
    assert {g["name"] for g in make_optimizer(model, stage).param_groups} == learns
    assert learns <= set(GROUPS)
