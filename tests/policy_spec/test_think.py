"""A depth map, then a chunk: feeds by the table, memory from call to call, what the expert may look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policy_spec.errors import ObservationError, SessionError, SpecError
from policy_spec.graphs import variant_of
from policy_spec.masks import HIDDEN
from policy_spec.pipeline import Observation
from policy_spec.spec import PolicySpec
from policy_spec.think import DepthMemory, ThinkPipeline
from tests.policy_spec import think_graphs, tiny
from tests.policy_spec.think_graphs import CELLS, DEPTH_0, Graphs

STATE = np.array([1.0, 2.0, 5.0], np.float32)
STILL = tiny.picture(1, 96, 96)
MOVED = STILL.copy()
MOVED[:32, 32:64] = tiny.picture(8, 32, 32)  # the second cell
SEEN, THEN = (Observation((picture, tiny.picture(2)), STATE) for picture in (STILL, MOVED))
STAGES = ["prepare", "patches", "vision", "llm", "depth", "context", "flow", "finish"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return think_graphs.checkpoint(tmp_path_factory.mktemp("think"))


@pytest.fixture(scope="module")
def depth_spec(folder: Path) -> PolicySpec:
    return PolicySpec.from_checkpoint(folder)


@pytest.fixture(params=["depth", "full"])
def pipeline(request: pytest.FixtureRequest, depth_spec: PolicySpec, folder: Path) -> ThinkPipeline:
    return make(depth_spec, folder, request.param)


def make(spec: PolicySpec, folder: Path, head: str = "depth", **changes: Any) -> ThinkPipeline:
    host = think_graphs.host(spec, folder)
    return ThinkPipeline(host, variant_of(spec, "think", head, host.horizon), **changes)


def graphs(pipeline: ThinkPipeline) -> Graphs:
    return Graphs(pipeline.host, pipeline.variant)


def test_one_call_runs_all_graphs_by_the_table(pipeline: ThinkPipeline) -> None:
    run = graphs(pipeline)
    out = pipeline.predict(run, SEEN, "Pick it up.", seed=7)
    assert out.depth is not None and out.discrete is None and list(out.timings) == STAGES
    assert run.names() == ["vision", *["llm"] * (1 + out.depth.passes), "context", "flow", "flow", "flow"]
    assert out.seed == 7 and out.depth.side == 3 and out.depth.changed.all()
    assert out.prompt_tokens == len(pipeline.prepare(SEEN, "Pick it up.").ids)
    np.testing.assert_allclose(out.normalized[..., :3], pipeline.host.noise(7)[:, :4, :3] + 3)
    assert sum(map(len, run.passes())) == out.depth.fed and len(run.passes()) == out.depth.passes


def test_new_tokens_overwrite_the_padding(pipeline: ThinkPipeline) -> None:
    run = graphs(pipeline)
    out = pipeline.predict(run, SEEN, "go", seed=1)
    _, prompt = run.calls[1]
    assert prompt["positions"][0].tolist() == list(range(pipeline.host.bracket))
    assert prompt["rows"].tolist() == [[out.prompt_tokens - 1]]
    assert np.array_equal(prompt["key_type"][0, : pipeline.host.bracket], prompt["token_type"][0])
    first = run.calls[2][1]
    assert first["positions"][0, 0] == out.prompt_tokens and first["input_ids"][0, 0] == tiny.token("<depth_start>")
    assert not first["token_type"].any() and not first["image_row"].any()
    assert np.array_equal(first["key_type"], prompt["key_type"]) and prompt["key_type"].any()
    assert out.depth is not None
    end = out.prompt_tokens + CELLS + 2
    assert run.cache[out.prompt_tokens : end].tolist() == out.depth.tokens.tolist()


def test_the_expert_sees_the_prompt_and_the_map(pipeline: ThinkPipeline) -> None:
    run = graphs(pipeline)
    out = pipeline.predict(run, SEEN, "go", seed=1)
    feeds = next(feeds for graph, feeds in run.calls if graph == "context")
    prepared = pipeline.prepare(SEEN, "go")
    n, end = len(prepared.ids), len(prepared.ids) + CELLS + 2
    visible, depth = feeds["visible"][0], feeds["depth"][0]
    assert np.array_equal(visible[:n], prepared.expert_mask) and visible[n:end].all() and not visible[end:].any()
    marked = np.flatnonzero(depth[:n])
    assert prepared.ids[marked].tolist() == [tiny.token("<depth_output>")] and depth[n:end].all()
    flow = run.calls[-1][1]
    assert flow["context_bias"].shape == (1, 1, 1, len(visible))
    assert np.array_equal(flow["context_bias"][0, 0, 0] == 0, visible == 1)
    assert set(np.unique(flow["context_bias"])) == {0, HIDDEN}
    assert out.depth is not None and (out.depth.tokens[1:-1] - DEPTH_0).tolist() == out.depth.codes.tolist()


def test_unchanged_cells_are_replayed(pipeline: ThinkPipeline) -> None:
    run = graphs(pipeline)
    one = pipeline.predict(run, SEEN, "go", seed=1).depth
    two = pipeline.predict(run, THEN, "elsewhere", seed=1).depth
    assert one is not None and two is not None
    assert two.changed.nonzero()[0].tolist() == [1] and np.array_equal(two.codes[~two.changed], one.codes[~two.changed])
    assert two.passes == 1 + (not two.accepted)
    pipeline.reset()
    fresh = pipeline.predict(run, THEN, "elsewhere", seed=1).depth
    assert fresh is not None and fresh.changed.all()
    assert not np.array_equal(fresh.codes, two.codes), "another task: a full decode says something else"


def test_an_episode_that_begins_is_drafted_from_the_last(depth_spec: PolicySpec, folder: Path) -> None:
    pipeline = make(depth_spec, folder)
    run = graphs(pipeline)
    first = pipeline.predict(run, SEEN, "go", seed=1).depth
    pipeline.reset()
    again = pipeline.predict(run, SEEN, "go", seed=1).depth
    assert first is not None and again is not None and np.array_equal(first.codes, again.codes)
    assert again.changed.all() and again.passes == 1 < first.passes


def test_both_orders_give_the_same_and_the_switch_goes_back(depth_spec: PolicySpec, folder: Path) -> None:
    results = {}
    for order in ("draft", "released"):
        pipeline = make(depth_spec, folder, "full", order=order)
        run = graphs(pipeline)
        results[order] = [pipeline.predict(run, seen, "go", seed=1).depth for seen in (SEEN, THEN, SEEN)]
    for quick, slow in zip(results["draft"], results["released"], strict=True):
        assert quick is not None and slow is not None
        assert np.array_equal(quick.codes, slow.codes) and np.array_equal(quick.tokens, slow.tokens)
        assert quick.passes < slow.passes and slow.accepted == 0
    with pytest.raises(SpecError, match=r"draft, released.*'eager'"):
        make(depth_spec, folder, order="eager")


@pytest.mark.parametrize("codes", [np.zeros(4, np.int64), np.zeros((3, 3), np.int64)])
def test_codes_of_another_grid_are_not_replayed(depth_spec: PolicySpec, folder: Path, codes: np.ndarray) -> None:
    pipeline = make(depth_spec, folder)
    run = graphs(pipeline)
    truth = pipeline.predict(run, SEEN, "go", seed=1).depth
    pipeline.memory.codes = pipeline.memory.hint = codes
    depth = pipeline.predict(run, SEEN, "go", seed=1).depth
    assert depth is not None and truth is not None
    assert depth.changed.all() and np.array_equal(depth.codes, truth.codes)


def test_a_call_that_fails_ends_the_memory(depth_spec: PolicySpec, folder: Path) -> None:
    pipeline = make(depth_spec, folder)
    run = graphs(pipeline)

    def broken(graph: str, feeds: Mapping[str, Any], /) -> Mapping[str, Any]:
        if graph == "context":
            raise SessionError("the engine is gone")
        return run(graph, feeds)

    pipeline.predict(run, SEEN, "go", seed=1)
    with pytest.raises(SessionError, match="gone"):
        pipeline.predict(broken, THEN, "go", seed=1)
    depth = pipeline.predict(run, THEN, "go", seed=1).depth
    assert depth is not None and depth.changed.all()
    with pytest.raises(ObservationError):
        pipeline.predict(run, Observation(SEEN.images, STATE * np.nan), "go", seed=1)
    assert pipeline.memory.codes is None and pipeline.memory.hint is not None


def test_two_robots_need_two_memories(depth_spec: PolicySpec, folder: Path) -> None:
    """One pipeline can serve both in turn, if each hands over its own."""
    pipeline, memories = make(depth_spec, folder), (DepthMemory(), DepthMemory())
    run = graphs(pipeline)
    for turn in range(2):
        for memory, seen in zip(memories, (SEEN, THEN), strict=True):
            pipeline.memory = memory
            depth = pipeline.predict(run, seen, "go", seed=1).depth
            assert depth is not None and depth.changed.all() == (turn == 0)


def test_the_prediction_is_the_callers_own(depth_spec: PolicySpec, folder: Path) -> None:
    pipeline = make(depth_spec, folder)
    run = graphs(pipeline)
    one = pipeline.predict(run, SEEN, "go", seed=1).depth
    assert one is not None
    before = one.codes.copy()
    one.codes[:] = 0
    two = pipeline.predict(run, SEEN, "go", seed=1).depth
    assert two is not None and np.array_equal(two.codes, before)


def test_what_does_not_fit_together_is_refused(depth_spec: PolicySpec, folder: Path, spec: PolicySpec) -> None:
    variant = variant_of(depth_spec, "think", "depth", 6)
    with pytest.raises(SpecError, match="robot_depth_action"):
        ThinkPipeline(think_graphs.host(depth_spec, folder, style="robot_action"), variant)
    with pytest.raises(SpecError, match="mode of a think bundle"):
        ThinkPipeline(think_graphs.host(depth_spec, folder), replace(variant, mode="discrete"))
    with pytest.raises(SpecError, match="folded"):
        make(depth_spec, folder).predict(graphs(make(depth_spec, folder)), SEEN, "go", seed=1, steps=9)


def test_causal_prompts_stay_causal(depth_spec: PolicySpec, folder: Path) -> None:
    host = think_graphs.host(depth_spec, folder, image_attention="causal")
    pipeline = ThinkPipeline(host, variant_of(depth_spec, "think", "depth", host.horizon))
    run = graphs(pipeline)
    pipeline.predict(run, SEEN, "go", seed=1)
    assert all(not feeds["key_type"].any() for graph, feeds in run.calls if graph == "llm")


def test_seeds_and_noise_are_as_in_plain_calls(pipeline: ThinkPipeline) -> None:
    run = graphs(pipeline)
    drawn = pipeline.predict(run, SEEN, "go")
    again = pipeline.predict(run, SEEN, "go", seed=drawn.seed)
    assert np.array_equal(drawn.normalized, again.normalized)
    noise = pipeline.host.noise(drawn.seed or 0)
    given = pipeline.predict(run, SEEN, "go", noise=noise)
    assert given.seed is None and np.array_equal(given.normalized, drawn.normalized)


def test_timings_come_from_the_given_clock(depth_spec: PolicySpec, folder: Path) -> None:
    ticks = iter(range(1000))
    host = think_graphs.host(depth_spec, folder, clock=lambda: float(next(ticks)))
    pipeline = ThinkPipeline(host, variant_of(depth_spec, "think", "depth", host.horizon))
    assert set(pipeline.predict(graphs(pipeline), SEEN, "go", seed=0).timings.values()) == {1.0}
