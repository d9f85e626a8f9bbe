"""What the trainer's tests learn from: a checkpoint of a few thousand parameters, and episodes to learn by heart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from episodes.stream import MixtureStream
from policy_spec.spec import PolicySpec
from train.data.loader import OpenRows
from train.data.rows import ArrayEpisode, ArrayRows, Plan
from train.init_checkpoint import InitOptions, init_checkpoint
from train.presets import PRESETS, ROBOTS
from train.recipe.config import Config
from train.recipe.read import config_of

MICRO = replace(
    PRESETS["sim"], layers=2, hidden=32, heads=2, kv_heads=2, head_dim=16, intermediate=48, vit_layers=2, vit_hidden=16,
    vit_heads=2, vit_intermediate=24, connector_intermediate=24, expert_hidden=32, expert_heads=2, time_dim=16,
    image_side=56,
)  # fmt: skip
TAG, HORIZON = "so100_so101_molmoact2", 30
TASKS = ("reach the red cube", "reach the blue ball")


def micro_checkpoint(folder: Path, *, depth: bool = False, seed: int = 0) -> Path:
    """`armside init` of the smallest model that has every part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "micro", MICRO)
        init_checkpoint(InitOptions(folder, "micro", "so101", seed, True, depth))
    return folder


def array_rows(episodes: int = 2, length: int = 6, seed: int = 0, depth: bool = False) -> ArrayRows:
    """Pictures and states at random, and actions on smooth curves."""
    rng = np.random.default_rng(seed)
    low, high = np.array(ROBOTS["so101"].q01, np.float32), np.array(ROBOTS["so101"].q99, np.float32)
    made = []
    for number in range(episodes):
        images = tuple(rng.integers(0, 256, (length, 20, 24, 3), dtype=np.uint8) for _ in range(2))
        states = low + (high - low) * rng.random((length, 6), np.float32)
        turns = np.arange(length, dtype=np.float32)[:, None] / 30.0 + rng.random(6, np.float32)
        actions = low + (high - low) * (0.5 + 0.4 * np.sin(6.28 * turns)).astype(np.float32)
        codes = rng.integers(0, 128, (length, 100)) if depth else None
        made.append(ArrayEpisode(images, states, actions, TASKS[number % 2], codes))
    return ArrayRows(made, TAG, HORIZON)


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    rows: ArrayRows

    def __call__(self) -> ArrayRows:
        return self.rows


@dataclass(frozen=True, slots=True, eq=False)
class ArrayFeed:
    """A Feed over arrays."""

    rows: ArrayRows
    first_only: bool = False  # nothing but the first frame of each episode

    def open(self, spec: PolicySpec) -> OpenRows:
        return _Open(self.rows)

    def plan(self, stage: int) -> Plan:
        return MixtureStream([[1] * len(self.rows.episodes)]) if self.first_only else self.rows.plan(stage)


def config(checkpoint: Path, out: Path, stage: dict[str, Any], **run: Any) -> Config:
    """One stage of two steps, unless said otherwise."""
    plain = {"steps": 2, "batch": 4, "noise_samples": 2, "augment": {"enabled": False}}
    rates = {"lr": dict.fromkeys(("llm", "vit", "connector", "expert", "lm_head"), 1e-3)}
    warmup = {"warmup": dict.fromkeys(("llm", "vit", "connector", "expert", "lm_head"), 0)}
    return config_of(
        {
            "start": {"checkpoint": str(checkpoint)},
            "data": {},
            "stages": [{**plain, **rates, **warmup, **stage}],
            "run": {"out": str(out), "device": "cpu", "precision": "float32", "threads": 1, "log_every": 1, **run},
        }
    )
