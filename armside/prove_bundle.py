"""A written bundle against full precision on the golden observation: the parity table, and golden.npz for the board.

A continuous bundle is compared by its chunk. One that generates tokens is given the reference's tokens: how often it
would have chosen the same is one number, what it makes of them another.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export import build
from export.journal import Journal
from export.layer_runs import LayeredRunner
from export.layered import build_layered, compare_bundle, control_seed
from export.layerwise import LayerError
from export.runner import OrtRunner
from export.stream import FOLDER
from export.verify import Answer, answer, refuse_short
from export.verify_cached import CachedAnswer, cached_answer
from policy_spec.compare import Row
from policy_spec.errors import UsageError, sentence
from policy_spec.golden import Golden
from policy_spec.graphs import EVERY_GRAPH
from policy_spec.pipeline import Float32, Pipeline
from quant.verify import action_rows, token_rows

Progress = Callable[[str, int, int], None]  # (stage, done, total)
Built = build.Built | build.BuiltCached
Runner = OrtRunner | LayeredRunner


WAYS = ("auto", "whole", "layers")  # of verifying: whole graphs, layer by layer, or whole where they fit in memory
ROOM = 2.2  # memory that whole verification takes, as a multiple of the float32 weights: a graph and what it packs
RESERVE = 1_000_000_000
# A layer whose output differs from the reference's by half of it, root mean square, computes something else.
TOLERANCE_LAYER = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a bundle is being made."""

    bundle: Path
    work: Path
    journal: Journal


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """What verification found."""

    golden: Golden  # what a session reproduces
    rows: tuple[Row, ...]  # the whole parity table
    layers: tuple[LayerError, ...] = ()


def choose_way(asked: str, float_bytes: int) -> str:
    """whole or layers. Raises UsageError on another word."""
    if asked not in WAYS:
        raise UsageError(sentence("--verify", expected=f"one of {', '.join(WAYS)}", got=asked))
    if asked != "auto":
        return asked
    return "whole" if ROOM * float_bytes + RESERVE < available_memory() else "layers"


def available_memory() -> int:
    """Bytes that programs may still take. Raises OSError where the system does not say."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo names no MemAvailable")


def prove(job: build.Job, place: Place, precision: str, way: str, progress: Progress) -> Proof:
    """Verifies a written bundle against the reference model. Raises ExportError: graphs that do not agree with the
    model, or a bundle that loses too much.
    """
    if way == "whole":
        folder = place.work / "float32"
        shutil.rmtree(folder, ignore_errors=True)
        built = build.build_whole(job, folder, progress)
        shutil.rmtree(folder)
        golden, rows = prove_bundle(OrtRunner(place.bundle), built, precision, progress)
        return Proof(golden, tuple(rows))
    layered = build_layered(job, place.bundle, place.work, place.journal.once, progress)
    layers = compare_bundle(layered, place.bundle, place.journal.once, progress)
    losses = [Row(f"{precision} layer {e.layer}: rms", e.rms, TOLERANCE_LAYER, e.detail) for e in layers]
    refuse_short(losses, f"layers of the {precision} bundle compute something else")
    run = _runner(place.bundle)
    golden, rows = prove_bundle(run, layered.built, precision, progress)
    control_seed(layered, run)
    return Proof(golden, (*rows, *losses), tuple(layers))


def _runner(folder: Path) -> OrtRunner | LayeredRunner:
    """Whole graphs, one at a time, where the largest fits in memory; a layer at a time where it does not."""
    sizes = [sum(path.stat().st_size for path in (folder / FOLDER).glob(f"{name}.*")) for name in EVERY_GRAPH]
    fits = ROOM * max(sizes) + RESERVE < available_memory()
    return OrtRunner(folder, in_turn=True) if fits else LayeredRunner(folder)


def prove_bundle(run: Runner, built: Built, precision: str, progress: Progress) -> tuple[Golden, list[Row]]:
    """What a session reproduces, and the whole parity table. Raises ExportError where the bundle loses too much."""
    progress("verify the bundle", 0, 1)
    golden, rows = (
        _continuous(run, built, precision) if isinstance(built, build.Built) else _cached(run, built, precision)
    )
    refuse_short(rows, f"the {precision} graphs lose too much against full precision")
    named = [Row(f"{precision} {r.name}", r.error, r.tolerance, r.detail, r.at_least) for r in rows]
    return golden, [*built.rows, *named]


def _continuous(run: Runner, built: build.Built, precision: str) -> tuple[Golden, list[Row]]:
    full = built.reference
    own = answer(run, built.pipeline, full.observation, full.task, full.seed)
    rows = action_rows(own.prediction.normalized, full.prediction.normalized, built.pipeline.tag.action_dim, precision)
    stages = {"features": own.stages["features"], **_first_and_last(own.stages, built.spec.layers)}
    chunks = own.prediction.normalized, full.prediction.normalized
    return _golden(built.pipeline, full, chunks, stages), rows


def _cached(run: Runner, built: build.BuiltCached, precision: str) -> tuple[Golden, list[Row]]:
    full, replay = built.reference, built.replay
    own = cached_answer(run, replay, full.observation, full.task, full.seed, full.tokens)
    wanted = np.concatenate([full.tokens[:1], replay.chosen(full.replayed.logits[1 : len(full.tokens)])])
    rows = token_rows(replay.lost(own.replayed.logits, wanted), precision)  # what the reference chooses at each place
    stages = {"features": own.features, "best": own.replayed.logits.max(axis=-1)}
    chunks = own.replayed.normalized, full.replayed.normalized
    if chunks[0] is not None and chunks[1] is not None:
        rows += action_rows(chunks[0], chunks[1], replay.pipeline.tag.action_dim, precision)
        stages |= _first_and_last(own.replayed.context, built.spec.layers)
        return _golden(replay.pipeline, full, (chunks[0], chunks[1]), stages), rows
    nothing = np.zeros((1, 0, built.spec.max_action_dim), np.float32)
    return _golden(replay.pipeline, full, (nothing, nothing), stages), rows


def _first_and_last(context: dict[str, np.ndarray], layers: int) -> dict[str, np.ndarray]:
    names = [f"{kind}_{layer:02d}" for layer in (0, layers - 1) for kind in "kv"]
    return {name: context[name] for name in names}


def _golden(
    pipeline: Pipeline,
    full: Answer | CachedAnswer,
    chunks: tuple[Float32, Float32],
    stages: dict[str, np.ndarray],
) -> Golden:
    """chunks: the bundle's own and the full-precision model's, normalised."""
    own, reference = chunks
    return Golden(
        tag=pipeline.tag.tag,
        task=full.task,
        seed=full.seed,
        images=full.observation.images,
        state=full.observation.state,
        actions=pipeline.actions(own),
        normalized=own,
        reference_actions=pipeline.actions(reference),
        reference_normalized=reference,
        stages=stages,
        tokens=full.tokens if isinstance(full, CachedAnswer) else np.zeros(0, np.int64),
    )
