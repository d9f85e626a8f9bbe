"""A checkpoint's graphs verified layer by layer, where the whole float model does not fit in memory.

The reference model walks through one call, a weight at a time; every layer of the float32 graphs must agree with it;
then every layer of a written bundle is compared, which says what its schemes lose. Another noise seed must move the
chunk. Takes a Job and folders, gives what `build.build_whole` gives, and errors per layer. What was found before an
interruption is taken from the journal. Knows nothing of schemes and bundles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from export import golden
from export.build import Built, BuiltCached, Job, Progress, golden_pipeline, graph_makers
from export.cases import Recorder, cases
from export.emit import layer_name
from export.layer_runs import LayeredGraph
from export.layerwise import Case, FloatGraph, LayerError, Once, check_layers
from export.verify import CONTROL_FACTOR, TOLERANCE_ACTION, TOLERANCE_STAGE, Answer, answer, refuse_short, refuse_still
from export.verify_cached import STRIDE, CachedAnswer, cached_answer
from export.walk import Walk
from policy_spec.compare import Row
from policy_spec.pipeline import Pipeline, Run
from policy_spec.replay import RIMS, Replay

FEW_TOKENS = 16  # of a discrete answer: what the reference is asked about, not what a policy would say


@dataclass(frozen=True, slots=True, eq=False)
class Layered:
    """What the reference walked through, for comparing a bundle."""

    built: Built | BuiltCached
    cases: list[Case]


def build_layered(job: Job, facts: Path, work: Path, once: Once, progress: Progress) -> Layered:
    """facts: a folder with spec.json and tokenizer.json; work: for what is kept between interruptions. Raises
    ExportError naming the layers that do not agree with the reference model.
    """
    pipeline = golden_pipeline(job.spec, facts, job.sizes, job.image_attention)
    variant, config = job.sizes.variant, job.checkpoint.config
    passes = 2 if variant.cached else 1  # of the language model: the prompt's, and one of all tokens after it
    layers = config.vit_layers_run + passes * config.text.num_layers
    steps = 0 if variant.mode == "discrete" else job.spec.flow_steps
    told = counting(progress, "walk through the reference model", layers + steps)
    last = layer_name("flow.blocks", config.expert.num_layers - 1)

    def walked(layer: str) -> None:
        if layer == last or not layer.startswith("flow."):  # a step of the flow counts as one layer
            told()

    walk = Walk(job.checkpoint, pipeline, variant, work / "walk", walked)
    recorder = Recorder(walk)
    found, prompt = _answer(recorder, pipeline, job)
    walk.forget()
    ran = cases(recorder, prompt, pipeline.tag.horizon)
    makers = graph_makers(job.checkpoint, job.spec, job.sizes)

    def graphs(name: str) -> FloatGraph:
        return FloatGraph(makers[name](), work)

    errors = compare(ran, graphs, _named(once, "float32"), progress, "verify float32 layers")
    rows = [Row(f"layer {e.layer}: {e.output}", e.relative, TOLERANCE_STAGE, e.detail) for e in errors]
    refuse_short(rows, "layers of the exported graphs do not agree with the reference model")
    common = (facts, config, job.spec, job.sizes)
    if isinstance(found, CachedAnswer):
        return Layered(BuiltCached(*common, Replay(pipeline, variant), found, rows), ran)
    return Layered(Built(*common, pipeline, found, rows), ran)


def compare_bundle(layered: Layered, folder: Path, once: Once, progress: Progress) -> list[LayerError]:
    """Every layer of the graphs in a folder, as written there."""
    opened: dict[str, LayeredGraph] = {}

    def graphs(name: str) -> LayeredGraph:
        return opened.setdefault(name, opened.get(name) or LayeredGraph(folder, name))

    return compare(layered.cases, graphs, _named(once, "bundle"), progress, "compare the bundle's layers")


def compare(
    ran: list[Case], graphs: Callable[[str], LayeredGraph], once: Once, progress: Progress, stage: str
) -> list[LayerError]:
    """All layers of all cases; of a layer that ran several times its worst."""
    opened = {name: graphs(name) for name in dict.fromkeys(case.graph for case in ran)}
    told = counting(progress, stage, sum(len(opened[case.graph].layers) for case in ran))
    worst: dict[str, LayerError] = {}
    for case in ran:
        for error in check_layers(opened[case.graph], case, once, lambda _: told()):
            before = worst.get(error.layer)
            if before is None or before.relative < error.relative:
                worst[error.layer] = replace(error, rms=max(error.rms, before.rms if before else 0.0))
    return list(worst.values())


def counting(progress: Progress, stage: str, total: int) -> Callable[[], None]:
    """Tells of one more thing that is done."""
    done = 0

    def told() -> None:
        nonlocal done
        done += 1
        progress(stage, done, total)

    return told


def _answer(recorder: Recorder, pipeline: Pipeline, job: Job) -> tuple[Answer | CachedAnswer, int]:
    """The reference's call, and the tokens of its prompt."""
    seen = golden.observation(pipeline.tag, pipeline.cameras)
    task = golden.task(pipeline, seen)
    prompt = len(pipeline.prepare(seen, task).ids)
    variant = job.sizes.variant
    if not variant.cached:
        return answer(recorder, pipeline, seen, task, golden.SEED), prompt
    replay = Replay(pipeline, variant)
    return cached_answer(recorder, replay, seen, task, golden.SEED, made_up(replay)), prompt


def made_up(replay: Replay) -> np.ndarray:
    """Tokens between their rims, int64 [n]: choosing them would take a pass of the whole model for each."""
    start, end = (replay.pipeline.spec.token_ids[name] for name in RIMS[replay.variant.mode])
    count = replay.pipeline.spec.depth_codes if replay.variant.mode == "think" else FEW_TOKENS
    between = [token for token in replay.choices if token != end]
    return np.array([start, *(between[i * STRIDE % len(between)] for i in range(count)), end], np.int64)


def control_seed(layered: Layered, run: Run) -> float:
    """Another noise seed must move the chunk, or comparing it proves nothing: by how much, with the flow of `run` and
    the reference's K and V. 0 where there is no chunk. Raises ExportError where it does not.
    """
    case = next((case for case in layered.cases if case.graph == "flow"), None)
    found = layered.built.reference
    chunk = found.replayed.normalized if isinstance(found, CachedAnswer) else found.prediction.normalized
    if case is None or chunk is None:
        return 0.0
    pipeline = layered.built.replay.pipeline if isinstance(layered.built, BuiltCached) else layered.built.pipeline
    feeds = {name: value for name, value in case.feeds.items() if name not in ("trajectory", "step")}
    other = pipeline.denoise(run, feeds, pipeline.noise(found.seed + 1).copy())
    moved = float(np.abs(other - chunk).max())
    return refuse_still(moved, CONTROL_FACTOR * TOLERANCE_ACTION, "another noise seed gives the same chunk")


def _named(once: Once, what: str) -> Once:
    def named(fact: str, find: Callable[[], Any]) -> Any:
        return once(f"{what} {fact}", find)

    return named
