"""Agreement with the released code on every case of the reference folder, and controls that must disagree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export import verify
from policy_spec.masks import token_type
from quant.verify import TOLERANCES
from tests.reference import inputs
from tests.reference.model_truth import ModelTruth
from tests.reference.quantities import ACTION, INT8_ABS, INT8_COSINE, STAGE, Case, Quantity, table
from tests.reference_cases import KINDS, ROOM, load, main, run_folder
from train.checkpoint import load_model

pytestmark = pytest.mark.reference


LONG = (pytest.mark.slow, pytest.mark.timeout(1200))  # four checkpoints in four bundles each, ten calls of every frame


@pytest.mark.parametrize("kind", [pytest.param(k, marks=LONG if k == "think" else ()) for k in KINDS])
def test_every_quantity_is_within_its_tolerance(reference_folder: Path, kind: str) -> None:
    rows = run_folder(reference_folder, kind)
    short = [row for row in rows if not row.ok]
    assert not short, "\n" + table(short)


def case_of(reference_folder: Path) -> tuple[ModelTruth, inputs.Pipeline, dict[str, np.ndarray]]:
    folder = reference_folder / "so101-tiny"
    data = load(folder / "continuous_0.npz")
    pipeline = inputs.host_pipeline(folder / "checkpoint", data, cameras=2, bracket=ROOM, style="robot_action")
    return ModelTruth(load_model(folder / "checkpoint")), pipeline, data


@pytest.mark.parametrize("wrong", ["image mask", "expert mask"])
def test_a_wrong_mask_is_seen(reference_folder: Path, wrong: str) -> None:
    """The negative control: the errors that the README of the cases says a wrong mask makes."""
    truth, pipeline, data = case_of(reference_folder)
    prepared = pipeline.prepare(inputs.observation(data), str(data["task"]))
    if wrong == "image mask":
        prepared = replace(prepared, token_type=token_type(prepared.ids, ()))
    else:
        prepared = replace(prepared, expert_mask=np.ones_like(prepared.expert_mask))
    case = Case("control")
    truth.continuous(case, pipeline, prepared, data)
    row = next(r for r in case.rows if r.quantity == "model: actions_normalized")
    assert not row.ok and row.error > 10 * ACTION


def test_a_wrong_gate_is_seen(reference_folder: Path) -> None:
    folder = reference_folder / "think-gate-tiny"
    data = load(folder / "think_0.npz")
    model = load_model(folder / "checkpoint")
    with torch.no_grad():
        for head in model.model.action_expert_depth_gate:  # type: ignore[union-attr]
            head.bias += 1.0
    pipeline = inputs.host_pipeline(folder / "checkpoint", data, cameras=2, bracket=ROOM, style="robot_depth_action")
    case = Case("control")
    ModelTruth(model).think(case, pipeline, pipeline.prepare(inputs.observation(data), str(data["task"])), data)
    assert {r.quantity for r in case.rows if not r.ok} >= {"model: gate", "model: actions_normalized"}


def test_the_command_fails_where_a_quantity_does(
    reference_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "droid").mkdir()
    (tmp_path / "droid" / "checkpoint").symlink_to(reference_folder / "droid-tiny" / "checkpoint")
    data = load(reference_folder / "droid-tiny" / "continuous_1.npz")
    np.savez(tmp_path / "droid" / "continuous_1.npz", **{**data, "actions": data["actions"] + np.float32(0.01)})
    monkeypatch.setattr("sys.argv", ["reference_cases", str(tmp_path)])
    assert main() == 1
    shown = capsys.readouterr().out
    assert "NO" in shown and "model: actions " in shown
    monkeypatch.setattr("sys.argv", ["reference_cases", str(tmp_path), "--only", "think"])
    assert main() == 2


def test_an_export_asks_for_no_less_than_the_cases() -> None:
    """The tolerances that a bundle is refused by, against those of the cases' README."""
    assert (verify.TOLERANCE_STAGE, verify.TOLERANCE_ACTION) == (STAGE, ACTION)
    assert TOLERANCES["int8"] == (INT8_COSINE, INT8_ABS)
    assert TOLERANCES["fp32"] == (1 - 1e-6, ACTION)


def test_nan_is_never_within_tolerance() -> None:
    assert not Quantity("c", "q", float("nan"), 1.0).ok
    assert not Quantity("c", "q", float("nan"), 0.5, at_least=True).ok
