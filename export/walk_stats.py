"""What enters each product, told by the reference model with one weight in memory at a time: for any checkpoint size.

A StatisticsWalk is a `run(graph, feeds)`; every linear layer that runs tells its input, without padding, under the
names that the graphs' weights have: a fused layer is several of them. The twin of a collector on float graphs, for
models whose float graphs do not fit. Knows nothing of what is made of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from export.reference import CachedTorchRunner, torch_runner
from export.streamed import streamed_model
from policy_spec.graphs import Variant
from policy_spec.pipeline import Pipeline
from train.checkpoint import Checkpoint

Arrays = Mapping[str, np.ndarray]
Add = Callable[[str, np.ndarray], None]  # a weight's name, rows [..., K] that are multiplied with it
Used = Callable[[str, Arrays], "int | None"]  # graph, its feeds -> rows that are no padding; None: all

# Fused layers of the reference model, and the parts that the graphs cut them into (export.weights.Rows).
PARTS = {
    ".self_attn.att_proj": ("q", "k", "v"),
    ".mlp.ff_proj": ("up", "gate"),
    ".self_attn.qkv": ("q", "k", "v"),
}


def weights_of(linear: str) -> tuple[str, ...]:
    """The graphs' weights that a linear layer of the reference model (its name without .weight) stands for."""
    parts = next((parts for end, parts in PARTS.items() if linear.endswith(end)), None)
    return (f"{linear}.weight",) if parts is None else tuple(f"{linear}.{part}.weight" for part in parts)


class StatisticsWalk:
    """`walk(graph, feeds) -> outputs` of the reference model, which tells what enters the wanted products."""

    def __init__(
        self, checkpoint: Checkpoint, pipeline: Pipeline, variant: Variant, add: Add, used: Used, wanted: set[str]
    ) -> None:
        """wanted: names of weights; what enters others is not told."""
        self.add, self.used, self.wanted = add, used, wanted
        self._rows: int | None = None
        model = streamed_model(checkpoint, self._seen)
        self.runner: Any = torch_runner(model, pipeline.spec, pipeline.bracket, variant)
        if isinstance(self.runner, CachedTorchRunner):
            tied = checkpoint.config.text.tie_word_embeddings
            table = "model.transformer.wte.embedding" if tied else "lm_head.weight"
            self.runner.head_rows = lambda start, stop: checkpoint.rows(table, start, stop)

    @property
    def caches(self) -> Arrays:
        """The runner's, in modes that have them."""
        caches: Arrays = self.runner.caches
        return caches

    def __call__(self, graph: str, feeds: Arrays, /) -> Arrays:
        self._rows = self.used(graph, feeds)
        out: Arrays = self.runner(graph, feeds)
        return out

    def _seen(self, linear: str, x: Tensor) -> None:
        names = [name for name in weights_of(linear) if name in self.wanted]
        if not names:
            return
        rows = x.numpy()
        if self._rows is not None and rows.ndim == 3:  # [1, rows, K]
            rows = rows[:, : self._rows]
        for name in names:
            self.add(name, rows)
