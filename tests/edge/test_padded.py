"""Passes filled up to a few sizes give the logits, codes and chunks that passes of their own size give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.engine import EngineOptions
from edge.ort_engine import open_engine
from edge.padded import Padded
from edge.policies import make_pipeline
from policy_spec.bundle import open_bundle
from policy_spec.golden import Golden
from policy_spec.replay import Replay

SIZES = (1, 4, 16, 64, 128)


@pytest.mark.parametrize("mode", ["thinking", "answering"])
def test_filled_passes_change_no_logit(mode: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(mode)
    bundle, golden = open_bundle(path), Golden.load(path)
    m = bundle.manifest
    engine = open_engine({graph: bundle.graph_path(graph) for graph in m.variant.graphs}, EngineOptions(1))
    pipeline, seen = make_pipeline(bundle, None), []
    prepared = pipeline.prepare(golden.observation, golden.task)

    def counted(graph, feeds):  # type: ignore[no-untyped-def]
        if graph == "llm":
            seen.append((feeds["positions"].shape[1], feeds["rows"].shape[1]))
        return engine.run(graph, feeds)

    def logits(run) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
        replay = Replay(pipeline, m.variant)
        first = replay.cached.prompt(run, prepared, run("vision", prepared.vision)["features"])
        found, at = [first[None].copy()], 0
        for size in (1, 3, 20, 1, 5):  # over and over again, as drafts are
            found.append(replay.cached.push(golden.tokens[at : at + size], at, np.arange(size)).copy())
            at += size - (size > 3)
        return found

    plain = logits(counted)
    own, length = list(seen), m.bracket + m.new_tokens
    seen.clear()
    filled = logits(Padded(counted, SIZES, length, m.bracket))
    for mine, truth in zip(filled, plain, strict=True):
        np.testing.assert_allclose(mine, truth, atol=1e-5)
    assert own[0] == seen[0] == (m.bracket, 1)  # the prompt is left alone
    assert [pair[0] for pair in own[1:]] == [1, 3, 20, 1, 5]
    assert [pair[0] for pair in seen[1:]] == [1, 4, 64, 1, 16]


def test_there_is_no_filling_beyond_the_cache(thinking: Path) -> None:
    bundle, seen = open_bundle(thinking), []
    length = bundle.manifest.bracket + bundle.manifest.new_tokens

    def noted(graph, feeds):  # type: ignore[no-untyped-def]
        seen.append(feeds["positions"].copy())
        return {"logits": np.zeros((1, feeds["rows"].shape[1], 2), np.float32)}

    run = Padded(noted, SIZES, length, bundle.manifest.bracket)
    for start in (length - 16, length - 5, length - 3):
        feeds = {
            "input_ids": np.zeros((1, 3), np.int32),
            "image_row": np.zeros((1, 3), np.int32),
            "token_type": np.zeros((1, 3), np.float32),
            "positions": np.arange(start, start + 3, dtype=np.int32)[None],
            "rows": np.array([[0, 2]], np.int32),
        }
        assert run("llm", feeds)["logits"].shape == (1, 2, 2)
    assert [array.shape[1] for array in seen] == [4, 4, 3]
    assert all(array.max() < length and (np.diff(array) == 1).all() for array in seen)
