"""The GPU runtime's static call, on the processor: it must be the plain model for every prompt, in the same buffers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.gpu import __main__ as command
from bench.gpu import checks, engines, released, report
from bench.gpu.pieces import Pieces
from bench.gpu.plain import Plain, PlainCall
from bench.gpu.stages import Setup
from bench.gpu.static_call import StaticCall
from bench.gpu.think_bench import Line
from bench.gpu.think_ways import ThinkResult
from bench.gpu.timing import Times
from bench.gpu.ways import Choices, Result, moved
from bench.gpu.weights import refuse_other_shapes
from bench.gpu.workload import TASKS, Asked, Workload
from policy_spec.compare import max_abs
from policy_spec.errors import SessionError, SpecError, UsageError
from policy_spec.pipeline import Pipeline
from train.presets import PRESETS

CPU = torch.device("cpu")
TOLERANCE = 5e-6  # of actions of about 3; the worst element stands at 1e-6


# The tiny preset with pictures of 5 x 5 patches, so that windows are padded, and words as tokens: a call takes 20 ms.
SMALL = replace(PRESETS["tiny"], image_side=70, words=True, vit_layers=4, vit_taps=(-1, -2), layers=3)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    PRESETS["small"] = SMALL
    yield
    del PRESETS["small"]


@pytest.fixture(scope="module")
def workload() -> Workload:
    return Workload.of(Asked("small", 2, 6))


@pytest.fixture(scope="module")
def made(workload: Workload) -> tuple[Pipeline, StaticCall, PlainCall]:
    return ways(workload)


def ways(workload: Workload) -> tuple[Pipeline, StaticCall, PlainCall]:
    pipeline, model = workload.pipeline(), workload.model(CPU)
    ours = StaticCall(Setup(model, pipeline, CPU, torch.float32, Pieces(), pipeline.bracket))
    return pipeline, ours, PlainCall(Plain(model, pipeline, CPU, torch.float32, graphed=True))


def pointers(call: StaticCall) -> list[int]:
    buffers = [call.vision.features, call.prompt.k, call.prompt.v, call.flow.kv, call.flow.masks.cross]
    ports = [call.vision.patches, call.prompt.ids, call.prompt.row, call.prompt.type]
    ports += [call.flow.bias, call.flow.noise, call.flow.actions]
    return [t.data_ptr() for t in (*buffers, *(t for port in ports for t in (port.host, port.device)))]


def test_one_call_serves_prompts_of_every_length(workload: Workload, made: Any) -> None:
    pipeline, ours, plain = made
    before, lengths = pointers(ours), set()
    for sample in checks.samples_of(pipeline, workload.observation(), TASKS):
        lengths.add(len(sample.prepared.ids))
        expected = plain(sample.prepared, sample.noise)
        assert max_abs(ours(sample.prepared, sample.noise), expected) < TOLERANCE
    assert len(lengths) == 3 and max(lengths) < pipeline.bracket
    assert pointers(ours) == before
    assert plain.flow.captures == 3  # keyed on shapes, as released


def test_the_plain_call_is_the_reference_models_sample(workload: Workload, made: Any) -> None:
    pipeline, _, plain = made
    prepared, noise = pipeline.prepare(workload.observation(), TASKS[0]), pipeline.noise(5)
    got, model = plain(prepared, noise), plain.plain.model
    visible = torch.from_numpy(prepared.expert_mask)[None]
    expected = model.sample(torch.from_numpy(noise), plain.context, visible, pipeline.tag.action_dim)
    assert max_abs(got, expected.numpy()) < TOLERANCE


def test_stages_agree_and_wrong_masks_are_seen(workload: Workload, made: Any) -> None:
    pipeline, ours, plain = made
    samples = checks.samples_of(pipeline, workload.observation(), TASKS[:1])
    rows = checks.check({"eager": plain, "ours": ours}, checks.truth_of(plain, samples), samples)
    assert all(row.right for row in rows)
    assert {row.what for row in rows if row.way == "ours"} >= {"features", "expert k", "expert v"}
    controls = [row for row in rows if row.control]
    assert len(controls) == 3 and all(row.relative > 10 * row.limit for row in controls)
    with pytest.raises(SessionError, match="causally only"):
        checks.refuse([replace(controls[0], relative=0.0)], lambda _: None, True)
    said: list[str] = []
    checks.refuse([replace(controls[0], relative=0.0)], said.append, False)
    assert "not seen in half floats" in said[-1]
    with pytest.raises(SessionError, match="at most"):
        checks.refuse([replace(rows[0], relative=1.0)], lambda _: None, False)


def test_a_weight_that_is_off_is_seen(workload: Workload, made: Any) -> None:
    pipeline, ours, plain = made
    samples = checks.samples_of(pipeline, workload.observation(), TASKS[:1])
    bias = ours.flow.w.steps[3][1].qkv_bias
    kept = bias.clone()
    bias[0] += 0.5
    rows = checks.check({"eager": plain, "ours": ours}, checks.truth_of(plain, samples), samples)
    bias.copy_(kept)
    assert [row.what.split(",")[0] for row in rows if not row.right] == ["actions"]


CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "grouped ViT heads, no mask in pooling": {
        "vit": {"num_kv_heads": 2},
        "adapter": {"pooling_attention_mask": False, "hide_padding": False},
    },
    "biased projections, no qk-norm": {"text": {"qkv_bias": True, "use_qk_norm": False}},
    "causal expert without rope, qk-norm and context norm": {
        "expert": {"causal_attn": True, "rope": False, "qk_norm": False, "context_layer_norm": False}
    },
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_switch_of_the_configuration_is_followed(workload: Workload, change: dict[str, Any]) -> None:
    parts = {name: replace(getattr(workload.config, name), **values) for name, values in change.items()}
    other = replace(workload, config=replace(workload.config, **parts))
    pipeline, ours, plain = ways(other)
    prepared, noise = pipeline.prepare(other.observation(), TASKS[0]), pipeline.noise(1)
    assert max_abs(ours(prepared, noise), plain(prepared, noise)) < TOLERANCE


def test_shapes_that_it_does_not_have_are_refused(workload: Workload) -> None:
    for name, change in (("text", {"norm_after": True}), ("expert", {"conditioning": "per_head"})):
        config = replace(workload.config, **{name: replace(getattr(workload.config, name), **change)})
        with pytest.raises(SpecError, match=next(iter(change))):
            refuse_other_shapes(replace(workload, config=config).model(CPU))


def test_half_floats_cost_what_they_cost_the_plain_model(workload: Workload) -> None:
    pipeline, model, half = workload.pipeline(), workload.model(CPU), torch.bfloat16
    samples = checks.samples_of(pipeline, workload.observation(), TASKS[:1])
    truth = checks.truth_of(PlainCall(Plain(model, pipeline, CPU, torch.float32)), samples)
    moved(model, Choices(CPU, half, 1, False))
    ours = StaticCall(Setup(model, pipeline, CPU, half, Pieces(), pipeline.bracket))
    rows = checks.check({"eager": PlainCall(Plain(model, pipeline, CPU, half)), "ours": ours}, truth, samples)
    assert all(row.right for row in rows)
    by_way = {row.way: row for row in rows if row.kind == "actions" and not row.control}
    assert 0 < by_way["ours"].relative < by_way["ours"].limit < 0.1


def test_the_command_writes_its_table_and_json(tmp_path: Any, capsys: Any, monkeypatch: Any) -> None:
    out = tmp_path / "gpu.json"
    asked = ["--preset", "small", "--cameras", "1", "--device", "cpu", "--rounds", "1", "--json", str(out)]
    monkeypatch.setattr("sys.argv", ["gpu", *asked])
    assert command.main() == 0
    data, shown = json.loads(out.read_text()), capsys.readouterr().out
    assert data["asked"]["cameras"] == 1 and data["asked"]["dtype"] == "float32"
    assert data["machine"]["torch"] == torch.__version__ and "TensorRT: not run" in shown
    assert [(aim["unit"], aim["met"]) for aim in data["aims"]] == [("ms", None), ("x", None)]
    assert all(row["right"] for row in data["checks"]) and "| ours |" in shown
    assert set(data["ms"]) == {"eager", "flow graph", "ours"}
    assert set(data["stages_ms"]["ours"]) == {"vision", "prompt", "context", "flow"}
    monkeypatch.setitem(data["asked"], "preset", "molmoact2-full")
    slow = Result([], {name: Times(50.0, 50.0, 50.0, 1) for name in data["ms"]})
    facts = {"asked": {**data["asked"], "cameras": 2, "horizon": 10}, "machine": {"device": "cuda"}}
    assert [aim["met"] for aim in report.aims(facts, slow, None)] == [False, False]
    slow.times |= {"ours, compiled": Times(10.0, 10.0, 10.0, 1)}
    assert [aim["met"] for aim in report.aims(facts, slow, None)] == [True, True]
    lines = [Line("unguessed", "ours", share, 9.0, Times(90.0, 90.0, 90.0, 1), 1.0) for share in (0.2, 0.05)]
    thoughts = [ThinkResult([], {}, 0, [line]) for line in lines]
    assert [report.aims(facts, slow, thought)[2]["met"] for thought in thoughts] == [True, None]
    monkeypatch.setattr("sys.argv", ["gpu", "--preset", "small", "--cameras", "0"])
    assert command.main() == 1


def test_engines_that_are_not_there_are_skipped_with_a_word(tmp_path: Path) -> None:
    choices, said = Choices(CPU, torch.float32, 1, False), list[str]()
    assert "skipped" in engines.measured(None, choices, said.append)
    one = engines.one(tmp_path / "no.bundle", "tensorrt", 1, said.append)
    assert "armside build" in one["skipped"] and "--target tensorrt" in engines.text({"tensorrt": one})


def test_a_folder_without_the_released_modules_is_refused(tmp_path: Path, made: Any) -> None:
    with pytest.raises(UsageError, match=r"modeling_molmoact2\.py"):
        released.load(tmp_path, {}, made[2].plain)


@pytest.mark.hardware
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_on_a_gpu_one_graph_serves_every_prompt(workload: Workload) -> None:
    device = torch.device("cuda", 0)
    pipeline, model = workload.pipeline(), workload.model(device)
    ours = StaticCall(Setup(model, pipeline, device, torch.float32, Pieces(), pipeline.bracket))
    plain = PlainCall(Plain(model, pipeline, device, torch.float32))
    samples = checks.samples_of(pipeline, workload.observation(), TASKS)
    ours(samples[0].prepared, samples[0].noise)
    before, held = pointers(ours), torch.cuda.memory_allocated(device)
    for sample in samples:
        torch.cuda.set_sync_debug_mode("error")
        ours.begin(sample.prepared, sample.noise)
        torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize(device)
        got, expected = ours.flow.actions.array, plain(sample.prepared, sample.noise)
        assert np.isfinite(got).all() and max_abs(got, expected) < 1e-3
    assert ours.graph.captures == 1 and pointers(ours) == before
    assert torch.cuda.memory_allocated(device) <= held + 64e6  # the plain call's own
