"""Rotations: orthogonal, flat, fast as slow; folded into a model's weights they leave its actions as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from export.runner import OrtRunner
from policy_spec.compare import max_abs
from policy_spec.errors import QuantError
from quant.hadamard import rotation, turned_columns, turned_rows
from quant.rewrite import QDQ, quantize_model
from quant.rewrite.rotate import rotate
from quant.rewrite.work import Work
from quant.statistics import Statistics
from tests.quant.graphs_by_hand import plan_of
from tests.quant.planted import Policy

PLAN = plan_of("int8-w8a8-hadamard", "llm.attention")


@pytest.mark.parametrize("size", [1, 2, 12, 20, 64, 128, 96, 768, 1024, 2560])
def test_orthogonal_and_flat(size: int) -> None:
    whole = rotation(size)
    assert np.abs(whole @ whole.T - np.eye(size)).max() < 1e-5
    assert np.abs(np.abs(whole) - size**-0.5).max() < 1e-6  # no entry stands out, so no channel does


def test_fast_as_the_whole_matrix() -> None:
    w = np.random.default_rng(0).standard_normal((96, 640)).astype(np.float32)
    assert np.abs(turned_columns(w) - w @ rotation(640)).max() < 1e-5
    assert np.abs(turned_rows(w) - rotation(96).T @ w).max() < 1e-5
    by_head = np.concatenate([part @ rotation(128) for part in np.split(w, 5, axis=1)], axis=1)
    assert np.abs(turned_columns(w, 128) - by_head).max() < 1e-5
    assert np.abs(turned_columns(w[0]) - w[0] @ rotation(640)).max() < 1e-5  # a bias


def test_a_size_without_a_matrix_is_refused() -> None:
    for size in (588, 4304, 7):
        with pytest.raises(QuantError, match=f"no Hadamard matrix of size {size}"):
            rotation(size)


@pytest.fixture(scope="module")
def policy(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return Policy(tiny_checkpoint, tmp_path_factory.mktemp("rotate"))


def rotated(policy: Policy, folder: Path, *graphs: str) -> Path:
    """Only rotated, nothing quantized."""
    folder.mkdir()
    for name in ("vision", "llm", "flow"):
        model = ir.load(policy.folder / f"{name}.onnx")
        if name in graphs:
            assert rotate(Work(model.graph, PLAN, Statistics({})))
        ir.save(model, folder / f"{name}.onnx", external_data=f"{name}.data")
    return folder


def test_actions_stay_as_they_are(policy: Policy, tmp_path: Path) -> None:
    full = policy.chunk(policy.folder)
    assert max_abs(policy.chunk(rotated(policy, tmp_path / "both", "vision", "llm")), full) < 2e-4
    # the control: image features that are not rotated belong to another residual stream
    assert max_abs(policy.chunk(rotated(policy, tmp_path / "half", "llm")), full) > 0.01


def test_what_is_rotated_and_what_is_not(policy: Policy, tmp_path: Path) -> None:
    fed, folder = policy.feeds()["llm"], rotated(policy, tmp_path / "llm", "vision", "llm")
    fed["features"] = turned_columns(fed["features"])
    own, got = OrtRunner(policy.folder, 1)("llm", policy.feeds()["llm"]), OrtRunner(folder, 1)("llm", fed)
    for name in own:  # the expert's K and V come out of the context projection, which turns V back
        assert max_abs(got[name], own[name]) < 1e-4 * np.abs(own[name]).max() + 1e-5


def test_quantized_after_it(policy: Policy) -> None:
    model = ir.load(policy.folder / "llm.onnx")
    taken = quantize_model(model, PLAN, form=QDQ)
    assert set(taken) == {"int8-w8a8-hadamard"} and taken["int8-w8a8-hadamard"] > 3
    gains = [v for name, v in model.graph.initializers.items() if name.endswith("attn_norm.weight")]
    assert gains and all((np.asarray(v.const_value.numpy()) == 1.0).all() for v in gains if v.const_value)
