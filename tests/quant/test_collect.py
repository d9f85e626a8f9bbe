"""Activations as they enter products: by ONNX Runtime, by the reference model's layers, alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from armside.quant_opened import Float, write_float
from armside.quant_statistics import walk
from episodes.observations import open_observations
from export.build import GraphOptions, Job, open_job
from policy_spec.errors import QuantError
from quant.collect import Collector, collect, product_weights, wanted_by
from quant.plan import make_plan
from quant.samples import Sample, SampleOptions, SampleSet, select
from quant.statistics import Accumulator, Statistics
from tests.quant.seen import folder

CONTEXT = "model.action_expert.context_k_proj.weight"


@pytest.fixture(scope="module")
def job(tiny_checkpoint: Path) -> Job:
    return open_job(tiny_checkpoint, GraphOptions(), lambda *_: None)


@pytest.fixture(scope="module")
def opened(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Float:
    return write_float(job, tmp_path_factory.mktemp("float") / "graphs", job.spec.tag(), lambda *_: None)


@pytest.fixture(scope="module")
def chosen(job: Job, tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    tag = job.spec.tag()
    source = open_observations(folder(tmp_path_factory.mktemp("seen") / "seen", tag, 3))
    return select(source, tag, tag.camera_slots, SampleOptions(2), lambda *_: None)


@pytest.fixture(scope="module")
def samples(chosen: SampleSet) -> tuple[Sample, ...]:
    return chosen.samples


@pytest.fixture(scope="module")
def wanted(opened: Float) -> dict[str, list[str]]:
    return {name: product_weights(model) for name, model in opened.models.items()}


@pytest.fixture(scope="module")
def found(opened: Float, samples: tuple[Sample, ...], wanted: dict[str, list[str]]) -> Statistics:
    return by_runtime(opened, samples, wanted)


def by_runtime(opened: Float, samples: tuple[Sample, ...], wanted: dict[str, list[str]], **options: int) -> Statistics:
    pad = opened.pipeline.spec.token_ids["pad"]
    run = Collector(opened.folder, wanted, Accumulator(), pad, **options)
    return collect(opened.pipeline, run, samples, lambda *_: None)


def test_every_product_is_told_of_without_padding(
    opened: Float, samples: tuple[Sample, ...], wanted: dict[str, list[str]], found: Statistics
) -> None:
    assert set(found) == {weight for weights in wanted.values() for weight in weights}
    tokens = sum(len(opened.pipeline.prepare(s.observation, s.task).ids) for s in samples)
    assert tokens < 2 * opened.pipeline.bracket
    steps = len(samples) * opened.pipeline.spec.flow_steps * opened.pipeline.tag.horizon
    rows = {name: {found[weight].rows for weight in weights if weight != CONTEXT} for name, weights in wanted.items()}
    assert rows["flow"] == {steps} and tokens in rows["llm"] and found[CONTEXT].rows == tokens * len(
        [name for name in opened.models["llm"].graph.outputs if str(name.name)[0] == "k"]
    )  # fmt: skip


def test_the_reference_models_layers_say_the_same(
    job: Job, opened: Float, chosen: SampleSet, found: Statistics
) -> None:
    truth = walk(job, chosen, set(found), Accumulator(), opened.folder, lambda *_: None)
    assert set(truth) == set(found)
    for weight, mine in found.items():
        assert mine.rows == truth[weight].rows, weight
        scale = truth[weight].largest.max()
        np.testing.assert_allclose(mine.largest / scale, truth[weight].largest / scale, atol=1e-4, err_msg=weight)
        np.testing.assert_allclose(mine.sample / scale, truth[weight].sample / scale, atol=1e-4, err_msg=weight)
    first, second = (f"model.transformer.blocks.{layer}.self_attn.att_proj.q.weight" for layer in (0, 1))
    apart = np.abs(found[first].mean_square - truth[second].mean_square).max()  # the control: another layer's differ
    assert apart > 0.01 * found[first].mean_square.max()


def test_a_small_budget_gives_the_same(
    opened: Float, samples: tuple[Sample, ...], wanted: dict[str, list[str]], found: Statistics
) -> None:
    flow = {"flow": wanted["flow"]}
    again = by_runtime(opened, samples[:1], flow, budget=200_000)
    whole = by_runtime(opened, samples[:1], flow)
    assert set(again) == set(wanted["flow"])
    for weight, mine in again.items():
        np.testing.assert_array_equal(mine.largest, whole[weight].largest)
        assert mine.rows == whole[weight].rows


def test_only_what_schemes_need_is_collected(opened: Float) -> None:
    assert wanted_by(make_plan("int8"), opened.models) == {}
    awq, gptq = (wanted_by(make_plan(name), opened.models) for name in ("int4-awq", "int4-gptq"))
    assert set(awq) == set(gptq) == {"llm"} and not any(awq["llm"].values()) and all(gptq["llm"].values())
    assert all(".self_attn." in weight or ".mlp." in weight for weight in awq["llm"])


def test_gptq_gets_its_gram_matrix(opened: Float, samples: tuple[Sample, ...], found: Statistics) -> None:
    weight = next(iter(wanted_by(make_plan("int4-gptq"), opened.models)["llm"]))
    told = Accumulator(lambda name: name == weight)
    run = Collector(opened.folder, {"llm": [weight]}, told, opened.pipeline.spec.token_ids["pad"])
    gram = collect(opened.pipeline, run, samples, lambda *_: None)[weight].gram
    assert gram is not None
    np.testing.assert_allclose(np.diag(gram), found[weight].mean_square, rtol=1e-5)
    with pytest.raises(QuantError, match="needs the activations that enter"):
        Statistics({}).need(weight, "int4-g32-gptq")
