"""The account of a plan: every byte of the graphs in one group, quantized weights smaller, actions within bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from export.build import Built
from export.runner import OrtRunner
from export.verify import answer
from policy_spec.errors import QuantError
from policy_spec.graphs import GRAPHS
from quant.apply import apply_plan
from quant.plan import Choice, Plan, make_plan
from quant.rewrite import OPERATORS, ORT
from quant.verify import action_rows
from tests.quant.graphs_by_hand import plan_of


def stored(folder: Path) -> int:
    """Bytes of all initializers but the scheme's own constants."""
    total = 0
    for name in GRAPHS:
        model = onnx.load(folder / f"{name}.onnx")
        total += sum(
            onnx.numpy_helper.to_array(t).nbytes for t in model.graph.initializer if not t.name.startswith("quant.")
        )
    return total


def test_every_byte_is_accounted_for(built: Built, tmp_path: Path) -> None:
    full = apply_plan(built.folder, tmp_path / "fp32", make_plan("fp32"), lambda *_: None)
    small = apply_plan(built.folder, tmp_path / "int8", make_plan("int8"), lambda *_: None)
    assert sum(a.bytes for a in full) == stored(tmp_path / "fp32")
    assert sum(a.bytes for a in small) == stored(tmp_path / "int8")
    before, after = ({a.group: a for a in accounts} for accounts in (full, small))
    assert before.keys() == after.keys()
    layers = built.config.text.num_layers  # up, gate and out of each but the last, whose MLP nothing reads
    assert before["llm.ffn"].tensors == after["llm.ffn"].tensors == 3 * (layers - 1)
    for group, account in after.items():
        assert account.reason
        if account.scheme == "fp32":
            assert account.bytes == before[group].bytes, group
        else:
            assert account.bytes < 0.45 * before[group].bytes, group  # a quarter, its scales and float biases


@pytest.mark.parametrize("name", GRAPHS)
def test_only_operators_of_the_tables(built: Built, tmp_path: Path, name: str) -> None:
    apply_plan(built.folder, tmp_path / "int8", make_plan("int8"), lambda *_: None)
    full, small = (
        {node.op_type for node in onnx.load(folder / f"{name}.onnx", load_external_data=False).graph.node}
        for folder in (built.folder, tmp_path / "int8")
    )
    assert small - full <= OPERATORS[ORT]
    assert ("QuantizeLinear" in small) == (name != "vision")


def test_full_precision_graphs_are_left_as_they_are(built: Built, tmp_path: Path) -> None:
    apply_plan(built.folder, tmp_path / "fp32", make_plan("fp32"), lambda *_: None)
    reference = built.reference
    own = answer(OrtRunner(tmp_path / "fp32"), built.pipeline, reference.observation, reference.task, reference.seed)
    plain = answer(OrtRunner(built.folder), built.pipeline, reference.observation, reference.task, reference.seed)
    assert np.array_equal(own.prediction.normalized, plain.prediction.normalized)


def test_whole_actions_stay_within_the_scheme_s_bounds(built: Built, tmp_path: Path) -> None:
    apply_plan(built.folder, tmp_path / "int8", make_plan("int8"), lambda *_: None)
    reference = built.reference
    own = answer(OrtRunner(tmp_path / "int8"), built.pipeline, reference.observation, reference.task, reference.seed)
    chunk, full = own.prediction.normalized, reference.prediction.normalized
    rows = action_rows(chunk, full, 6, "int8")
    assert all(row.ok for row in rows)
    assert rows[1].error > 1e-4  # it is not the float32 graph
    assert not all(row.ok for row in action_rows(chunk, full, 6, "fp32"))  # nor within its
    other = answer(OrtRunner(tmp_path / "int8"), built.pipeline, reference.observation, reference.task, 1)
    assert not all(row.ok for row in action_rows(other.prediction.normalized, full, 6, "int8"))  # the control


@pytest.mark.parametrize("plan", [make_plan("fp16"), make_plan("int8-weight"), plan_of("int4-g32", "llm.ffn")])
def test_every_byte_of_other_schemes(built: Built, tmp_path: Path, plan: Plan) -> None:
    full = apply_plan(built.folder, tmp_path / "fp32", make_plan("fp32"), lambda *_: None)
    accounts = apply_plan(built.folder, tmp_path / "small", plan, lambda *_: None)
    assert sum(a.bytes for a in accounts) == stored(tmp_path / "small")
    assert [(a.group, a.tensors) for a in accounts] == [(a.group, a.tensors) for a in full]
    for name in GRAPHS:
        files = (folder / f"{name}.onnx" for folder in (built.folder, tmp_path / "small"))
        before, after = ({n.op_type for n in onnx.load(f, load_external_data=False).graph.node} for f in files)
        assert after - before <= OPERATORS[ORT]


def test_a_layer_that_is_not_there_is_refused(built: Built, tmp_path: Path) -> None:
    plan = make_plan("fp32")
    more = Plan("edited", (Choice("llm.ffn@99", "int8-w8a8", "by hand"), *plan.choices))
    with pytest.raises(QuantError, match=r"llm.ffn@99, and no tensor is there; .*correct the plan"):
        apply_plan(built.folder, tmp_path / "edited", more, lambda *_: None)
