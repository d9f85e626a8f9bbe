"""`armside data` and `armside convert`: on datasets as specified, and on a recording of a real run in simulation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from episodes.lerobot import commit
from episodes.lerobot.dataset import open_dataset
from episodes.recording import Recording
from policy_spec.frames import frame
from policy_spec.norm import Limits, read_tags
from tests.cli.conftest import Armside
from tests.episodes import lerobot_layout as layout
from tests.episodes.helpers import header, write_run
from tests.episodes.test_lerobot_so101 import six_joints


@pytest.fixture(scope="module")
def cubes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layout.write(tmp_path_factory.mktemp("data") / "cubes")


def test_show(armside: Armside, cubes: Path, tmp_path: Path) -> None:
    done = armside("data", "show", str(cubes), "--sheet", str(tmp_path / "s.png"), "--json", str(tmp_path / "s.json"))
    assert done.returncode == 0, done.stderr
    assert "cubes: LeRobot v3.0, so101_follower, 10 per second" in done.stdout
    assert "episodes     3, 28 frames (7 to 12 each), 0 min 3 s" in done.stdout
    assert "    2  pick up the red cube" in done.stdout and "joint frame  not said" in done.stdout
    facts = json.loads((tmp_path / "s.json").read_text())
    assert facts["cameras"] == ["front", "wrist"] and facts["tasks"] == {"pick up the red cube": 2, "push it left": 2}
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    tile = sheet[16 : 16 + 96, :128].astype(int)
    assert np.abs(tile[:, 96:] - layout.colour(0, 0)).mean() < 6  # the first frame's bright half lies there
    assert sheet.shape == (3 * (16 + 2 * 100), 6 * 132, 3)


def test_stats(armside: Armside, tmp_path: Path) -> None:
    with six_joints(tmp_path / "one") as one, six_joints(tmp_path / "two", frames=20, seed=1) as two:
        values = np.concatenate([d.episode(i).states for d in (one, two) for i in range(2)])
    out = tmp_path / "norm_stats.json"
    words = ["data", "stats", str(tmp_path / "one"), str(tmp_path / "two"), "-o", str(out)]
    done = armside(*words, "--to-frame", "so101-molmoact2", "--tag", "mine", "--steps", "15")
    assert done.returncode == 0, done.stderr
    mode, tags = read_tags(json.loads(out.read_text()), Limits(30, 32, 1))
    policy = frame("so101-molmoact2").from_si(frame("lerobot-degrees").to_si(values)).astype(np.float32)
    low, high = np.quantile(policy.astype(np.float64), [0.01, 0.99], axis=0)
    np.testing.assert_array_equal(tags["mine"].state.first, np.float32(low))
    np.testing.assert_array_equal(tags["mine"].state.second, np.float32(high))
    assert (mode, tags["mine"].horizon, tags["mine"].n_action_steps) == ("q01_q99", 30, 15)
    assert tags["mine"].setup_type == "single so100/so101 robotic arm in molmoact2"
    assert "mine, 120 frames of 2 datasets" in done.stdout and "shoulder_lift.pos" in done.stdout
    refused = armside(*words)
    assert refused.returncode == 2 and "norm_stats.json is there" in refused.stderr
    assert armside(*words, "--add", "--tag", "other").returncode == 0
    assert set(json.loads(out.read_text())["metadata_by_tag"]) == {"mine", "other"}
    wrong = armside(*words, "--overwrite", "--joint-frame", "radians")
    assert wrong.returncode == 2 and "one says its own\n  expected: lerobot-degrees" in wrong.stderr


def test_stats_never_guess_a_joint_frame(armside: Armside, cubes: Path, tmp_path: Path) -> None:
    done = armside("data", "stats", str(cubes), "-o", str(tmp_path / "n.json"), "--to-frame", "radians")
    assert done.returncode == 2 and "does not say in which joint frame" in done.stderr
    assert not (tmp_path / "n.json").exists()


def test_repair(armside: Armside, tmp_path: Path) -> None:
    with six_joints(tmp_path / "set"):
        pass
    aside = tmp_path / "set" / commit.ASIDE
    aside.mkdir()
    info = (tmp_path / "set/meta/info.json").read_bytes()
    (aside / "meta").mkdir()
    (aside / "meta/info.json").write_bytes(info)
    (aside / commit.READY).write_text(json.dumps(["meta/info.json"]))
    refused = armside("data", "show", str(tmp_path / "set"))
    assert refused.returncode == 1 and "armside data repair" in refused.stderr
    done = armside("data", "repair", str(tmp_path / "set"))
    assert done.returncode == 0 and "an episode was finished; 2 episodes" in done.stdout
    assert not aside.exists() and armside("data", "show", str(tmp_path / "set")).returncode == 0


def test_convert(armside: Armside, tmp_path: Path) -> None:
    write_run(tmp_path / "run", image_format="png", facts={})
    words = ["convert", str(tmp_path / "run"), str(tmp_path / "set"), "--pictures", "image"]
    done = armside(*words, "--json", str(tmp_path / "c.json"))
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "c.json").read_text())
    recording, joints = Recording.open(tmp_path / "run"), frame("so101-molmoact2")
    modes = [recording.modes[int(m)] for m in recording.ticks["mode"]]
    first = modes.index("running")
    ticks = [first + round(k * 100 / 30) for k in range(facts["frames"])]
    with open_dataset(tmp_path / "set") as dataset:
        view = dataset.episode(0)
        assert dataset.lengths == (facts["frames"],) and dataset.tasks == ("pick",) and dataset.fps == 30
        np.testing.assert_array_equal(view.states, np.float32(joints.from_si(recording.ticks["measured"][ticks])))
        np.testing.assert_array_equal(view.actions, np.float32(joints.from_si(recording.ticks["commanded"][ticks])))
        times = [seen.t for seen in recording.observations]
        for number in (0, view.length // 2, view.length - 1):
            seen = np.searchsorted(times, recording.ticks["t"][ticks[number]], side="right") - 1
            shown = recording.image(recording.observations[int(seen)], "cam0")
            np.testing.assert_array_equal(view.picture("cam0", number), shown)
    assert 0.1 < facts["picture_age_max_s"] < 1.2 and "pictures are those that the policy saw" in done.stdout
    again = armside(*words)
    assert again.returncode == 0
    with open_dataset(tmp_path / "set") as dataset:
        assert len(dataset.lengths) == 2


def test_convert_into_degrees_of_lerobot(armside: Armside, tmp_path: Path) -> None:
    write_run(tmp_path / "run", image_format="png")
    words = ["convert", str(tmp_path / "run"), str(tmp_path / "set"), "--joint-frame", "lerobot-degrees", "--fps", "10"]
    assert armside(*words).returncode == 0
    with open_dataset(tmp_path / "set") as dataset:
        assert dataset.info.joint_frame == "lerobot-degrees" and dataset.fps == 10
    needs = armside(*words[:2], str(tmp_path / "other"), "--joint-frame", "lerobot-m100")
    assert needs.returncode == 1 and "calibrated range" in needs.stderr


def test_convert_what_never_moved(armside: Armside, tmp_path: Path) -> None:
    write_run(tmp_path / "run", ticks=40, image_format="png")  # all of them before the arm follows
    done = armside("convert", str(tmp_path / "run"), str(tmp_path / "set"))
    assert done.returncode == 1 and "the arm followed no chunk" in done.stdout
    assert header().arm == "so101"
