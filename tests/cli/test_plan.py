"""`armside plan` and `armside export --precision auto|--plan` as a person uses them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Armside


def test_every_board_is_told_drawn_and_written(armside: Armside, checkpoint: Path, tmp_path: Path) -> None:
    png, result = tmp_path / "plan.png", tmp_path / "plan.json"
    done = armside("plan", checkpoint, "--png", png, "--json", result)
    assert done.returncode == 0, done.stderr
    for words in ("agx-orin-64", "arm-cpu", "* --precision auto", "refused: bf16", "Predictions", "nothing was timed"):
        assert words in done.stdout
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    told = json.loads(result.read_text())
    assert told["kind"].startswith("prediction") and [s["name"] for s in told["stages"]] == ["vision", "llm", "flow"]
    boards = {board["target"]["name"]: board for board in told["boards"]}
    assert len(boards) == 7
    plans = {plan["precision"]: plan for plan in boards["x86-cpu"]["plans"]}
    assert plans["int8"]["stored_bytes"]["groups"]["llm.ffn"] < 0.3 * plans["fp32"]["stored_bytes"]["groups"]["llm.ffn"]
    for plan in plans.values():
        assert 0 < plan["floor_by_data_sheet_s"] <= plan["floor_s"] <= plan["expected_s"][0] <= plan["expected_s"][1]
    assert "bf16" not in plans and boards["x86-cpu"]["auto"]["precision"] == "fp32"


def test_a_plan_is_written_edited_and_exported(armside: Armside, checkpoint: Path, tmp_path: Path) -> None:
    plan, target = tmp_path / "plan.json", ("--target", "x86-cpu")
    done = armside("plan", checkpoint, *target, "--precision", "int8", "--write-plan", plan)
    assert done.returncode == 0 and "armside export --plan" in done.stdout
    data = json.loads(plan.read_text())
    data["choices"].append({"group": "llm.ffn@0", "scheme": "int8-weight", "reason": "a person's own reason"})
    plan.write_text(json.dumps(data))
    seen = armside("plan", checkpoint, *target, "--plan", plan)
    assert seen.returncode == 0 and "custom" in seen.stdout
    done = armside("export", checkpoint, tmp_path / "mine", *target, "--plan", plan, "--precision", "int4")
    assert done.returncode == 2 and "both --plan and --precision" in done.stderr and not (tmp_path / "mine").exists()
    done = armside("export", checkpoint, tmp_path / "mine", *target, "--plan", plan)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "mine" / "manifest.json").read_text())
    entries = {entry["group"]: entry for entry in manifest["plan"]}
    assert manifest["precision"] == "custom" and entries["llm.ffn@0"]["reason"] == "a person's own reason"
    assert entries["llm.ffn@0"]["tensors"] == 3 and entries["llm.ffn"]["scheme"] == "int8-w8a8"
    shown = armside("inspect", tmp_path / "mine").stdout
    assert "llm.ffn@0" in shown and "a person's own reason" in shown


def test_refusals_are_loud(armside: Armside, checkpoint: Path, tmp_path: Path) -> None:
    for verb, rest in (("plan", ()), ("export", (tmp_path / "b",))):
        done = armside(verb, checkpoint, *rest, "--target", "orin-nx-16", "--precision", "nvfp4")
        assert done.returncode == 2 and "no FP4 units" in done.stderr and "broken without a word" in done.stderr
    assert not (tmp_path / "b").exists()
