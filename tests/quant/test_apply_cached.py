"""Plans over graphs with a cache: the same groups, the head left alone, the chunk within bounds for given tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from export.build import BuiltCached, GraphOptions, build_graphs
from export.runner import OrtRunner
from export.verify_cached import CachedAnswer, cached_answer
from policy_spec.graphs import graphs_of
from quant.apply import GroupAccount, apply_plan
from quant.plan import make_plan
from quant.rewrite import OPERATORS, ORT
from quant.verify import action_rows, token_rows
from tests.checkpoints import variant
from tests.export.test_graphs import small as changed
from tests.quant.graphs_by_hand import plan_of

Small = tuple[Path, dict[str, GroupAccount]]


@pytest.fixture(scope="module")
def thought(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> BuiltCached:
    root = tmp_path_factory.mktemp("quant-think")
    depth = {
        "enable_depth_reasoning": True,
        "action_expert_depth_gate": True,
        "action_expert_depth_gate_per_layer": True,
    }
    checkpoint = variant(tiny_checkpoint, root / "checkpoint", changed(config=depth))
    built = build_graphs(checkpoint, root / "full", GraphOptions(mode="think"), lambda *_: None)
    assert isinstance(built, BuiltCached)
    return built


@pytest.fixture(scope="module")
def small(thought: BuiltCached) -> Small:
    folder = thought.folder.with_name("int8")
    return folder, {a.group: a for a in apply_plan(thought.folder, folder, make_plan("int8"), lambda *_: None)}


def test_the_groups_of_a_cached_bundle(thought: BuiltCached, small: Small) -> None:
    layers, groups = thought.config.text.num_layers, small[1]
    quantized = {name for name, account in groups.items() if account.scheme != "fp32"}
    assert quantized == {"llm.ffn", "expert.attention", "expert.mlp", "expert.context"}
    assert groups["llm.ffn"].tensors == 3 * layers  # the last layer's too: its logits are read
    assert groups["llm.head"].tensors == 1 and groups["expert.gate"].tensors == 2 * layers
    assert all(account.reason for account in groups.values())


def test_only_operators_of_the_tables(thought: BuiltCached, small: Small) -> None:
    for name in graphs_of("think"):
        full, quantized = (
            {node.op_type for node in onnx.load(folder / f"{name}.onnx", load_external_data=False).graph.node}
            for folder in (thought.folder, small[0])
        )
        assert quantized - full <= OPERATORS[ORT]
        assert ("QuantizeLinear" in quantized) == (name != "vision")


def answer_of(thought: BuiltCached, folder: Path, tokens: np.ndarray) -> CachedAnswer:
    told = thought.reference
    return cached_answer(OrtRunner(folder), thought.replay, told.observation, told.task, told.seed, tokens)


def test_chunks_and_choices_for_given_tokens(thought: BuiltCached, small: Small) -> None:
    told, dims = thought.reference, 6
    own, full = answer_of(thought, small[0], told.tokens).replayed, told.replayed
    assert own.normalized is not None and full.normalized is not None
    rows = action_rows(own.normalized, full.normalized, dims, "int8")
    assert all(row.ok for row in rows) and rows[1].error > 1e-4  # it is not the float32 graph
    assert token_rows(thought.replay.lost(own.logits, told.tokens), "int8")[0].ok
    others = told.tokens.copy()  # the control: codes that nobody would choose, and their chunk
    others[1:-1] = thought.spec.token_ids["depth_0"] + np.arange(100)
    other = answer_of(thought, small[0], others).replayed
    assert other.normalized is not None
    assert not all(row.ok for row in action_rows(other.normalized, full.normalized, dims, "int8"))
    assert not token_rows(thought.replay.lost(other.logits, others), "int8")[0].ok


def test_rotated_with_a_cache(thought: BuiltCached) -> None:
    """The residual stream and the lm_head turn; V stays, since the context graph reads it from the cache."""
    folder, told = thought.folder.with_name("rotated"), thought.reference
    apply_plan(thought.folder, folder, plan_of("int8-w8a8-hadamard", "llm.attention"), lambda *_: None)
    own, full = answer_of(thought, folder, told.tokens).replayed, told.replayed
    assert own.normalized is not None and full.normalized is not None
    assert all(row.ok for row in action_rows(own.normalized, full.normalized, 6, "int8"))
    assert token_rows(thought.replay.lost(own.logits, told.tokens), "int8")[0].ok


def test_a_row_of_choices() -> None:
    lost = np.array([0.0, 5e-4, 0.0, 0.2], np.float32)
    full, lower = token_rows(lost, "fp32")[0], token_rows(lost, "int8")[0]
    assert full.error == 0.75 and not full.ok  # a margin below 1e-3 is a near tie
    assert lower.error == 0.5 and not lower.ok and "2 of 4, the others by at most 0.2" in lower.detail
    assert token_rows(np.zeros(4, np.float32), "fp32")[0].ok
