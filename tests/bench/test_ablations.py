"""The ablations' commands differ in one choice each, and their page says what was played."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("torch")

from armside.eval_cases import Case, Outcome
from armside.eval_table import compare, make_rows, to_json
from bench.ablations import CONFIG, VARIANTS, commands, name_policies, parse
from bench.ablations_page import page
from train.recipe.read import read_config


def test_variants_differ_in_one_setting_each(tmp_path: Path) -> None:
    order = parse(["--out", str(tmp_path), "--steps", "5", "--variants", ",".join(VARIANTS)])
    found = commands(order)
    assert [command[0] for command in found] == ["sim", "see", "sim", "data", *["train"] * len(VARIANTS), "eval"]
    seeing = found[1][2]
    said = {}
    for name, command in zip(VARIANTS, found[4:-1], strict=True):
        settings = [word for flag, word in pairwise(command) if flag == "--set"]
        config = read_config(CONFIG, settings)  # as `armside train` reads it
        assert config.stages[0].steps == 5 and "--resume" not in command
        assert config.start.checkpoint == seeing  # all begin alike
        said[name] = (config.start.conditioning, config.stages[0].noise_samples, config.run.seed)
    assert said == {
        "k8": ("per_layer", 8, 7),
        "k1": ("per_layer", 1, 7),
        "hidden-state": ("hidden_state", 8, 7),
        "per-head": ("per_head", 8, 7),
    }
    begun = parse(["--out", str(tmp_path), "--start", str(tmp_path / "seen"), "--config", str(CONFIG)])
    words = commands(begun)[2]
    config = read_config(CONFIG, [word for flag, word in pairwise(words) if flag == "--set"])
    assert (config.start.checkpoint, config.start.preset) == (str(tmp_path / "seen"), "")
    (tmp_path / "runs" / "k1").mkdir(parents=True)
    (tmp_path / "runs" / "k1" / "config.toml").write_text("")
    assert [c[-1] == "--resume" for c in commands(order) if c[0] == "train"] == [False, True, False, False]
    (tmp_path / "runs" / "k1" / "final").mkdir()
    name_policies(order)
    assert (tmp_path / "policies" / "k1").is_dir() and not (tmp_path / "policies" / "k8").exists()
    with pytest.raises(SystemExit):
        parse(["--out", str(tmp_path), "--variants", "k9"])


def test_the_page_says_what_was_played(tmp_path: Path) -> None:
    def outcomes(good: int) -> list[Outcome]:
        return [Outcome(Case("reach", n), n < good, 1.5, 2.0, "done", "x") for n in range(20)]

    played = {"k8": outcomes(16), "k1": outcomes(10)}
    rows = [row for name, found in played.items() for row in make_rows(name, found)]
    result = json.loads(json.dumps(to_json(rows, compare(played), {})))
    run = tmp_path / "runs" / "k1"
    run.mkdir(parents=True)
    reports = [{"kind": "step", "flow": 1.0 - n / 100} for n in range(20)]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in reports))
    facts = {"steps": 5, "batch": 2, "seed": 7, "recorded": 3}
    said = {name: VARIANTS[name].said for name in played}
    text = page(tmp_path, result, said, facts)
    lines = text.splitlines()[-2:]
    assert lines[0].startswith(f"| {VARIANTS['k8'].said} | - | 80.0 % |") and "| K = 1 | 0.8150 | 50.0 % |" in lines[1]
    assert "-30.0" in lines[1]
    assert (tmp_path / "ablations.md").read_text() == text + "\n"
    assert (tmp_path / "ablations.png").read_bytes()[:4] == b"\x89PNG"
    assert [row["successes"] for row in json.loads((tmp_path / "ablations.json").read_text())["rows"]] == [16, 10]
