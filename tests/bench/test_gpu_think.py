"""Think on the GPU runtime, on the processor: the model's own codes and actions must be the slow reference's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bench.gpu import think_bench, think_ways
from bench.gpu.pieces import Pieces
from bench.gpu.plain import Plain
from bench.gpu.plain_think import PlainThinkRun
from bench.gpu.stages import Setup
from bench.gpu.think_bench import SPEAKERS, Side
from bench.gpu.think_run import ThinkRun, places_of
from bench.gpu.ways import Choices
from bench.gpu.workload import Asked, Workload
from export.reference import CachedTorchRunner
from policy_spec.compare import max_abs
from policy_spec.depth_patches import changed_cells, grid_side, patches_of
from policy_spec.graphs import Variant, variant_of
from policy_spec.pipeline import Observation
from policy_spec.think import ThinkPipeline
from tests.bench.test_gpu import SMALL
from train.presets import PRESETS

CPU = torch.device("cpu")
TOLERANCE = 5e-6


class Made:
    """One model and all that runs it."""

    def __init__(self, workload: Workload) -> None:
        self.workload, self.model = workload, workload.model(CPU)
        made = workload.pipeline((think_bench.TASK,))
        self.host, spec = made, workload.spec
        self.variant: Variant = variant_of(spec, "think", "", made.horizon)
        places = places_of(made.bracket, self.variant)
        self.ours = ThinkRun(Setup(self.model, made, CPU, torch.float32, Pieces(), places), self.variant)
        slow = CachedTorchRunner(self.model, spec, made.bracket + self.variant.new_tokens, self.variant.head)
        self.truth = Side("truth", ThinkPipeline(made, self.variant), slow)

    def side(self, order: str) -> Side:
        return Side(order, ThinkPipeline(self.host, self.variant, order=order), self.ours)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    PRESETS["small"] = SMALL
    yield
    del PRESETS["small"]


@pytest.fixture(scope="module")
def made() -> Made:
    return Made(Workload.of(Asked("small", 2, 6, think=True)))


def seen(made: Made, shots: list[Any]) -> list[Observation]:
    return [replace(made.workload.observation(), images=(shot.image, shot.image)) for shot in shots]


def pictures(made: Made, count: int) -> list[Any]:
    spec = made.workload.spec
    return think_bench.drawn(0.2, count, grid_side(spec.depth_codes), spec.depth_tokens)


def predict(side: Side, observation: Observation) -> Any:
    return side.pipeline.predict(side.run, observation, think_bench.TASK, seed=3)


def test_codes_tokens_and_actions_are_the_references(made: Made) -> None:
    sides = [made.side("draft"), made.side("released")]
    before = [t.data_ptr() for t in (made.ours.prompt.k, made.ours.flow.kv, made.ours.flow.actions.device)]
    for number, observation in enumerate(seen(made, pictures(made, 2))):
        expected = predict(made.truth, observation)
        assert expected.depth.changed.sum() == (20 if number else 100)
        for side in sides:
            got = predict(side, observation)
            assert np.array_equal(got.depth.tokens, expected.depth.tokens)
            assert max_abs(got.normalized, expected.normalized) < TOLERANCE
    assert before == [t.data_ptr() for t in (made.ours.prompt.k, made.ours.flow.kv, made.ours.flow.actions.device)]


def test_an_eager_run_with_a_cache_is_the_reference_too(made: Made) -> None:
    run = PlainThinkRun(Plain(made.model, made.host, CPU, torch.float32), made.variant)
    side, other = Side("eager", ThinkPipeline(made.host, made.variant), run), made.side("draft")
    for observation in seen(made, pictures(made, 2)):
        got, expected = predict(side, observation), predict(other, observation)
        assert np.array_equal(got.depth.codes, expected.depth.codes)
        assert max_abs(got.normalized, expected.normalized) < TOLERANCE


@pytest.mark.parametrize("gate", ["shared", "per_layer"])
def test_a_gate_that_matters_is_applied(gate: str) -> None:
    """Without the context's norm; with it the gate's scale cancels."""
    workload = Workload.of(Asked("small", 2, 6, think=True))
    config = workload.config
    expert = replace(config.expert, context_layer_norm=False, qk_norm=False)
    made = Made(replace(workload, config=replace(config, depth_gate=gate, expert=expert)))
    (observation,) = seen(made, pictures(made, 1))
    got, expected = predict(made.side("draft"), observation), predict(made.truth, observation)
    assert max_abs(got.normalized, expected.normalized) < TOLERANCE
    made.ours.flow.gate = None
    assert max_abs(predict(made.side("draft"), observation).normalized, expected.normalized) > 1e-3


def test_a_spare_row_is_seen_by_nobody(made: Made) -> None:
    """A pass of nine tokens runs in the graph of 32: its logits are those of nine passes of one."""
    (observation,) = seen(made, pictures(made, 1))
    predict(made.side("draft"), observation)  # a prompt is in the cache
    used = len(made.host.prepare(observation, think_bench.TASK).ids)
    ids, at = np.arange(9) + made.workload.spec.token_ids["depth_0"], used + np.arange(9)
    together = made.ours.passes[32](ids, at).copy()
    alone = np.concatenate([made.ours.passes[1](ids[i : i + 1], at[i : i + 1]).copy() for i in range(9)])
    assert max_abs(together, alone) < 1e-5
    assert max_abs(together, alone[::-1]) > 0.1


def test_unguessed_codes_cost_a_pass_for_nearly_every_changed_cell(made: Made) -> None:
    shots, observation = pictures(made, 3), made.workload.observation()
    side = grid_side(made.workload.spec.depth_codes)
    changed = changed_cells(patches_of(shots[1].image, side), patches_of(shots[0].image, side))
    assert changed.sum() == 20
    passes = {}
    for codes in SPEAKERS:
        thoughts = think_bench.think([made.side("draft")], shots, observation, codes)
        assert all(np.array_equal(t.depth.codes, shot.codes) for t, shot in zip(thoughts, shots[1:], strict=True))
        passes[codes] = think_bench.lines(codes, thoughts)[0].passes
    assert 18 <= passes["unguessed"] <= 21 and passes["rendered"] < 4
    assert passes["rendered"] <= passes["chained"] <= passes["unguessed"]


def test_the_ways_to_think_are_checked_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(think_ways, "CHECKED", 1)
    monkeypatch.setattr(think_bench, "SPEAKERS", {"unguessed": think_bench.Strict})
    workload = Workload.of(Asked("small", 2, 6, think=True))
    result = think_ways.thinking(workload, Choices(CPU, torch.float32, 1, False), 0.2, lambda _: None)
    assert all(row.right for row in result.checks) and any(row.control for row in result.checks)
    assert set(result.own_codes.values()) == {0}
    assert [line.codes for line in result.best] == ["unguessed"]
    assert [line.side for line in result.lines] == [think_ways.EAGER, think_ways.RELEASED, "ours"]
    assert result.best[0].changed == pytest.approx(0.2)


@pytest.mark.hardware
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_on_a_gpu_thinking_is_the_plain_models() -> None:
    device, workload = torch.device("cuda", 0), Workload.of(Asked("small", 2, 6, think=True))
    model, host = workload.model(device), workload.pipeline((think_bench.TASK,))
    variant = variant_of(workload.spec, "think", "", host.horizon)
    ours = ThinkRun(Setup(model, host, device, torch.float32, Pieces(), places_of(host.bracket, variant)), variant)
    plain = PlainThinkRun(Plain(model, host, device, torch.float32, graphed=True), variant)
    sides = [Side(name, ThinkPipeline(host, variant), run) for name, run in (("ours", ours), ("plain", plain))]
    side, captures = grid_side(workload.spec.depth_codes), []
    for shot in think_bench.drawn(0.2, 3, side, workload.spec.depth_tokens):
        seen = replace(workload.observation(), images=(shot.image, shot.image))
        got, expected = (predict(one, seen) for one in sides)
        captures.append(ours.captures)
        assert np.array_equal(got.depth.codes, expected.depth.codes)
        assert max_abs(got.normalized, expected.normalized) < 1e-3
    assert captures == [2 + len(ours.passes)] * 3
