"""`armside quant` and `armside export --episodes` as a person uses them: samples, a measurement, a plan, a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from armside.export_samples import Wish, calibrate
from armside.quant_plot import draw
from export.build import GraphOptions, open_job
from policy_spec.bundle import open_bundle
from policy_spec.errors import QuantError, UsageError
from policy_spec.manifest import Manifest
from policy_spec.spec import PolicySpec
from quant.plan_file import plan_of
from quant.sensitivity_file import read_sensitivity
from tests.cli.conftest import Armside
from tests.quant.seen import folder


@pytest.fixture(scope="module")
def seen(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("seen") / "seen", PolicySpec.from_checkpoint(checkpoint).tag(), 6)


def test_samples_are_shown_with_their_reasons(armside: Armside, checkpoint: Path, seen: Path, tmp_path: Path) -> None:
    done = armside("quant", "samples", checkpoint, "--episodes", seen, "--samples", 3, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "seen, episode" in done.stdout and "highest" in done.stdout
    data = json.loads((tmp_path / "out" / "samples.json").read_text())
    assert len(data["samples"]) == 3 and all(len(s["sha256"]) == 64 and s["why"] for s in data["samples"])
    with Image.open(tmp_path / "out" / "samples.png") as picture:
        assert picture.width > 300 and len(picture.getcolors(1 << 24)) > 1000
    other = armside("quant", "samples", checkpoint, "--episodes", tmp_path / "out")
    assert other.returncode != 0 and "holds no observations" in other.stderr


def test_measured_planned_exported(armside: Armside, checkpoint: Path, seen: Path, tmp_path: Path) -> None:
    measured, plan, bundle = tmp_path / "s.json", tmp_path / "plan.json", tmp_path / "b"
    done = armside(
        "quant", "sensitivity", checkpoint, "--episodes", seen, "--samples", 2, "--schemes", "int4-g32-awq,int8-w8a8",
        "--groups", "llm.ffn,expert.mlp", "--json", measured, "--png", tmp_path / "s.png", "--work", tmp_path / "work",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "worst of all: " in done.stdout and not (tmp_path / "work").exists()
    found = read_sensitivity(measured)
    assert len(found.rows) == 4 and draw(found).startswith(b"\x89PNG") and (tmp_path / "s.png").stat().st_size > 10_000
    done = armside("quant", "plan", checkpoint, "--sensitivity", measured, "--budget", "action-error=2", "-o", plan)
    assert done.returncode == 0, done.stderr
    awq = {c.group for c in plan_of(json.loads(plan.read_text())).choices if c.scheme == "int4-g32-awq"}
    assert awq, done.stdout  # on a processor int4 is the smaller read of the two
    done = armside("export", checkpoint, bundle, "--plan", plan, "--episodes", seen, "--samples", 2)
    assert done.returncode == 0, done.stderr
    manifest = open_bundle(bundle, verify=True).manifest
    assert manifest.calibration is not None and len(manifest.calibration.samples) == 2
    assert manifest.calibration.samples[0].sha256 in {sample.sha256 for sample in found.samples}
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert any("measured alone: " in entry.reason for entry in manifest.plan)
    assert "Fitted to 2 samples of seen" in (bundle / "report.md").read_text()
    _reused(checkpoint, tmp_path / "b.statistics.npz", plan, manifest)


def _reused(checkpoint: Path, kept: Path, plan: Path, manifest: Manifest) -> None:
    """Statistics beside a bundle serve other exports; not those of other checkpoints or products."""
    scratch, followed = kept.parent, plan_of(json.loads(plan.read_text()))
    job = open_job(checkpoint, GraphOptions(), lambda *_: None)
    again = calibrate(Wish(statistics=kept), job, followed, scratch / "d", lambda *_: None)
    assert again.record == manifest.calibration and again.stats is not None and len(again.stats) > 0
    facts = kept.with_suffix(".json")
    told = facts.read_text()
    facts.write_text(told.replace("GB, ", "GB, 0"))
    with pytest.raises(QuantError, match="statistics of another checkpoint"):
        calibrate(Wish(statistics=kept), job, followed, scratch / "d", lambda *_: None)
    facts.write_text(told)
    more = {"precision": "fp32", "choices": [{"group": "llm.attention", "scheme": "int4-g32-gptq"}]}
    with pytest.raises(QuantError, match="lacks what the plan needs"):
        calibrate(Wish(statistics=kept), job, plan_of(more), scratch / "d", lambda *_: None)
    with pytest.raises(UsageError, match="cameras of odd"):
        odd = folder(scratch / "odd", job.spec.tag(), cameras=("front",))
        calibrate(Wish(episodes=str(odd)), job, followed, scratch / "d", lambda *_: None)
