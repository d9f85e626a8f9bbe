"""LeRobot datasets, written: their files looked at with pyarrow and PyAV alone, then read back; killed at each step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from episodes.lerobot import commit
from episodes.lerobot.add_column import add_column
from episodes.lerobot.dataset import open_dataset
from episodes.lerobot.episode import EpisodeView
from episodes.lerobot.plan import DatasetPlan, Extra, VideoOptions
from episodes.lerobot.stats import PictureStats, together, vector_stats
from episodes.lerobot.writer import Frame, LeRobotWriter
from episodes.mixture import Mixture, Part
from policy_spec.errors import DatasetError
from tests.episodes import lerobot_layout as layout

NAMES = ("shoulder.pos", "gripper.pos")
SIZE = (48, 64)
PLAN = DatasetPlan(
    fps=10,
    robot_type="so101_follower",
    state_names=NAMES,
    action_names=NAMES,
    cameras={"front": SIZE, "wrist": SIZE},
    extras={"next.success": Extra("bool"), "codes": Extra("int64", 3)},
    joint_frame="lerobot-degrees",
)
LENGTHS = (5, 8, 3)
TASKS = ("reach the cube", "push it")
FRONT = "observation.images.front"


def picture(episode: int, frame: int, camera: str = "front") -> np.ndarray:
    out = np.full((*SIZE, 3), 255 if camera == "wrist" else 0, np.uint8)
    out[..., 0] = 60 * episode + 40
    out[: 4 + 4 * frame] = 128
    return out


def frame(episode: int, number: int) -> Frame:
    state = np.array([episode + number / 10, number / 20])
    return Frame(
        state,
        state + 0.25,
        {camera: picture(episode, number, camera) for camera in PLAN.cameras},
        TASKS[episode % 2],
        depths={name: np.full(SIZE, 0.5 + number / 100) for name in ("deep",)},
        extras={"next.success": number == 2, "codes": [number, 1, 2]},
    )


def write(root: Path, plan: DatasetPlan = PLAN, episodes: tuple[int, ...] = (0, 1, 2)) -> Path:
    with LeRobotWriter.open(root, plan) as writer:
        for episode in episodes:
            writer.start()
            for number in range(LENGTHS[episode]):
                writer.add(frame(episode, number))
            assert writer.save() == episode
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("written") / "cubes")


def check(root: Path, count: int = 3, plan: DatasetPlan = PLAN) -> None:
    """Everything that was put in comes out."""
    with open_dataset(root) as dataset:
        assert dataset.lengths == LENGTHS[:count] and dataset.info.joint_frame == "lerobot-degrees"
        for episode in range(count):
            view = dataset.episode(episode)
            expected = [frame(episode, n) for n in range(LENGTHS[episode])]
            np.testing.assert_array_equal(view.states, np.float32([f.state for f in expected]))
            np.testing.assert_array_equal(view.actions, np.float32([f.action for f in expected]))
            assert view.tasks == (TASKS[episode % 2],) * view.length
            assert view.column("next.success").tolist() == [n == 2 for n in range(view.length)]
            assert view.column("codes")[1].tolist() == [1, 1, 2]
            for camera in plan.cameras:
                for number in range(view.length):
                    difference = np.abs(view.picture(camera, number).astype(int) - picture(episode, number, camera))
                    assert difference.mean() < (4 if plan.pictures == "video" else 1e-9), (camera, episode, number)


def test_what_goes_in_comes_out(root: Path) -> None:
    check(root)


def test_the_files_are_laid_out_as_lerobot_says(root: Path) -> None:
    info = json.loads((root / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_episodes"], info["total_frames"]) == ("v3.0", 10, 3, 16)
    assert info["splits"] == {"train": "0:3"} and info["total_tasks"] == 2
    assert info["features"]["action"] == {"dtype": "float32", "shape": [2], "names": list(NAMES)}
    assert info["features"][FRONT]["dtype"] == "video" and info["features"][FRONT]["shape"] == [48, 64, 3]
    data = pq.read_table(root / "data/chunk-000/file-000.parquet")
    assert data["index"].to_pylist() == list(range(16))
    assert data["episode_index"].to_pylist() == [e for e, n in enumerate(LENGTHS) for _ in range(n)]
    assert data["frame_index"].to_pylist() == [f for n in LENGTHS for f in range(n)]
    assert np.allclose(data["timestamp"].to_pylist(), np.array(data["frame_index"].to_pylist()) / 10)
    assert str(data.schema.field("action").type) == "fixed_size_list<element: float>[2]"
    assert pq.ParquetFile(root / "data/chunk-000/file-000.parquet").num_row_groups == 3  # one for each episode
    episodes = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(e["dataset_from_index"], e["dataset_to_index"]) for e in episodes] == [(0, 5), (5, 13), (13, 16)]
    assert [e[f"videos/{FRONT}/from_timestamp"] for e in episodes] == [0.0, 0.5, 1.3]
    assert [e[f"videos/{FRONT}/to_timestamp"] for e in episodes] == [0.5, 1.3, 1.6]
    assert episodes[1]["tasks"] == ["push it"] and episodes[1]["stats/action/count"] == [8]
    tasks = pq.read_table(root / "meta/tasks.parquet")
    assert tasks.to_pylist() == [{"task_index": i, "task": t} for i, t in enumerate(TASKS)]
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    with av.open(str(root / f"videos/{FRONT}/chunk-000/file-000.mp4")) as container:
        times = [float(f.pts * f.time_base) for f in container.decode(video=0)]
    np.testing.assert_allclose(times, np.arange(16) / 10, atol=1e-9)


def test_statistics_of_all_episodes(root: Path) -> None:
    stats = json.loads((root / "meta/stats.json").read_text())
    values = np.concatenate([[frame(e, n).action for n in range(length)] for e, length in enumerate(LENGTHS)])
    for name, truth in (
        ("min", values.min(0)),
        ("max", values.max(0)),
        ("mean", values.mean(0)),
        ("std", values.std(0)),
    ):
        np.testing.assert_allclose(stats["action"][name], truth, rtol=1e-6, atol=1e-9)
    assert stats["action"]["count"] == [16] and np.shape(stats[FRONT]["mean"]) == (3, 1, 1)
    assert set(stats["action"]) == {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"}


def test_picture_statistics_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    counted, values = PictureStats(), []
    for number in range(6):
        image = rng.integers(0, 200, (20, 30, 3)).astype(np.uint8)
        counted.add(image)
        if number % 2 == 0:
            values.append(image.reshape(-1, 3) / 255)
    truth, got = vector_stats(np.concatenate(values)), counted.stats()
    for name in ("min", "max", "mean", "std", "q01", "q10", "q50", "q90", "q99"):
        np.testing.assert_allclose(got[name].reshape(3), truth[name], atol=1e-9, err_msg=name)
    both = together({"a": vector_stats(np.arange(4.0))}, {"a": vector_stats(np.arange(4.0, 9.0))})["a"]
    whole = vector_stats(np.arange(9.0))
    for name in ("min", "max", "mean", "std", "count"):
        np.testing.assert_allclose(both[name], whole[name])


@pytest.mark.parametrize(
    "change", [{"pictures": "image"}, {"video": VideoOptions("libsvtav1", crf=20)}], ids=["png", "av1"]
)
def test_other_ways_to_keep_pictures(tmp_path: Path, change: dict) -> None:
    plan = replace(PLAN, **change)
    check(write(tmp_path / "set", plan), plan=plan)


def test_depth(tmp_path: Path) -> None:
    plan = replace(PLAN, depths={"deep": SIZE})
    with open_dataset(write(tmp_path / "set", plan, (0,))) as dataset:
        assert dataset.info.depths == ("observation.images.deep",) and dataset.camera_slots == ("front", "wrist")
        np.testing.assert_allclose(dataset.episode(0).depth("deep", 3), np.full(SIZE, 0.53), atol=1e-6)


def test_files_end_at_their_limits(tmp_path: Path) -> None:
    plan = replace(PLAN, data_mb=1e-6, video_mb=1e-6)
    root = write(tmp_path / "set", plan)
    check(root)
    assert len(list((root / "data").rglob("*.parquet"))) == len(list((root / f"videos/{FRONT}").rglob("*.mp4"))) == 3


def test_goes_on_where_it_was(tmp_path: Path, root: Path) -> None:
    for episode in range(3):
        write(tmp_path / "set", episodes=(episode,))
    check(tmp_path / "set")
    for name in ("meta/info.json", "meta/stats.json"):
        assert (tmp_path / "set" / name).read_bytes() == (root / name).read_bytes()
    with pytest.raises(DatasetError, match="another plan; expected: the same fps"):
        LeRobotWriter.open(tmp_path / "set", replace(PLAN, fps=20))


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with LeRobotWriter.open(tmp_path / "set", PLAN) as writer:
        writer.start()
        writer.add(frame(0, 0))
        with pytest.raises(DatasetError, match="is being written by another process"):
            LeRobotWriter.open(tmp_path / "set", PLAN)
        for number in range(1, LENGTHS[0]):
            writer.add(frame(0, number))
        writer.save()
    check(tmp_path / "set", 1)


def test_killed_in_the_first_episode(tmp_path: Path) -> None:
    """Nothing but the folder of the next files is there: it is begun again."""
    (tmp_path / "set" / commit.ASIDE).mkdir(parents=True)
    (tmp_path / "set" / commit.ASIDE / "episode-front.mp4").write_bytes(b"half")
    check(write(tmp_path / "set", episodes=(0,)), 1)


def test_a_dropped_episode_leaves_nothing(tmp_path: Path) -> None:
    root = write(tmp_path / "set", episodes=(0,))
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    with LeRobotWriter.open(root, PLAN) as writer:
        writer.start()
        writer.add(frame(1, 0))
    assert {file: file.read_bytes() for file in root.rglob("*") if file.is_file()} == before


BAD = [
    ({"state": np.zeros(3)}, "frame 1 of the episode: state; expected: 2 finite numbers"),
    ({"action": np.array([0.0, np.nan])}, "action; expected: 2 finite numbers"),
    ({"images": {"front": picture(0, 0)}}, r"camera wrist; expected: uint8 \[48, 64, 3\]; got: none"),
    ({"images": {c: np.zeros((8, 8, 3), np.uint8) for c in PLAN.cameras}}, r"got: uint8 \[8, 8, 3\]"),
    ({"extras": {"next.success": True}}, "codes; expected: 3 numbers"),
    ({"task": " "}, "task; expected: what is being done"),
]


@pytest.mark.parametrize(("change", "text"), BAD, ids=[text[:20] for _, text in BAD])
def test_a_wrong_frame_is_refused_and_the_episode_goes_on(tmp_path: Path, change: dict, text: str) -> None:
    with LeRobotWriter.open(tmp_path / "set", PLAN) as writer:
        writer.start()
        writer.add(frame(0, 0))
        with pytest.raises(DatasetError, match=text):
            writer.add(replace(frame(0, 1), **change))
        for number in range(1, LENGTHS[0]):
            writer.add(frame(0, number))
        writer.save()
    check(tmp_path / "set", 1)


def test_no_place_for_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("mine")
    with pytest.raises(DatasetError, match="expected: an empty folder, or a dataset"):
        LeRobotWriter.open(tmp_path, PLAN)
    writer = LeRobotWriter.open(tmp_path / "set", PLAN)
    with pytest.raises(DatasetError, match="a frame outside an episode"):
        writer.add(frame(0, 0))
    writer.start()
    with pytest.raises(DatasetError, match="without frames"):
        writer.save()
    with pytest.raises(DatasetError, match="expected: an even width and height; got: 63x48"):
        replace(PLAN, cameras={"front": (48, 63)})


def go_on_with_codes(root: Path) -> None:
    """The next episode has the column too; those before keep theirs."""
    plan = replace(PLAN, extras={**PLAN.extras, "depth_buffer_codes.front": Extra("int64", 4)})
    one = frame(0, 0)
    with LeRobotWriter.open(root, plan) as writer:
        writer.start()
        writer.add(replace(one, extras={**one.extras, "depth_buffer_codes.front": [7] * 4}))
        writer.save()
    with open_dataset(root) as dataset:
        assert dataset.episode(3).column("depth_buffer_codes.front").tolist() == [[7] * 4]
        assert dataset.episode(1).column("depth_buffer_codes.front")[2].tolist() == [12] * 4


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "theirs"])
def test_a_column_added_afterwards(tmp_path: Path, ours: bool) -> None:
    root = write(tmp_path / "set") if ours else layout.write(tmp_path / "set")

    def codes(view: EpisodeView) -> np.ndarray:
        return np.stack([np.full(4, 10 * view.position + n) for n in range(view.length)])

    before = {file: file.read_bytes() for file in root.rglob("*.mp4")}
    for _ in range(2):  # the second time in its own place
        add_column(root, "depth_buffer_codes.front", Extra("int64", 4), codes)
    with open_dataset(root) as dataset:
        for position in range(3):
            assert dataset.episode(position).column("depth_buffer_codes.front")[2].tolist() == [10 * position + 2] * 4
        sample = Mixture([Part(dataset, 2)]).sample((0, 1, 2))
        assert sample.depth is not None and sample.depth.tolist() == [12] * 4
        assert Mixture([Part(dataset, 2, cameras=("wrist",))]).sample((0, 1, 2)).depth is None
        if not ours:
            np.testing.assert_array_equal(dataset.episode(2).picture("wrist", 1), layout.picture(2, 1)[:, ::-1])
    if ours:
        check(root)
    assert {file: file.read_bytes() for file in root.rglob("*.mp4")} == before
    if ours:
        go_on_with_codes(root)
    facts = (root / "meta/info.json").read_bytes()
    with pytest.raises(DatasetError, match=r"more of episode 1; expected: \[\d, 3\]; got: \[2\]"):
        add_column(root, "more", Extra("int64", 3), lambda v: np.zeros(2 if v.position else 3 * v.length))
    assert (root / "meta/info.json").read_bytes() == facts
    with pytest.raises(DatasetError, match=r"has a column depth_buffer_codes\.front"):
        add_column(root, "depth_buffer_codes.front", Extra("int64", 5), codes)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.episodes import test_lerobot_write as t
root, left = Path(sys.argv[1]), int(sys.argv[2])
t.write(root, episodes=(0,))
names = ("replace", "fsync", "open")
calls = 0
def counted(real):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == left:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
os.replace, os.fsync = counted(os.replace), counted(os.fsync)
t.write(root, episodes=(1,))
print(calls)
"""


def kills() -> Iterator[int]:
    yield from (1, 9, 10, 11, 12, 15, 19)  # before the list, at it, between the renames, after all


@pytest.mark.parametrize("left", list(kills()))
def test_killed_while_an_episode_is_added(tmp_path: Path, left: int) -> None:
    root = tmp_path / "set"
    folder = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", KILLED, str(root), str(left)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=800, env={**os.environ})
    if done.returncode == 0:
        pytest.fail(f"the test kills nobody: only {done.stdout.strip()} calls")
    assert done.returncode == -9, done.stderr
    half = (root / commit.ASIDE / commit.READY).is_file()
    if half:
        with pytest.raises(DatasetError, match="armside data repair"):
            open_dataset(root)
    else:
        check(root, 1)
    with LeRobotWriter.open(root, PLAN) as writer:
        count = writer.episodes
    check(root, count)
    write(root, episodes=tuple(range(count, 3)))
    check(root)
