"""`armside eval` from a bundle's path to its table: real processes, real sessions, real servo frames."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mujoco")
pytest.importorskip("torch")  # the small bundle's checkpoint is made by train

from armside.cli import main
from armside.eval import conditions_of
from armside.eval_cases import Case, Condition
from armside.eval_player import Player, Settings, camera_of_slots
from armside.eval_pool import Pool
from policy_spec.errors import SimError, UsageError
from tests.edge.small_bundle import small_bundle
from tests.sim.drawing import need_drawing


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scratch = tmp_path_factory.mktemp("bundle")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(scratch / "cache"))
    yield small_bundle(scratch / "small.bundle", scratch)
    patch.undo()


def test_the_expert_by_the_same_road_succeeds_and_a_wrong_word_leads_it_astray() -> None:
    """The machinery can succeed, and what it is told decides: the negative control."""
    with Player(Settings("expert")) as player:
        done = {task: player.play(Case(task, seed)) for task, seed in (("reach", 0), ("push", 1), ("pick", 2))}
        assert all(outcome.success and outcome.refused == 0 for outcome in done.values()), done
        assert player.play(Case("reach", 0)) == done["reach"]  # the same, in a world that played others meanwhile
        wrong = player.play(Case("reach", 0, Condition(wrong_word=True)))
        assert not wrong.success and wrong.followed and wrong.ending.startswith("failed: reached the")


def test_a_random_bundle_is_played_counted_and_goes_on_where_it_stopped(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_drawing()
    words = ["eval", str(bundle), "--task", "reach", "--out", str(tmp_path), "--threads", "1", "--limit", "0.8"]
    assert main([*words, "--episodes", "2", "--video", "1"]) == 0
    shown = capsys.readouterr().out
    assert "reach" in shown and "95 % interval" in shown and "33 %" in shown
    folder = tmp_path / bundle.name
    before = (folder / "journal.jsonl").read_bytes()
    assert len(before.splitlines()) == 3
    outcome = json.loads(before.splitlines()[1])
    assert outcome["ending"] == "time is over" and outcome["seconds"] == pytest.approx(0.8, abs=0.05)
    assert outcome["chunks"] > 0 and outcome["refused"] == 0
    assert {path.name for path in folder.iterdir()} >= {"sheet.png", "reach-plain-0.gif", "film.webp"}
    file = tmp_path / "r.json"
    assert main([*words, "--episodes", "3", "--json", str(file)]) == 0
    after = (folder / "journal.jsonl").read_bytes()
    assert after.startswith(before) and len(after.splitlines()) == 4  # only the third was played
    row = json.loads(file.read_text())["rows"][0]
    assert row["episodes"] == 3 and row["low"] <= row["rate"] <= row["high"]
    assert main([*words, "--episodes", "3", "--execute", "3"]) == 2
    assert "journal of another evaluation" in capsys.readouterr().err


def test_a_black_camera_and_the_truth_are_other_episodes(bundle: Path) -> None:
    need_drawing()
    with Player(Settings(str(bundle), threads=1, limit_s=0.8)) as player:
        plain = player.play(Case("reach", 1))
        assert player.play(Case("reach", 1)) == plain
        black = player.play(Case("reach", 1, Condition(black_camera=True)))
        assert black.path_rad != plain.path_rad


def test_two_processes_play_what_one_does_and_one_that_dies_is_said() -> None:
    settings = Settings("expert", limit_s=0.5)
    cases = [Case("reach", seed) for seed in (3, 4, 5)]
    with Player(settings) as player:
        expected = [player.play(case) for case in cases]
    with Pool(settings, 2) as pool:
        assert list(pool.play(cases, {})) == expected
        playing = pool.play(cases, {})
        next(playing)
        for process in pool._processes:
            process.kill()
        with pytest.raises(SimError, match="a process that plays episodes"):
            list(playing)
    with pytest.raises(SimError, match="no-bundle"):
        Pool(Settings("/no-bundle"), 1)


@pytest.mark.parametrize(
    ("module", "word", "order"),
    [
        ("armside.eval_worker", json.dumps(Settings("expert", limit_s=0.2).to_json()), Case("reach", 3).to_json()),
        (
            "sim.record_worker",
            ".",
            {"task": "no such task", "seed": 3, "size": 32, "depth": False, "nudge": 0.0, "number": 1},
        ),
    ],
    ids=["eval", "record"],
)
def test_a_process_whose_starter_was_stopped_ends_without_a_word(module: str, word: str, order: dict[str, Any]) -> None:
    """As after SIGTERM: nobody reads its answer any more."""
    command = [sys.executable, "-m", module, word]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as worker:
        assert worker.stdin and worker.stdout and worker.stderr
        if module == "armside.eval_worker":
            assert "ready" in worker.stdout.readline()
        worker.stdout.close()
        worker.stdin.write(json.dumps(order) + "\n")
        worker.stdin.flush()
        assert worker.wait(600) == 1 and worker.stderr.read() == ""


def test_two_policies_are_compared_on_the_same_scenes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from armside.eval_cases import Outcome
    from armside.eval_table import compare, lines_of

    def outcomes(successes: list[bool]) -> list[Outcome]:
        return [Outcome(Case("reach", n), ok, 1.0, 1.0, "done", "x") for n, ok in enumerate(successes)]

    a, b = outcomes([True, True, False, True]), list(reversed(outcomes([True, False, False, False])))
    (found,) = compare({"a": a, "b": b})
    assert (found.difference.only_first, found.difference.only_second, found.difference.pairs) == (2, 0, 4)
    assert lines_of([found])[0].startswith("b against a, reach plain: -50.0 points")


def test_what_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, why in (
        (["--task", "dance"], "task"),
        (["--perturb", "smell"], "--perturb"),
        (["--video", "1"], "--out DIR"),
        (["--episodes", "0"], "--episodes"),
    ):
        assert main(["eval", "expert", *words]) == 2 or "dance" in words
        assert why in capsys.readouterr().err
    conditions = conditions_of(
        argparse.Namespace(perturb=["each", "light,position"], wrong_word=False, black_camera=False)
    )
    assert [one.name for one in conditions][:2] == ["plain", "position"] and conditions[-1].name == "light, position"
    assert camera_of_slots(("front", "wrist"), {}) == {"front": "front", "wrist": "wrist"}
    assert camera_of_slots(("cam0", "cam1"), {"cam1": "sim:front"}) == {"cam0": "front", "cam1": "front"}
    with pytest.raises(UsageError, match="nothing for cam2"):
        camera_of_slots(("cam0", "cam1", "cam2"), {})
