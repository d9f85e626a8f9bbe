"""Verification layer by layer: the reference walked through a weight at a time, and every layer of the graphs alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from export import golden
from export.build import Built, BuiltCached, GraphOptions, Job, graph_makers, open_job, write_facts
from export.cases import Recorder, cases
from export.layer_runs import LayeredGraph, LayeredRunner
from export.layered import Layered, build_layered, compare_bundle, control_seed
from export.layers import Layer
from export.layerwise import Case, FloatGraph, LayerError, check_layers
from export.runner import OrtRunner
from export.streamed import streamed_model
from export.verify import TOLERANCE_STAGE, answer
from export.verify_cached import cached_answer
from export.walk import Walk
from policy_spec.errors import ExportError
from train.checkpoint import load_model


def always(_: str, find: Callable[[], Any]) -> Any:
    """Nothing is remembered."""
    return find()


@dataclass(frozen=True, slots=True, eq=False)
class Walked:
    """The tiny checkpoint, walked through once."""

    job: Job
    cases: list[Case]
    folder: Path


@pytest.fixture(scope="module")
def walked(tiny_checkpoint: Path, built: Built, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    folder = tmp_path_factory.mktemp("walk")
    job = open_job(tiny_checkpoint, GraphOptions(), lambda *_: None)
    recorder = Recorder(Walk(job.checkpoint, built.pipeline, job.sizes.variant, folder))
    seen = golden.observation(built.pipeline.tag, built.pipeline.cameras)
    found = answer(recorder, built.pipeline, seen, golden.task(built.pipeline, seen), golden.SEED)
    # The whole model's own numbers, to the last bit: the modules are the same, only their weights come and go.
    assert np.array_equal(found.prediction.normalized, built.reference.prediction.normalized)
    for name, value in built.reference.stages.items():
        assert np.array_equal(found.stages[name], value), name
    assert any("action_expert.blocks.0" in name for name in recorder.walk._held)
    assert not any("transformer.blocks" in name for name in recorder.walk._held)  # what ran once is not kept
    recorder.walk.forget()
    assert not recorder.walk._held
    prompt = len(built.pipeline.prepare(seen, found.task).ids)
    return Walked(job, cases(recorder, prompt, built.pipeline.tag.horizon), folder)


def test_a_streamed_model_holds_no_weights_and_tells_of_every_linear_layer(tiny_checkpoint: Path) -> None:
    names: set[str] = set()
    checkpoint = open_job(tiny_checkpoint, GraphOptions(), lambda *_: None).checkpoint
    model = streamed_model(checkpoint, lambda name, _: names.add(name))
    whole = load_model(tiny_checkpoint)
    import torch

    patches = torch.zeros((1, 729, 588), dtype=torch.uint8)
    pooling = torch.arange(729).reshape(-1, 1)[:4]
    with torch.no_grad():
        assert torch.equal(model.vision(patches, pooling), whole.vision(patches, pooling))
    assert all(p.device.type == "meta" for p in model.parameters())
    assert "model.vision_backbone.image_vit.transformer.resblocks.7.feed_forward.w2" in names
    assert all(f"{name}.weight" in checkpoint.shards for name in names)


def float_rows(walked: Walked, name: str, change: Callable[[ir.Model], None] = lambda _: None) -> list[LayerError]:
    model = graph_makers(walked.job.checkpoint, walked.job.spec, walked.job.sizes)[name]()
    change(model)
    case = next(case for case in walked.cases if case.graph == name)
    return check_layers(FloatGraph(model, walked.folder), case, always, lambda _: None)


@pytest.mark.parametrize("name", ["vision", "llm", "flow"])
def test_every_float_layer_agrees_with_the_reference(walked: Walked, name: str) -> None:
    rows = float_rows(walked, name)
    layers = {"vision": 1 + 8 + 1, "llm": 1 + 4, "flow": 1 + 4 + 1}[name]
    assert len(rows) == layers and max(row.relative for row in rows) < TOLERANCE_STAGE / 10


@pytest.mark.parametrize(
    ("name", "weight", "layer"),
    [
        ("vision", "resblocks.3.feed_forward.w1.weight", "vision.blocks.03"),
        ("llm", "blocks.1.mlp.ff_out.weight", "llm.blocks.01"),
        ("flow", "blocks.2.mlp.down_proj.weight", "flow.blocks.02"),
    ],
)
def test_a_planted_wrong_layer_is_named_and_no_other(walked: Walked, name: str, weight: str, layer: str) -> None:
    def plant(model: ir.Model) -> None:
        value = next(v for n, v in model.graph.initializers.items() if n.endswith(weight))
        assert value.const_value is not None
        value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1.01), name=value.name)

    wrong = [row.layer for row in float_rows(walked, name, plant) if row.relative > TOLERANCE_STAGE]
    assert wrong == [layer]


def test_a_layer_that_was_checked_is_not_run_again(walked: Walked, built: Built) -> None:
    known: dict[str, Any] = {}

    def once(fact: str, find: Callable[[], Any]) -> Any:
        if fact not in known:
            known[fact] = find()
        return known[fact]

    case = next(case for case in walked.cases if case.graph == "llm")
    graph = LayeredGraph(built.folder, "llm")
    first = check_layers(graph, case, once, lambda _: None)
    ran: list[str] = []
    run = graph.run_layer

    def run_layer(layer: Layer, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        ran.append(layer.name)
        return run(layer, inputs)

    graph.run_layer = run_layer  # type: ignore[method-assign]
    assert check_layers(graph, case, once, lambda _: None) == first
    assert ran == ["llm"]  # the masks, which nobody remembers


def test_a_walk_that_was_interrupted_goes_on(walked: Walked, built: Built, tmp_path: Path) -> None:
    told: list[str] = []

    def stop(layer: str) -> None:
        told.append(layer)
        if layer == "llm.blocks.01":
            raise KeyboardInterrupt

    seen = golden.observation(built.pipeline.tag, built.pipeline.cameras)
    given = (built.pipeline, seen, golden.task(built.pipeline, seen), golden.SEED)
    variant, checkpoint = walked.job.sizes.variant, walked.job.checkpoint
    with pytest.raises(KeyboardInterrupt):
        answer(Walk(checkpoint, built.pipeline, variant, tmp_path, stop), *given)
    kept = {path.name for path in tmp_path.glob("*.npz")}
    assert kept == {f"{layer}.0.npz" for layer in told}
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    found = answer(Walk(checkpoint, built.pipeline, variant, tmp_path), *given)
    assert np.array_equal(found.prediction.normalized, built.reference.prediction.normalized)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in kept} == times


def test_a_graph_run_by_layers_gives_what_the_whole_gives(built: Built) -> None:
    full = built.reference
    by_layer = answer(LayeredRunner(built.folder, 1), built.pipeline, full.observation, full.task, full.seed)
    whole = answer(OrtRunner(built.folder, 1, in_turn=True), built.pipeline, full.observation, full.task, full.seed)
    assert np.abs(by_layer.prediction.normalized - whole.prediction.normalized).max() < 2e-6
    other = answer(LayeredRunner(built.folder, 1), built.pipeline, full.observation, full.task, full.seed + 1)
    assert np.abs(other.prediction.normalized - whole.prediction.normalized).max() > 0.1  # the control


def test_cached_graphs_by_layers_give_what_they_give_whole(thought: BuiltCached) -> None:
    full = thought.reference
    given = (thought.replay, full.observation, full.task, full.seed, full.tokens)
    by_layer, whole = (cached_answer(run(thought.folder, 1), *given) for run in (LayeredRunner, OrtRunner))
    assert np.abs(by_layer.replayed.logits - whole.replayed.logits).max() < 2e-5
    for name, value in whole.caches.items():
        assert np.abs(by_layer.caches[name] - value).max() < 2e-5, name


@pytest.fixture(scope="module")
def layered(deep_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Layered, Path]:
    folder = tmp_path_factory.mktemp("layered")
    job = open_job(deep_checkpoint, GraphOptions(mode="think"), lambda *_: None)
    write_facts(job, folder)
    return build_layered(job, folder, folder, always, lambda *_: None), folder


def test_a_think_checkpoint_is_verified_by_layers(layered: tuple[Layered, Path]) -> None:
    found, _ = layered
    names = {row.name.split(":")[0] for row in found.built.rows}
    layers = [f"{part}.{i:02d}" for part in ("llm.blocks", "flow.blocks") for i in range(4)]
    assert names >= {f"layer {layer}" for layer in (*layers, "llm.head", "context", "vision.connector")}
    assert all(row.ok for row in found.built.rows)


def test_another_seed_moves_the_chunk_or_nothing_is_proved(layered: tuple[Layered, Path], thinking: Path) -> None:
    found, _ = layered
    assert control_seed(found, OrtRunner(thinking, 1)) > 0.1

    def still(graph: str, feeds: Mapping[str, np.ndarray], /) -> Mapping[str, np.ndarray]:
        return {"next": np.asarray(found.built.reference.replayed.normalized)}  # type: ignore[union-attr]

    with pytest.raises(ExportError, match="another noise seed gives the same chunk"):
        control_seed(found, still)


def test_a_bundle_s_layers_are_compared_and_a_damaged_one_is_worst(
    layered: tuple[Layered, Path], thinking: Path, tmp_path: Path
) -> None:
    found, _ = layered
    (tmp_path / "weights").mkdir()
    for path in [*thinking.glob("*.onnx"), *thinking.glob("weights/*")]:
        (tmp_path / path.relative_to(thinking)).write_bytes(path.read_bytes())
    damaged = tmp_path / "weights" / "llm.blocks.02.data"
    values = np.fromfile(damaged, np.float32)
    values[: len(values) // 2] *= -1
    values.tofile(damaged)
    errors = compare_bundle(found, tmp_path, always, lambda *_: None)
    worst = max(errors, key=lambda error: error.rms)
    assert worst.layer == "llm.blocks.02" and worst.rms > 0.1
    assert all(error.rms < 1e-5 for error in errors if error.layer != worst.layer)


def test_graphs_that_are_wrong_make_no_bundle(
    deep_checkpoint: Path, layered: tuple[Layered, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from export import layered as module

    def wrong(*arguments: Any) -> dict[str, Any]:
        def make() -> ir.Model:
            model: ir.Model = good["llm"]()
            value = next(v for n, v in model.graph.initializers.items() if n.endswith("blocks.3.mlp.ff_out.weight"))
            value.const_value = ir.tensor(value.const_value.numpy() * np.float32(0.9), name=value.name)  # type: ignore[union-attr]
            return model

        good = graph_makers(*arguments)
        return {**good, "llm": make}

    monkeypatch.setattr(module, "graph_makers", wrong)
    job = open_job(deep_checkpoint, GraphOptions(mode="think"), lambda *_: None)
    with pytest.raises(ExportError, match=r"do not agree(.|\n)*layer llm\.blocks\.03"):
        build_layered(job, layered[1], layered[1], always, lambda *_: None)
