"""A written bundle against full precision on the golden observation: the parity table, and golden.npz for the board.

A continuous bundle is compared by its chunk. One that generates tokens is given the reference's tokens: how often it
would have chosen the same is one number, what it makes of them another.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from export import build
from export.runner import OrtRunner
from export.verify import Answer, answer, refuse_short
from export.verify_cached import CachedAnswer, cached_answer
from policy_spec.compare import Row
from policy_spec.golden import Golden
from policy_spec.pipeline import Float32, Pipeline
from quant.verify import action_rows, token_rows

Progress = Callable[[str, int, int], None]  # (stage, done, total)
Built = build.Built | build.BuiltCached


def prove_bundle(folder: Path, built: Built, precision: str, progress: Progress) -> tuple[Golden, list[Row]]:
    """What a session reproduces, and the whole parity table. Raises ExportError where the bundle loses too much."""
    progress("verify the bundle", 0, 1)
    run = OrtRunner(folder)
    golden, rows = (
        _continuous(run, built, precision) if isinstance(built, build.Built) else _cached(run, built, precision)
    )
    refuse_short(rows, f"the {precision} graphs lose too much against full precision")
    named = [Row(f"{precision} {r.name}", r.error, r.tolerance, r.detail, r.at_least) for r in rows]
    return golden, [*built.rows, *named]


def _continuous(run: OrtRunner, built: build.Built, precision: str) -> tuple[Golden, list[Row]]:
    full = built.reference
    own = answer(run, built.pipeline, full.observation, full.task, full.seed)
    rows = action_rows(own.prediction.normalized, full.prediction.normalized, built.pipeline.tag.action_dim, precision)
    stages = {"features": own.stages["features"], **_first_and_last(own.stages, built.spec.layers)}
    chunks = own.prediction.normalized, full.prediction.normalized
    return _golden(built.pipeline, full, chunks, stages), rows


def _cached(run: OrtRunner, built: build.BuiltCached, precision: str) -> tuple[Golden, list[Row]]:
    full, replay = built.reference, built.replay
    own = cached_answer(run, replay, full.observation, full.task, full.seed, full.tokens)
    rows = token_rows(replay.lost(own.replayed.logits, full.tokens), precision)
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
