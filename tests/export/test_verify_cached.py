"""The comparison of cached graphs with the reference model: what it covers, and that it fails where it must."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.build import BuiltCached, GraphOptions, build_graphs
from export.reference import CachedTorchRunner
from export.runner import OrtRunner
from export.verify_cached import cached_answer, chosen_tokens, control_cache, control_seed, verify_cached
from policy_spec.compare import relative
from policy_spec.errors import CheckpointError, ExportError, SpecError
from tests.checkpoints import variant
from tests.export.test_graphs import small
from train.checkpoint import load_model


def test_the_table_covers_every_stage_and_shows_its_worst(thought: BuiltCached) -> None:
    names, layers = [row.name for row in thought.rows], thought.config.text.num_layers
    assert sum(name.startswith("llm: cache_") for name in names) == 2 * layers + 1
    assert sum(name.startswith("context: ") for name in names) == 2 * layers
    assert {"llm: logits, pass of 5", "llm: logits, pass of 1", "llm: logits, pass of 96"} <= set(names)
    assert {"llm: logits, all 102 again", "flow: next", "normalized actions", "call: codes chosen alike"} <= set(names)
    assert all(row.ok for row in thought.rows)


@pytest.mark.parametrize(
    ("graph", "weight", "row"),
    [
        ("llm", "lm_head.weight", "llm: logits"),
        ("llm", "model.transformer.ln_f.weight", "llm: logits"),
        ("llm", "model.transformer.blocks.1.mlp.ff_out.weight", "llm: cache_k_02"),
        ("context", "model.action_expert_depth_gate.2.weight", "context: v_02"),
        ("context", "model.action_expert.context_v_proj.weight", "context: v_00"),
        ("flow", "model.action_expert.blocks.0.mlp.down_proj.weight", "flow: next"),
    ],
)
def test_a_damaged_graph_is_caught_and_named(
    thought: BuiltCached,
    tmp_path: Path,
    graph: str,
    weight: str,
    row: str,
) -> None:
    """The negative control of the comparison: one weight, a little off."""
    shutil.copytree(thought.folder, tmp_path / "damaged")
    model = onnx.load(tmp_path / "damaged" / f"{graph}.onnx")
    tensor = next(t for t in model.graph.initializer if t.name == weight)
    value = onnx.numpy_helper.to_array(tensor) * np.float32(1.01)
    tensor.CopyFrom(onnx.numpy_helper.from_array(value, weight))
    onnx.save(model, tmp_path / "damaged" / f"{graph}.onnx")
    with pytest.raises(ExportError, match=f"(?s){row}.* NO "):
        verify_cached(OrtRunner(tmp_path / "damaged"), thought.replay, thought.reference, lambda _: None)


def test_tokens_that_the_reference_would_not_choose_are_caught(
    thought: BuiltCached,
    deep_checkpoint: Path,
) -> None:
    told = thought.reference
    tokens = told.tokens.copy()
    tokens[50] += 1 if tokens[50] == thought.spec.token_ids["depth_0"] else -1
    truth = CachedTorchRunner(load_model(deep_checkpoint), thought.spec, thought.sizes.length, "depth")
    wrong = cached_answer(truth, thought.replay, told.observation, told.task, told.seed, tokens)
    with pytest.raises(ExportError, match=r"chosen tokens: the reference's loss .* NO .*token 50 of 102"):
        verify_cached(OrtRunner(thought.folder), thought.replay, wrong, lambda _: None)


def test_a_model_that_is_deaf_to_its_cache_is_not_verified(answered: BuiltCached) -> None:
    """Logits that are always the same agree with themselves: the comparison proves nothing."""
    told = answered.reference
    last = told.replayed.logits[-1][None, None]

    class Deaf(OrtRunner):
        def __call__(self, graph: str, feeds: Mapping[str, np.ndarray], /) -> dict[str, np.ndarray]:
            out = super().__call__(graph, feeds)
            return out if graph != "llm" else {"logits": np.repeat(last, feeds["rows"].shape[1], axis=1)}

    def control(run: OrtRunner) -> float:
        prepared = answered.replay.pipeline.prepare(told.observation, told.task)
        answered.replay.cached.prompt(run, prepared, told.features)
        return control_cache(run, answered.replay, told)

    with pytest.raises(ExportError, match="other tokens in the cache give the same logits"):
        control(Deaf(answered.folder))
    assert control(OrtRunner(answered.folder)) > 1e-3  # the control


def test_another_seed_moves_the_chunk(thought: BuiltCached) -> None:
    assert control_seed(OrtRunner(thought.folder), thought.replay, thought.reference) > 2e-3


def test_the_slow_truth_is_one_sequence(thought: BuiltCached, deep_checkpoint: Path) -> None:
    """Prompt and tokens given to the model at once, without places or caches, have the same hidden states."""
    import torch

    told, model = thought.reference, load_model(deep_checkpoint)
    prepared = thought.replay.pipeline.prepare(told.observation, told.task)
    ids = torch.from_numpy(np.concatenate([prepared.ids, told.tokens]))[None]
    types = torch.zeros(ids.shape)
    types[0, : len(prepared.ids)] = torch.from_numpy(prepared.token_type.astype(np.float32))
    with torch.no_grad():
        hidden, _ = model.llm(ids, torch.from_numpy(told.features), types)
        logits = model.lm_head(hidden[0, len(prepared.ids) - 1 :]).numpy()
    first = thought.spec.token_ids["depth_0"]
    assert relative(told.replayed.logits, logits[:, first : first + 128]) < 1e-5


def test_tokens_are_those_that_are_best_one_by_one(answered: BuiltCached) -> None:
    told, ids = answered.reference, answered.spec.token_ids
    again = chosen_tokens(OrtRunner(answered.folder), answered.replay, told.observation, told.task)
    assert again.tolist() == told.tokens.tolist()
    assert told.tokens[0] == ids["action_start"] and told.tokens[-1] == ids["action_end"]
    assert len(told.tokens) <= answered.sizes.variant.new_tokens


MISSING = {
    "depth was not trained": ({}, "think", "enable_depth_reasoning is not set"),
    "no square": ({"enable_depth_reasoning": True, "num_depth_codes": 99}, "think", "num_depth_codes is 99"),
    "no values": ({"enable_depth_reasoning": True, "num_depth_tokens": 0}, "think", "num_depth_tokens is 0"),
    "no expert": ({"enable_depth_reasoning": True, "action_mode": "discrete"}, "think", "discrete actions only"),
    "no discrete actions": ({"action_mode": "continuous"}, "discrete", "action_mode is continuous"),
    "no action tokens": ({"num_action_tokens": 0}, "discrete", "num_action_tokens is 0"),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_checkpoint_that_lacks_what_the_mode_needs(tiny_checkpoint: Path, tmp_path: Path, name: str) -> None:
    change, mode, words = MISSING[name]
    checkpoint = variant(tiny_checkpoint, tmp_path / "checkpoint", small(config=change))
    with pytest.raises(CheckpointError, match=f"--mode {mode}; .*{words}.*what to do: use a checkpoint"):
        build_graphs(checkpoint, tmp_path / "graphs", GraphOptions(mode=mode), lambda *_: None)
    assert not (tmp_path / "graphs").exists()


def test_modes_and_heads_that_there_are_not(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for options, words in (
        (GraphOptions(mode="dream"), "mode; expected: one of continuous, think, discrete; got: 'dream'"),
        (GraphOptions(mode="discrete", head="depth"), "head of mode discrete; expected: one of action, full"),
        (GraphOptions(head="full"), "head of mode continuous; expected: none"),
    ):
        with pytest.raises(SpecError, match=words):
            build_graphs(tiny_checkpoint, tmp_path / "graphs", options, lambda *_: None)
