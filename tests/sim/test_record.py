"""`armside sim record`: what an expert did, as rows that repeat it; a dataset that goes on where it was stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")

from armside.cli import main
from armside.sim_record import LIST
from firmware_bridge.messages import FRAME, UNITS, Chunk
from sim.lockstep import Lockstep
from sim.randomise import draw, with_pictures, wrong_text
from sim.record import Recorded, RecordOptions, record_episode
from sim.tasks.judges import judge_of
from sim.tasks.nudges import USUAL
from sim.tasks.view import look
from sim.world import World
from tests.sim.drawing import need_drawing

BLIND = RecordOptions(cameras=())


def recorded(task: str, seed: int, options: RecordOptions) -> tuple[World, Recorded]:
    world = World("so101", with_pictures(draw(task, seed, training=True), 16, 16))
    return world, record_episode(world, seed, options)


def same(one: Recorded, other: Recorded) -> bool:
    pictures = [np.array_equal(one.pictures[name], other.pictures[name]) for name in one.pictures]
    return np.array_equal(one.states, other.states) and np.array_equal(one.actions, other.actions) and all(pictures)


def test_the_same_seed_is_the_same_episode_byte_for_byte() -> None:
    _, first = recorded("reach", 3, BLIND)
    _, again = recorded("reach", 3, BLIND)
    _, other = recorded("reach", 4, BLIND)
    assert first.success and same(first, again) and not same(first, other)
    assert first.states.shape == first.actions.shape and first.states.shape[1] == 6


def test_who_repeats_the_rows_repeats_the_motion() -> None:
    """An undisturbed episode's actions as one chunk: the arm goes where it went, and the task is done."""
    world, episode = recorded("reach", 5, RecordOptions(cameras=(), nudge=0.0))
    world.reset(world.scene)
    judge = judge_of(world.arm, world.scene)
    with Lockstep(world) as rig:
        status = rig.take()
        rows = episode.actions.astype(np.float32)
        chunk = Chunk(rows, "so101", UNITS, FRAME, status.seq, status.tick, 0.1)
        assert rig.client.send_chunk(chunk).ok
        for state in episode.states:
            assert np.abs(status.measured - state).max() < 0.01
            judge.see(look(world))
            for _ in range(10):
                status = rig.client.status()
    assert judge.verdict.success


def test_disturbances_are_sent_and_not_recorded() -> None:
    _, calm = recorded("reach", 5, RecordOptions(cameras=(), nudge=0.0))
    _, pushed = recorded("reach", 5, RecordOptions(cameras=(), nudge=USUAL))

    def off(episode: Recorded) -> float:
        return float(np.abs(episode.states[1:, :5] - episode.actions[1:, :5]).mean())

    assert off(pushed) > 1.5 * off(calm) and np.array_equal(calm.states[0], pushed.states[0])


def led(task: str, seed: int, said: str, seconds: float) -> tuple[World, Recorded]:
    """An episode that somebody begins who was told `said`."""
    from armside.eval_player import Player, Settings

    world = World("so101", with_pictures(draw(task, seed, training=True), 16, 16))
    with Player(Settings("expert")) as player:
        return world, record_episode(
            world, seed, BLIND, lead=lambda rig, judge: player.drive(rig, world, said, seconds, judge)
        )


def test_an_episode_begins_where_the_expert_takes_over() -> None:
    world, whole = recorded("pick", 3, BLIND)
    other = wrong_text(world.scene)
    _, late = led("pick", 3, other, 1.5)
    assert late.success and late.text == whole.text
    assert np.abs(late.states[0] - whole.states[0])[:5].max() > 0.2  # somebody went towards another thing
    assert np.abs(late.actions[1] - late.states[0])[:5].max() < 0.2  # and what is wanted goes on from there
    assert same(late, led("pick", 3, other, 1.5)[1])


def test_who_leads_may_have_done_it_or_spoilt_it() -> None:
    world, whole = recorded("reach", 3, BLIND)
    _, done = led("reach", 3, whole.text, 8.0)
    assert done.success and len(done.states) == 1 + RecordOptions().tail
    _, spoilt = led("reach", 3, wrong_text(world.scene), 8.0)
    assert not spoilt.success and spoilt.reason.startswith("reached the")


def test_a_policy_may_lead_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need_drawing()
    pytest.importorskip("pyarrow")
    pytest.importorskip("av")
    words = ["sim", "record", str(tmp_path / "led"), "--task", "pick", "--seed", "7", "--episodes", "1", "--lead"]
    assert main([*words, str(tmp_path / "nobody")]) == 2
    assert "--lead" in capsys.readouterr().err
    assert main([*words, "expert", "--size", "32"]) != 0
    assert "no word" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "led")
    assert main([*words, "expert"]) == 0
    header, row = [json.loads(line) for line in (tmp_path / "led" / LIST).read_text().splitlines()]
    assert header["lead"] == "expert" and 0 < row["rows"] < len(recorded("pick", row["seed"], BLIND)[1].states)


def test_a_dataset_goes_on_and_is_the_same_by_one_process_or_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_drawing()
    pytest.importorskip("pyarrow")
    pytest.importorskip("av")
    from episodes.lerobot.dataset import open_dataset

    words = ["--task", "reach", "--size", "32", "--depth", "--seed", "7"]
    assert main(["sim", "record", str(tmp_path / "one"), *words, "--episodes", "1"]) == 0
    assert main(["sim", "record", str(tmp_path / "one"), *words, "--episodes", "2"]) == 0
    assert "2 episodes, 1 of them new" in capsys.readouterr().out
    assert main(["sim", "record", str(tmp_path / "two"), *words, "--episodes", "2", "--jobs", "2"]) == 0
    assert (tmp_path / "one" / LIST).read_bytes() == (tmp_path / "two" / LIST).read_bytes()
    one, two = (open_dataset(tmp_path / name) for name in ("one", "two"))
    for number in range(2):
        first, second = one.episode(number), two.episode(number)
        assert np.array_equal(first.states, second.states) and np.array_equal(first.actions, second.actions)
        assert np.array_equal(first.picture("front", 3), second.picture("front", 3))
    listed = [json.loads(line) for line in (tmp_path / "one" / LIST).read_text().splitlines()]
    assert one.episode(0).tasks[0] == listed[1]["text"] and len(one.episode(0).states) == listed[1]["rows"]
    # Policy units: degrees, of the older calibration. The lift starts near 90 + 51.6 of them.
    assert one.episode(0).states[0, 1] == pytest.approx(90 + np.degrees(0.9), abs=6.0)
    assert main(["sim", "record", str(tmp_path / "one"), *words[:-1], "8", "--episodes", "3"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_a_scene_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need_drawing()
    out, facts = tmp_path / "s.png", tmp_path / "s.json"
    assert main(["sim", "view", "push:3", "--out", str(out), "--size", "48", "--json", str(facts)]) == 0
    said = capsys.readouterr().out
    data = json.loads(facts.read_text())
    assert out.read_bytes()[:4] == b"\x89PNG" and data["text"] in said
    assert sum(row["meant"] for row in data["objects"]) == 1 and data["errand"]["side"] in ("left", "right")
    assert main(["sim", "view", "push"]) != 0
    assert "TASK:SEED" in capsys.readouterr().err
