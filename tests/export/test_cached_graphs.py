"""Graphs with a cache: their contract, what they hold, what a pass writes and sees, and other configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.build import BuiltCached, GraphOptions, build_graphs
from export.emit import ISLAND, OPERATORS
from export.reference import CachedTorchRunner
from export.runner import OrtRunner
from policy_spec.compare import relative
from policy_spec.graphs import CACHE, DYNAMIC, graph_specs
from policy_spec.pipeline import Prepared
from policy_spec.replay import Replay
from tests.checkpoints import Change, variant
from tests.export.test_graphs import small
from train.checkpoint import load_model

TOLERANCE = 1e-5  # of logits, between ways to feed the same tokens


class Call:
    """The golden prompt behind one runner's language model, ready for tokens."""

    def __init__(self, built: BuiltCached, cache: float = 0.0) -> None:
        """cache: what stands in it before."""
        self.built, self.run = built, OrtRunner(built.folder)
        self.replay = Replay(built.replay.pipeline, built.sizes.variant)
        self.tokens = built.reference.tokens
        for tensor in graph_specs(built.spec, *sizes_of(built), built.sizes.variant)["llm"].inputs:
            if tensor.name.startswith(CACHE):
                self.run.caches[tensor.name] = np.full(tensor.shape, cache, np.float32)
        self.logits = self.replay.cached.prompt(self.run, self.prepared(), built.reference.features).copy()

    def prepared(self) -> Prepared:
        return self.replay.pipeline.prepare(self.built.reference.observation, self.built.reference.task)


def sizes_of(built: BuiltCached) -> tuple[int, int, int]:
    return built.sizes.cameras, built.sizes.bracket, built.sizes.horizon


@pytest.mark.parametrize("mode", ["thought", "answered"])
def test_the_contract_of_inputs_and_outputs(mode: str, request: pytest.FixtureRequest) -> None:
    built: BuiltCached = request.getfixturevalue(mode)
    for name, spec in graph_specs(built.spec, *sizes_of(built), built.sizes.variant).items():
        path = built.folder / f"{name}.onnx"
        graph = onnx.load(path, load_external_data=False).graph

        def shapes(values: object) -> dict[str, tuple[int, ...]]:
            sides = {v.name: v.type.tensor_type.shape.dim for v in values}  # type: ignore[attr-defined]
            return {n: tuple(DYNAMIC if d.dim_param else d.dim_value for d in dims) for n, dims in sides.items()}

        assert shapes(graph.input) == {t.name: t.shape for t in spec.inputs}
        assert shapes(graph.output) == {t.name: t.shape for t in spec.outputs}
        assert {node.op_type for node in graph.node} <= OPERATORS
        onnx.checker.check_model(path, full_check=True)
    assert sorted(p.stem for p in built.folder.glob("*.onnx")) == sorted(built.sizes.variant.graphs)


def test_whole_layers_and_only_the_head_s_rows(thought: BuiltCached, answered: BuiltCached) -> None:
    def shapes(built: BuiltCached, graph: str) -> dict[str, tuple[int, ...]]:
        model = onnx.load(built.folder / f"{graph}.onnx", load_external_data=False)
        return {t.name: tuple(t.dims) for t in model.graph.initializer}

    llm, last = shapes(thought, "llm"), thought.config.text.num_layers - 1
    assert llm["lm_head.weight"] == (64, 128) and "model.transformer.ln_f.weight" in llm
    assert f"model.transformer.blocks.{last}.mlp.ff_out.weight" in llm
    assert not any("context" in name for name in llm)
    assert shapes(answered, "llm")["lm_head.weight"] == (64, 3 + 2048)
    assert "model.action_expert.context_k_proj.weight" in shapes(thought, "context")


def test_attention_stays_on_its_islands(thought: BuiltCached) -> None:
    """Every sum over a mask that hides by -1e9, and every softmax, is float32 in every precision."""
    for node in onnx.load(thought.folder / "llm.onnx", load_external_data=False).graph.node:
        if node.op_type in ("Softmax", "Pow", "Sqrt", "ReduceMean"):
            assert any(entry.key == ISLAND for entry in node.metadata_props), node.name


def test_a_pass_writes_its_own_places_and_no_other(thought: BuiltCached) -> None:
    call = Call(thought, cache=0.25)
    before, first = {n: v.copy() for n, v in call.run.caches.items()}, len(call.prepared().ids)
    call.replay.push(call.tokens[:5], 7)
    for name, after in call.run.caches.items():
        moved = np.flatnonzero((after != before[name]).any(axis=(0, 2)))
        assert moved.tolist() == list(range(first + 7, first + 12)), name


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_logits_do_not_depend_on_how_tokens_are_cut_into_passes(thought: BuiltCached, data: st.DataObject) -> None:
    """Nor on wrong ones that stood in their places before."""
    call, tokens = Call(thought), thought.reference.tokens
    wrong = data.draw(st.lists(st.integers(0, 500), min_size=1, max_size=102), label="wrong tokens")
    call.replay.push(np.array(wrong), 0)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(tokens) - 1), max_size=6), label="cuts"))
    parts = np.split(tokens, cuts)
    starts = [0, *cuts]
    got = np.concatenate([call.replay.push(part, start) for part, start in zip(parts, starts, strict=True)])
    assert relative(got, thought.reference.replayed.logits[1:]) < TOLERANCE


def test_what_the_cache_held_before_the_prompt_is_nobody_s(thought: BuiltCached) -> None:
    clean, dirty = Call(thought), Call(thought, cache=1e3)
    assert np.array_equal(clean.logits, dirty.logits)
    assert np.array_equal(clean.replay.push(clean.tokens, 0), dirty.replay.push(dirty.tokens, 0))


def test_tokens_of_the_prompt_see_pictures_both_ways(thought: BuiltCached) -> None:
    """The negative control of the mask: with no image tokens named, other logits."""
    call = Call(thought)
    prepared = call.prepared()
    blind = {**prepared.llm, "token_type": np.zeros_like(prepared.llm["token_type"])}
    got = call.replay.cached.prompt(call.run, replace(prepared, llm=blind), thought.reference.features)
    assert relative(got, thought.reference.replayed.logits[0]) > 1e-3


def contexts(built: BuiltCached, change: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """K and V of the golden call, with masks of one's own."""
    call = Call(built)
    call.replay.push(call.tokens, 0)
    visible, depth = call.replay.seen(call.prepared(), call.tokens)
    return call.run("context", {"visible": visible, "depth": depth, **change})


def test_the_gate_scales_depth_tokens_and_no_others(thought: BuiltCached) -> None:
    prompt, n = thought.reference.replayed, len(thought.reference.tokens)
    used = next(iter(thought.reference.caches.values())).shape[1]
    ungated = contexts(thought, {"depth": np.zeros((1, thought.sizes.length), np.float32)})["v_01"]
    gated = prompt.context["v_01"]
    # <depth_output> is the prompt's last but one token, <action_output> its last.
    assert relative(ungated[:, :, : used - n - 2], gated[:, :, : used - n - 2]) < TOLERANCE
    assert relative(ungated[:, :, used - n : used], gated[:, :, used - n : used]) > 0.5


def test_a_gate_with_nothing_but_depth_tokens_to_see(thought: BuiltCached, deep_checkpoint: Path) -> None:
    """The mean is then over them, as the reference model has it."""
    call = Call(thought)
    prepared, features = call.prepared(), thought.reference.features
    truth = CachedTorchRunner(load_model(deep_checkpoint), thought.spec, thought.sizes.length, "depth")
    call.replay.push(call.tokens, 0)
    depth = call.replay.seen(prepared, call.tokens)[1]
    call.replay.whole(truth, prepared, features, call.tokens, 0)
    got, expected = (run("context", {"visible": depth, "depth": depth}) for run in (call.run, truth))
    used = len(prepared.ids) + len(call.tokens)
    assert relative(got["v_02"][:, :, :used], expected["v_02"][:, :, :used]) < TOLERANCE
    assert relative(got["v_02"][:, :, :used], thought.reference.replayed.context["v_02"][:, :, :used]) > 1e-3


VARIANTS: dict[str, Change] = {
    "one gate for all layers": small(config={"action_expert_depth_gate": True}),
    "no gate": small(config={}),
    "norms after, biased projections": small({"norm_after": True, "qkv_bias": True}),
    "no qk-norm anywhere": small({"use_qk_norm": False}, action_expert_config={"qk_norm": False}),
    "qk-norm over the whole projection": small({"qk_norm_type": "olmo"}),
    "as many key heads as heads": small({"num_key_value_heads": 4}),
    "one key head": small({"num_key_value_heads": 1}),
    "tied embeddings": small({"tie_word_embeddings": True}),
    "another base of RoPE": small({"rope_theta": 1e4}),
    "no task of both kinds": small(config={"action_mode": "continuous"}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_other_shapes_and_switches(tiny_checkpoint: Path, tmp_path: Path, name: str) -> None:
    def change(config: dict[str, dict[str, object]]) -> None:
        small(config={"enable_depth_reasoning": True}, action_expert_config={"context_layer_norm": False})(config)
        VARIANTS[name](config)

    checkpoint = variant(tiny_checkpoint, tmp_path / "checkpoint", change)
    options = GraphOptions(cameras=1, mode="think")
    built = build_graphs(checkpoint, tmp_path / "graphs", options, lambda *_: None)
    assert all(row.ok for row in built.rows)
