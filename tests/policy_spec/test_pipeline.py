"""The host's half over a made-up `run`: shapes, padding, masks, noise, refusals. Real graphs are tested elsewhere."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from policy_spec.errors import ObservationError, PromptError, SessionError, SpecError
from policy_spec.graphs import graph_specs
from policy_spec.masks import HIDDEN
from policy_spec.pipeline import Observation, Pipeline
from policy_spec.prompt import Tokenizer
from policy_spec.spec import PolicySpec
from tests.policy_spec import tiny

IMAGES = (tiny.picture(1), tiny.picture(2, 60, 40))
STATE = np.array([1.0, 2.0, 5.0], np.float32)
SEEN = Observation(IMAGES, STATE)


class FakeGraphs:
    """Checks every feed against the table; flow adds 1 where the robot has a dimension. Reuses its output buffers."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.specs = graph_specs(pipeline.spec, pipeline.cameras, pipeline.bracket, pipeline.horizon)
        self.out = {g: {t.name: np.zeros(t.shape, t.dtype) for t in s.outputs} for g, s in self.specs.items()}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, graph: str, feeds: Mapping[str, Any], /) -> Mapping[str, Any]:
        expected = {t.name: (t.dtype, t.shape) for t in self.specs[graph].inputs}
        assert {k: (str(v.dtype), v.shape) for k, v in feeds.items()} == expected
        step = {k: v.copy() for k, v in feeds.items()}
        self.calls.append((graph, step))
        if graph == "flow":
            assert all(feeds[k] is v for k, v in self.out["llm"].items()), "K and V are passed as they are"
            self.out["flow"]["next"][...] = feeds["trajectory"] + feeds["dim_mask"]
        return self.out[graph]


@pytest.fixture
def pipeline(spec: PolicySpec, tokenizer: Tokenizer) -> Pipeline:
    return make(spec, tokenizer)


def make(spec: PolicySpec, tokenizer: Tokenizer, **changes: Any) -> Pipeline:
    given = {"cameras": 2, "bracket": spec.bracket(tokenizer, 2), "horizon": 6, **changes}
    return Pipeline(spec, tokenizer, spec.tag(), **given)


def test_one_call_runs_all_graphs_by_the_table(pipeline: Pipeline) -> None:
    run = FakeGraphs(pipeline)
    noise = pipeline.noise(7)
    out = pipeline.predict(run, SEEN, "Pick it up.", seed=7)
    assert [name for name, _ in run.calls] == ["vision", "llm", "flow", "flow", "flow"]
    assert [int(f["step"][0]) for name, f in run.calls if name == "flow"] == [0, 1, 2]
    assert out.actions.shape == (3, 3) and out.normalized.shape == (1, 4, 8)
    np.testing.assert_allclose(out.normalized[..., :3], noise[:, :4, :3] + 3)
    assert out.seed == 7 and set(out.timings) == {"prepare", "vision", "llm", "flow", "finish"}
    assert not np.shares_memory(out.actions, run.out["flow"]["next"])


def test_the_prompt_is_padded_on_the_right_and_hidden(pipeline: Pipeline) -> None:
    p = pipeline.prepare(SEEN, "go")
    n = len(p.ids)
    bias, ids, row = p.flow["context_bias"][0, 0, 0], p.llm["input_ids"][0], p.llm["image_row"][0]
    assert (ids[n:] == tiny.token("<|endoftext|>")).all() and np.array_equal(ids[:n], p.ids)
    assert (bias[n:] == HIDDEN).all() and np.array_equal(bias[:n] == 0, p.expert_mask)
    assert (bias[:n][p.ids == tiny.token("<|im_end|>")] == HIDDEN).all() and p.expert_mask.any()
    assert row[row > 0].tolist() == list(range(1, 9)) and (ids[row > 0] == tiny.token("<im_patch>")).all()
    assert np.array_equal(p.llm["token_type"][0, :n], p.token_type) and not p.llm["token_type"][0, n:].any()


def test_causal_attention_is_an_explicit_switch(spec: PolicySpec, tokenizer: Tokenizer) -> None:
    p = make(spec, tokenizer, image_attention="causal").prepare(SEEN, "go")
    assert not p.llm["token_type"].any() and p.token_type.any()
    with pytest.raises(SpecError, match="causal"):
        make(spec, tokenizer, image_attention="guess")


def test_a_shorter_tag_is_padded_and_masked(pipeline: Pipeline) -> None:
    bias = pipeline.prepare(SEEN, "go").flow["horizon_bias"][0, 0, 0]
    assert bias.tolist() == [0, 0, 0, 0, HIDDEN, HIDDEN]
    assert pipeline.prepare(SEEN, "go").flow["dim_mask"].ravel().tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    with pytest.raises(SpecError, match="at least 4"):
        make(pipeline.spec, pipeline.tokenizer, horizon=3)


def test_noise_is_reproducible_and_zero_where_nothing_is(spec: PolicySpec, tokenizer: Tokenizer) -> None:
    pipeline = make(spec, tokenizer)
    noise = pipeline.noise(3)
    assert noise.dtype == np.float32 and noise.shape == (1, 6, 8)
    assert noise[:, :4, :3].all() and not noise[:, 4:].any() and not noise[:, :, 3:].any()
    assert np.array_equal(noise, pipeline.noise(3)) and not np.array_equal(noise, pipeline.noise(4))
    assert np.array_equal(noise[:, :4], make(spec, tokenizer, horizon=4).noise(3)), "whatever the graph's horizon"


def test_given_noise_takes_the_tags_or_the_graphs_horizon(pipeline: Pipeline) -> None:
    noise = np.full((1, 4, 8), 0.25, np.float32)
    longer = np.concatenate([noise, np.full((1, 2, 8), 9, np.float32)], axis=1)
    run = FakeGraphs(pipeline)
    results = [pipeline.predict(run, SEEN, "go", noise=n) for n in (noise, longer)]
    assert np.array_equal(results[0].normalized, results[1].normalized) and results[0].seed is None
    first = run.calls[2][1]["trajectory"]
    assert first[0, :4, :3].ravel().tolist() == [0.25] * 12 and first.sum() == 3
    with pytest.raises(SpecError, match="noise"):
        pipeline.predict(run, SEEN, "go", noise=noise[:, :3])


def test_without_a_seed_one_is_drawn_and_told(pipeline: Pipeline) -> None:
    run = FakeGraphs(pipeline)
    one, two = (pipeline.predict(run, SEEN, "go") for _ in range(2))
    assert one.seed != two.seed and not np.array_equal(one.normalized, two.normalized)
    assert np.array_equal(pipeline.predict(run, SEEN, "go", seed=one.seed).normalized, one.normalized)


def test_steps_are_what_the_graph_was_folded_with(pipeline: Pipeline) -> None:
    run = FakeGraphs(pipeline)
    assert pipeline.predict(run, SEEN, "go", seed=1, steps=3).actions.shape == (3, 3)
    with pytest.raises(SpecError, match="folded"):
        pipeline.predict(run, SEEN, "go", seed=1, steps=5)


def test_observation_steps_shift_the_executed_part(spec: PolicySpec, tokenizer: Tokenizer) -> None:
    shifted = Pipeline(
        dataclasses.replace(spec, n_obs_steps=2), tokenizer, spec.tag(), cameras=2, bracket=400, horizon=6
    )
    chunk = np.linspace(-0.9, 0.9, 32, dtype=np.float32).reshape(1, 4, 8)
    plain = make(spec, tokenizer)
    assert np.array_equal(shifted.actions(chunk)[:2], plain.actions(chunk)[1:])


def test_timings_come_from_the_given_clock(spec: PolicySpec, tokenizer: Tokenizer) -> None:
    ticks = iter(range(100))
    pipeline = make(spec, tokenizer, clock=lambda: float(next(ticks)))
    assert set(pipeline.predict(FakeGraphs(pipeline), SEEN, "go", seed=0).timings.values()) == {1.0}


def test_prepared_arrays_are_the_callers_own(pipeline: Pipeline) -> None:
    one = pipeline.prepare(SEEN, "go")
    before = {k: v.copy() for k, v in {**one.vision, **one.llm, **one.flow}.items()}
    pipeline.prepare(Observation(IMAGES[::-1], STATE + 1), "something else")
    pipeline.predict(FakeGraphs(pipeline), Observation(IMAGES[::-1], STATE), "else", seed=1)
    assert all(np.array_equal(v, before[k]) for k, v in {**one.vision, **one.llm, **one.flow}.items())


def test_predictions_reuse_buffers(pipeline: Pipeline) -> None:
    seen = set()

    def run(graph: str, feeds: Mapping[str, Any], /) -> Mapping[str, Any]:
        seen.update((name, id(array)) for name, array in feeds.items() if name in ("patches", "trajectory"))
        return fake(graph, feeds)

    fake = FakeGraphs(pipeline)
    for seed in range(4):
        pipeline.predict(run, SEEN, "go", seed=seed)
    assert len(seen) == 2


def test_two_threads_share_one_pipeline(pipeline: Pipeline) -> None:
    gate = threading.Barrier(2, timeout=800)
    results: dict[int, Any] = {}

    def work(seed: int) -> None:
        fake = FakeGraphs(pipeline)

        def run(graph: str, feeds: Mapping[str, Any], /) -> Mapping[str, Any]:
            gate.wait()  # both are inside at once
            return fake(graph, feeds)

        results[seed] = pipeline.predict(run, Observation(IMAGES, STATE + seed), f"task {seed}", seed=seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for seed, result in results.items():
        alone = pipeline.predict(FakeGraphs(pipeline), Observation(IMAGES, STATE + seed), f"task {seed}", seed=seed)
        assert np.array_equal(result.normalized, alone.normalized)
    assert len(results) == 2


def test_fewer_pictures_only_if_allowed(spec: PolicySpec, tokenizer: Tokenizer) -> None:
    pipeline = make(spec, tokenizer, allow_fewer_cameras=True)
    p = pipeline.prepare(Observation(IMAGES[:1], STATE), "go")
    assert p.text.startswith("<|image|><|im_start|>") and not p.vision["patches"][1].any()
    assert p.llm["image_row"].max() == 4
    with pytest.raises(ObservationError, match=r"1 to 2.*front, wrist"):
        pipeline.prepare(Observation((), STATE), "go")
    pipeline = make(spec, tokenizer)
    for images in (IMAGES[:1], (*IMAGES, IMAGES[0])):
        with pytest.raises(ObservationError, match=f"expected: 2; got: {len(images)}.*front, wrist"):
            pipeline.prepare(Observation(images, STATE), "go")


def test_a_camera_less_call_leaves_nothing_of_the_call_before(spec: PolicySpec, tokenizer: Tokenizer) -> None:
    pipeline = make(spec, tokenizer, allow_fewer_cameras=True)
    run = FakeGraphs(pipeline)
    pipeline.predict(run, SEEN, "a long task to leave something behind", seed=1)
    pipeline.predict(run, Observation(IMAGES[:1], STATE), "go", seed=1)
    fresh = make(spec, tokenizer, allow_fewer_cameras=True).prepare(Observation(IMAGES[:1], STATE), "go")
    for name, value in {**fresh.vision, **fresh.llm}.items():
        assert np.array_equal(run.calls[5 if name in fresh.vision else 6][1][name], value)


def test_a_call_writes_every_element_that_it_feeds(pipeline: Pipeline) -> None:
    """Whatever the buffers held: token types left in the padding would let pictures see it."""
    run, fed = FakeGraphs(pipeline), dict[str, Any]()

    def borrow(graph: str, feeds: Mapping[str, Any], /) -> Mapping[str, Any]:
        fed.update({name: value for name, value in feeds.items() if value.base is None})
        return run(graph, feeds)

    pipeline.predict(borrow, SEEN, "go", seed=1)
    per_call = ("patches", "input_ids", "image_row", "token_type", "context_bias", "trajectory")
    for name in per_call:
        fed[name].fill(7)
    first, run.calls = run.calls, []
    pipeline.predict(borrow, SEEN, "go", seed=1)
    for (_, before), (_, after) in zip(first, run.calls, strict=True):
        for name in before.keys() & set(per_call):
            assert np.array_equal(before[name], after[name]), name


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (np.zeros(2), r"\[3\]"),
        (np.zeros((1, 3)), r"\[1, 3\]"),
        (np.array([0, np.nan, 0]), "nan in dimension 1"),
        (np.array([np.inf, 0, 0]), "inf in dimension 0"),
    ],
)
def test_bad_states_are_refused(pipeline: Pipeline, state: Any, words: str) -> None:
    with pytest.raises(ObservationError, match=words):
        pipeline.prepare(Observation(IMAGES, state), "go")


def test_bad_tasks_are_refused(pipeline: Pipeline) -> None:
    assert pipeline.prepare(SEEN, "x" * 200).task == "x" * 200
    with pytest.raises(PromptError, match="of which 900 are the task's"):
        pipeline.prepare(SEEN, "x" * 900)
    with pytest.raises(PromptError, match="control tokens"):
        pipeline.prepare(SEEN, "say <|im_end|> now")


def test_after_a_refusal_the_next_call_is_whole(pipeline: Pipeline) -> None:
    run = FakeGraphs(pipeline)
    expected = pipeline.predict(run, SEEN, "go", seed=1)
    with pytest.raises(ObservationError):
        pipeline.predict(run, Observation(IMAGES, STATE * np.nan), "go", seed=1)
    assert np.array_equal(pipeline.predict(run, SEEN, "go", seed=1).actions, expected.actions)


def test_actions_that_are_no_numbers_never_leave(pipeline: Pipeline) -> None:
    chunk = np.zeros((1, 4, 8), np.float32)
    chunk[0, 2, 1] = np.nan
    with pytest.raises(SessionError, match="step 2, dimension 1"):
        pipeline.actions(chunk)
    chunk[0, 2, 1], chunk[0, 3, 0], chunk[0, 0, 5] = 0, np.nan, np.nan  # not executed, not the robot's
    assert np.isfinite(pipeline.actions(chunk)).all()
