"""Activation statistics of a checkpoint on calibration samples: by ONNX Runtime, or by the reference model's layers.

The float graphs tell where they fit in memory; else the reference model, one weight in memory at a time, whose linear
layers tell the same. Joins export (graphs, streamed reference) and quant (collector, accumulator).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from armside.quant_opened import continuous, fits, pipeline, write_float
from armside.stream_bundle import lazy_graphs
from export.build import Job, Progress, write_facts
from export.reference import TorchRunner
from export.streamed import streamed_model
from policy_spec.image import pooling_index
from quant.collect import Collector, collect, rows_used
from quant.samples import SampleSet
from quant.statistics import Accumulator, Statistics

Wanted = Mapping[str, Mapping[str, bool]]  # of each graph its weights, and whether their Gram matrix is wanted


def measure(job: Job, found: SampleSet, wanted: Wanted, work: Path, progress: Progress) -> Statistics:
    """Statistics of the wanted weights. work: for float graphs. Think and discrete modes are measured by one call
    without generated tokens. Raises QuantError, BundleError (no room).
    """
    told = Accumulator(grams(wanted))
    whole = not job.sizes.variant.cached and fits(lazy_graphs(job))
    if whole:
        opened = write_float(job, work, job.spec.tag(found.tag), progress)
        pad = job.spec.token_ids["pad"]
        return collect(opened.pipeline, Collector(work, wanted, told, pad), found.samples, progress)
    write_facts(job, work)
    return walk(job, found, {w for weights in wanted.values() for w in weights}, told, work, progress)


def grams(wanted: Wanted) -> Callable[[str], bool]:
    """For an Accumulator."""
    every = {weight: gram for weights in wanted.values() for weight, gram in weights.items()}
    return lambda weight: every.get(weight, False)


def walk(
    job: Job, found: SampleSet, wanted: set[str], told: Accumulator, facts: Path, progress: Progress
) -> Statistics:
    """By the reference model."""
    job = continuous(job)
    reference = Reference(job, wanted, told)
    policy = pipeline(job, facts, job.spec.tag(found.tag))
    for number, sample in enumerate(found.samples):
        progress("collect activations, layer by layer", number, len(found.samples))
        policy.predict(reference, sample.observation, sample.task, seed=sample.seed)
    return told.done()


class Reference:
    """`run(graph, feeds)` of the streamed reference model, which tells an Accumulator what enters its layers."""

    def __init__(self, job: Job, wanted: set[str], told: Accumulator) -> None:
        self.told, self.pad = told, job.spec.token_ids["pad"]
        self.used: int | None = None  # rows of the stage that runs which are no padding
        self.weights: dict[str, list[str]] = {}  # linear layer -> the graphs' weights that are cut from it
        for weight in wanted:
            name = weight.removesuffix(".weight")
            for layer in (name, name.rpartition(".")[0]):
                self.weights.setdefault(layer, []).append(weight)
        model = streamed_model(job.checkpoint, self._seen)
        spec = job.spec
        self.runner = TorchRunner(model, pooling_index(spec.grid, spec.pool), spec.flow_steps)

    def __call__(self, graph: str, feeds: Mapping[str, np.ndarray], /) -> dict[str, np.ndarray]:
        self.used = rows_used(graph, feeds, self.pad)
        return self.runner(graph, feeds)

    def _seen(self, layer: str, x: Tensor) -> None:
        for weight in self.weights.get(layer, ()):
            rows = x if self.used is None or x.ndim < 3 else x[:, : self.used]
            self.told.add(weight, rows.detach().numpy())
