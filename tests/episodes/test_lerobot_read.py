"""LeRobot datasets of both layouts, read; every kind of damage is refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episodes.lerobot.dataset import Keys, open_dataset
from episodes.lerobot.depth import depth_of_video
from episodes.lerobot.video import VideoReader
from episodes.observations import choose, open_observations
from policy_spec.errors import DatasetError
from tests.episodes import lerobot_layout as layout
from tests.episodes.lerobot_layout import FPS, IMAGE, JOINTS, LENGTHS, TASK_OF, TASKS, VIDEO

DATA = "data/chunk-000/file-000.parquet"


@pytest.fixture(scope="module", params=["v3.0", "v2.1"])
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layout.write(tmp_path_factory.mktemp(request.param) / "cubes", request.param)


@pytest.fixture(scope="module")
def v3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layout.write(tmp_path_factory.mktemp("whole") / "cubes")


def near(got: np.ndarray, episode: int, frame: int) -> bool:
    """Whether it is that picture, but for what a codec does; the next frame's is 16 away in two channels."""
    return float(np.abs(got.astype(int) - layout.picture(episode, frame)).mean()) < 3


def test_facts(root: Path) -> None:
    with open_dataset(root) as dataset:
        assert (dataset.name, dataset.fps, dataset.lengths) == ("cubes", FPS, LENGTHS)
        assert dataset.cameras == (VIDEO, IMAGE) and dataset.camera_slots == ("front", "wrist")
        assert dataset.state_names == dataset.action_names == JOINTS and dataset.tasks == TASKS
        assert dataset.info.robot_type == "so101_follower" and dataset.info.joint_frame == ""


def test_every_number(root: Path) -> None:
    with open_dataset(root) as dataset:
        for e, length in enumerate(LENGTHS):
            view = dataset.episode(e)
            assert view.length == length and view.states.dtype == view.actions.dtype == np.float32
            np.testing.assert_array_equal(view.states, layout.states(e))
            np.testing.assert_array_equal(view.actions, layout.actions(e))
            np.testing.assert_allclose(view.timestamps, np.arange(length) / FPS, atol=1e-6)
            assert view.tasks == tuple(TASKS[i] for i in TASK_OF[e])
            assert view.task_index.tolist() == list(TASK_OF[e]) and view.subtask_at(0) == ""


@pytest.mark.parametrize("order", [1, -1])
def test_every_picture(root: Path, order: int) -> None:
    with open_dataset(root) as dataset:
        for e, length in list(enumerate(LENGTHS))[::order]:
            view = dataset.episode(e)
            for frame in range(length)[::order]:
                assert near(view.picture("front", frame), e, frame)
                np.testing.assert_array_equal(view.picture(IMAGE, frame), layout.picture(e, frame)[:, ::-1])
        assert not near(dataset.episode(0).picture("front", 3), 0, 4)  # the test can fail
        got = dataset.episode(0).pictures(VIDEO, [5, 1, 5])
        assert got.shape == (3, 48, 64, 3) and near(got[0], 0, 5) and near(got[1], 0, 1) and near(got[2], 0, 5)


def test_in_order_seeks_once(v3: Path) -> None:
    reader = VideoReader(v3 / f"videos/{VIDEO}/chunk-000/file-000.mp4")
    for frame in range(LENGTHS[0] + LENGTHS[1]):
        reader.frame(frame / FPS)
    assert reader.seeks == 1
    reader.frame(0.2)
    assert reader.seeks == 2
    with pytest.raises(DatasetError, match=r"file-000\.mp4: a frame at 0\.2500 s, within 1 ms; got: 0\.3000 s"):
        reader.frame(0.25)
    with pytest.raises(DatasetError, match="a frame at 99"):
        reader.frame(99.0)
    reader.close()


def test_av1_and_big_gops(tmp_path: Path) -> None:
    file = tmp_path / "one.mp4"
    layout.write_video(file, [layout.picture(0, f) for f in range(12)], "libsvtav1", gop=12)
    reader = VideoReader(file)
    for frame in (7, 2, 11, 0):
        assert near(reader.frame(frame / FPS), 0, frame)
    reader.close()


def test_as_observations(root: Path) -> None:
    source = open_observations(root)
    assert source.cameras == ("front", "wrist") and source.lengths == LENGTHS
    for place in choose(source, 4):
        got = source.observation(place.episode, place.frame)
        np.testing.assert_array_equal(got.state, layout.states(place.episode)[place.frame])
        assert near(got.images["front"], place.episode, place.frame)
        assert got.task == TASKS[TASK_OF[place.episode][place.frame]]


def test_annotated_tasks(v3: Path, tmp_path: Path) -> None:
    root = tmp_path / "told"
    shutil.copytree(v3, root)
    table = pa.table({"task": ["lift the cube", None, "<ALL FROZEN FRAMES>"], "episode_index": [0, 1, 2]})
    pq.write_table(table, root / "meta/tasks_annotated.parquet")
    dataset = open_dataset(root)
    assert (
        dataset.episode(0).task_at(3) == "lift the cube" and dataset.episode(0).task_at(3, annotated=False) == TASKS[0]
    )
    assert dataset.episode(1).task_at(3) == TASKS[1] and dataset.annotated.frozen == {2}


def test_subtasks(v3: Path, tmp_path: Path) -> None:
    root = tmp_path / "told"
    shutil.copytree(v3, root)
    rows = [
        {"role": "assistant", "content": "reach", "style": "subtask", "timestamp": 0.0},
        {"role": "assistant", "content": "a plan", "style": "plan", "timestamp": 0.4},
        {"role": "assistant", "content": "grasp", "style": "subtask", "timestamp": 0.5},
    ]
    table = pq.read_table(root / DATA)
    pq.write_table(table.append_column("language_persistent", pa.array([rows] * len(table))), root / DATA)
    facts = json.loads((root / "meta/info.json").read_text())
    facts["features"]["language_persistent"] = {"dtype": "language", "shape": [1], "names": None}
    (root / "meta/info.json").write_text(json.dumps(facts))
    view = open_dataset(root).episode(0)
    assert [view.subtask_at(f) for f in (0, 4, 5, 11)] == ["reach", "reach", "grasp", "grasp"]


def test_other_state_keys(v3: Path) -> None:
    dataset = open_dataset(v3, keys=Keys(states=("observation.state", "action")))
    assert dataset.episode(1).states.shape == (7, 6) and dataset.state_names == (*JOINTS, *JOINTS)
    with pytest.raises(DatasetError, match=r"feature 'observation\.joints'; expected: one of action, "):
        open_dataset(v3, keys=Keys(states=("observation.joints",)))


def test_depth_videos(tmp_path: Path) -> None:
    codes = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
    with av.open(str(tmp_path / "deep.mp4"), "w") as container:
        # Without B frames: two pictures are fewer than those would be held back for, and libx265 then gives the first
        # packets a decode time that it never set, which the container refuses on some runs.
        options = {"x265-params": "lossless=1:bframes=0:log-level=none"}
        stream: Any = container.add_stream("libx265", FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray12le"
        for shift in (0, 1000):
            shown = av.VideoFrame.from_ndarray(codes + np.uint16(shift), format="gray12le")
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
    reader = VideoReader(tmp_path / "deep.mp4")
    np.testing.assert_array_equal(reader.frame(0.1, "gray12le"), codes + 1000)
    reader.close()
    ends = depth_of_video(np.array([[0, 4095]]), {})
    np.testing.assert_allclose(ends, [[0.01, 10.0]], rtol=1e-6)
    middle = depth_of_video(np.array([[4095 // 3]]), {"video.use_log": True})  # a third of the way in logarithms
    np.testing.assert_allclose(middle, [[3.51 * (13.5 / 3.51) ** (1 / 3) - 3.5]], rtol=1e-6)
    straight = depth_of_video(np.array([[1365]]), {"video.use_log": False, "video.depth_max": 4.0})
    np.testing.assert_allclose(straight, [[0.01 + 3.99 / 3]], rtol=1e-6)


def change_info(root: Path, **changes: object) -> None:
    facts = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps({**facts, **changes}))


def change_column(root: Path, name: str, row: int, value: object) -> None:
    table = pq.read_table(root / DATA)
    cells = table[name].to_pylist()
    cells[row] = value
    index = table.column_names.index(name)
    pq.write_table(table.set_column(index, name, pa.array(cells, _plain(table[name].type))), root / DATA)


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.float32()) if pa.types.is_fixed_size_list(kind) else kind


FAULTS = [
    (lambda r: change_info(r, codebase_version="v9.9"), "version of the dataset; expected: one of v3.0"),
    (lambda r: change_info(r, total_frames=99), "episodes and frames in meta/episodes; expected: 3 and 99"),
    (lambda r: change_info(r, data_path="../{chunk_index}.parquet"), "expected: a path inside the dataset"),
    (lambda r: change_info(r, data_path="{no}.parquet"), "path template"),
    (lambda r: (r / "meta/info.json").write_text("{"), "info.json is damaged"),
    (lambda r: (r / "meta/tasks.parquet").unlink(), "tasks.parquet is missing"),
    (lambda r: (r / "meta/episodes/chunk-000/file-000.parquet").unlink(), "expected: parquet files; got: none"),
    (lambda r: (r / DATA).unlink(), "file-000.parquet is missing"),
    (lambda r: (r / DATA).write_bytes((r / DATA).read_bytes()[:-9]), "file-000.parquet cannot be read"),
    (lambda r: change_column(r, "frame_index", 4, 9), "expected: frame 4 in row 4; got: frame 9"),
    (lambda r: change_column(r, "episode_index", 4, 1), "rows of episode 0; expected: 12, as meta/ says; got: 11"),
    (lambda r: change_column(r, "observation.state", 3, [1.0, 2.0]), r"observation.state, row 3; .*got: \[1.0, 2.0\]"),
    (lambda r: change_column(r, "observation.state", 3, [1.0, None, 2.0]), "observation.state, row 3"),
    (
        lambda r: change_column(r, "observation.state", 2, [1.0, 2.0, float("nan")]),
        "of episode 0, frame 2; expected",
    ),
    (lambda r: change_column(r, "task_index", 5, 7), r"task_index of episode 0, frame 5; .*one of \[0, 1\]; got: 7"),
    (lambda r: change_column(r, IMAGE, 1, {"bytes": b"no", "path": None}), "episode 0, frame 1 is damaged"),
    (lambda r: (r / f"videos/{VIDEO}/chunk-000/file-000.mp4").write_bytes(b"no video"), "expected: a video"),
    (lambda r: (r / f"videos/{VIDEO}/chunk-000/file-000.mp4").unlink(), "file-000.mp4 is missing"),
]


@pytest.mark.parametrize(("damage", "text"), FAULTS, ids=[text[:24] for _, text in FAULTS])
def test_damage(v3: Path, tmp_path: Path, damage: object, text: str) -> None:
    root = tmp_path / "cubes"
    shutil.copytree(v3, root)
    damage(root)  # type: ignore[operator]
    with pytest.raises(DatasetError, match=text):
        view = open_dataset(root).episode(0)
        _ = view.states, view.actions, view.tasks
        for camera in ("front", "wrist"):
            view.pictures(camera, range(view.length))


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no LeRobot dataset"):
        open_dataset(tmp_path)
