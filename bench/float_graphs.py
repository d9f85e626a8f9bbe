"""A checkpoint's float32 graphs on the disk, the samples they are called with, and other graphs measured against them.

What the benchmarks of precisions and of quantizers share. Samples are the golden observation and seeded variations of
it, or observations of episodes; those that schemes are fitted to are others than those that errors are measured on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from armside.compare_samples import Asked, Sample, samples
from armside.quant_opened import write_float
from bench.workbench import TASK, prompt_tokens, say
from export import golden
from export.build import GraphOptions, Job, open_job
from export.runner import OrtRunner
from policy_spec.compare import cosine, max_abs
from policy_spec.golden import Golden
from policy_spec.norm import NormTag
from policy_spec.pipeline import Observation, Pipeline
from quant.collect import Collector
from quant.statistics import Accumulator, Statistics

Arrays = Mapping[str, np.ndarray]
Run = Callable[..., Arrays]
CALIBRATION_SEED = 1000  # of the variations that schemes are fitted to; errors are measured on those of seed 0
_NOTHING = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class FloatGraphs:
    """Float32 graphs and who calls them."""

    job: Job
    folder: Path
    pipeline: Pipeline

    def call(self, run: Run, sample: Sample) -> np.ndarray:
        """Normalised actions [1, H, D] over the robot's dims."""
        made = self.pipeline.predict(run, sample.observation, sample.task, seed=sample.seed)
        return np.array(made.normalized[..., : self.pipeline.tag.action_dim])

    def feeds(self, sample: Sample) -> dict[str, dict[str, np.ndarray]]:
        """What each graph is fed in one call; of flow, the first step's."""
        kept: dict[str, dict[str, np.ndarray]] = {}
        runner = OrtRunner(self.folder)

        def run(graph: str, feeds: Arrays, /) -> Arrays:
            kept.setdefault(graph, {name: np.array(array) for name, array in feeds.items()})
            return runner(graph, feeds)

        self.call(run, sample)
        return kept


def open_float(checkpoint: Path, work: Path) -> FloatGraphs:
    """The graphs in `work`, written where they are not there yet. The bracket is this task's prompt, so that eager
    torch and the graphs do the same work.
    """
    job = open_job(checkpoint, GraphOptions(prompt_tokens=prompt_tokens(checkpoint)), lambda *_: None)
    tag: NormTag = next(iter(job.spec.tags.values()))
    say(f"float32 graphs in {work}")
    opened = write_float(job, work, tag, lambda *_: None)
    return FloatGraphs(job, opened.folder, opened.pipeline)


def samples_of(graphs: FloatGraphs, episodes: str | None, count: int, calibration: bool = False) -> list[Sample]:
    """`count` samples. Those for calibration leave out the golden observation and draw with another seed."""
    pipeline = graphs.pipeline
    tag, seed = pipeline.tag, CALIBRATION_SEED if calibration else 0
    seen: Observation = golden.observation(tag, pipeline.cameras)
    truth = Golden(
        tag.tag, TASK, golden.SEED, tuple(seen.images), seen.state, _NOTHING, _NOTHING, _NOTHING, _NOTHING, {}
    )
    _, found = samples(Asked(episodes, count + calibration, seed), tag, tag.camera_slots, truth)
    made = list(found)
    return made[1:] if calibration else made


def statistics_of(
    graphs: FloatGraphs, wanted: Mapping[str, Mapping[str, bool]], calibration: list[Sample]
) -> Statistics:
    """Of the activations that enter the wanted weights of each graph; those marked get their Gram matrix too."""
    grams = {weight for weights in wanted.values() for weight, gram in weights.items() if gram}
    pad = graphs.job.spec.token_ids["pad"]
    told = Accumulator(lambda weight: weight in grams)
    collector = Collector(graphs.folder, wanted, told, pad)
    for number, sample in enumerate(calibration):
        say(f"activations of sample {number + 1} of {len(calibration)}")
        graphs.call(collector, sample)
    return told.done()


@dataclass(frozen=True, slots=True)
class ActionError:
    """Of normalised actions, over samples."""

    cosine: float  # the worst sample's
    max_abs: float  # the worst sample's


def action_error(got: list[np.ndarray], full: list[np.ndarray]) -> ActionError:
    """Sample by sample. A chunk that is no number counts as all wrong."""
    pairs = list(zip(got, full, strict=True))
    if not all(np.isfinite(a).all() for a, _ in pairs):
        return ActionError(0.0, float("inf"))
    return ActionError(min(cosine(a, b) for a, b in pairs), max(max_abs(a, b) for a, b in pairs))


def stored_bytes(folder: Path, *graphs: str) -> int:
    """Of graphs and their weights; of all files where no graph is named."""
    every = [path for path in folder.iterdir() if path.is_file()]
    return sum(p.stat().st_size for p in every if not graphs or p.name.split(".")[0] in graphs)
