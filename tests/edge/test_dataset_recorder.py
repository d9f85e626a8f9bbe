"""A run recorded as a LeRobot dataset: which ticks become frames, a slow disk, and a whole run in simulation."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge.control import Control
from edge.dataset_recorder import QUEUE_FRAMES, DatasetRecorder, Wanted
from edge.run import run
from episodes.recording import Recording
from firmware_bridge.client import Info, Status
from policy_spec.errors import DatasetError
from policy_spec.frames import frame
from tests.edge.arm import Watcher, run_and, sim_config, until

pytest.importorskip("pyarrow")
pytest.importorskip("av")

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


def status(tick: int, mode: str = "running") -> Status:
    """A status with only what the recorder looks at."""
    made = Status.__new__(Status)
    blank = {f.name: None for f in dataclasses.fields(Status)}
    told = {"tick": tick, "mode": mode, "measured": np.full(6, tick / 1000), "commanded": np.full(6, tick / 500)}
    for name, value in {**blank, **told}.items():
        object.__setattr__(made, name, value)
    return made


def info() -> Info:
    made = Info.__new__(Info)
    told = {"joints": JOINTS, "arm": "so101", "rate_hz": 100.0}
    for field in dataclasses.fields(Info):
        object.__setattr__(made, field.name, told.get(field.name))
    return made


class Slow:
    """Pictures; and a gate that the encoder waits at."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.said: list[str] = []

    def newest(self) -> dict[str, np.ndarray]:
        return {"cam0": np.zeros((49, 65, 3), np.uint8)}


def recorder(root: Path, slow: Slow) -> DatasetRecorder:
    return DatasetRecorder(Wanted(root, 30, frame("radians"), "so101_follower"), info(), slow.newest, slow.said.append)


def test_a_disk_that_is_too_slow_cuts_the_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from episodes.lerobot.dataset import open_dataset
    from episodes.lerobot.writer import Frame, LeRobotWriter

    slow, add = Slow(), LeRobotWriter.add

    def waits(self: LeRobotWriter, moment: Frame) -> None:
        slow.gate.wait(30)
        add(self, moment)

    monkeypatch.setattr(LeRobotWriter, "add", waits)
    kept = recorder(tmp_path / "set", slow)
    for tick in range(0, 400):
        kept.hear(status(tick), "reach")
    assert kept.lost == 1
    slow.gate.set()
    until(lambda: kept._queue.empty())
    for tick in range(400, 500):
        kept.hear(status(tick), "reach")
        time.sleep(0.001)
    text = kept.close()
    assert "2 episodes" in text and "too slow" in text and kept.error == ""
    with open_dataset(tmp_path / "set") as dataset:
        assert dataset.lengths[0] in (QUEUE_FRAMES, QUEUE_FRAMES + 1) and dataset.cameras == (
            "observation.images.cam0",
        )
        first = dataset.episode(0)
        np.testing.assert_allclose(first.states[:3, 0], [0.0, 0.003, 0.007], atol=1e-6)
        np.testing.assert_allclose(first.actions[:3, 0], [0.0, 0.006, 0.014], atol=1e-6)
        assert first.picture("cam0", 0).shape == (48, 64, 3)  # without the odd row and column


def test_what_fails_is_said_once_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from episodes.lerobot.writer import LeRobotWriter

    slow = Slow()

    def broken(self: LeRobotWriter, moment: object) -> None:
        raise DatasetError("no room")

    monkeypatch.setattr(LeRobotWriter, "add", broken)
    kept = recorder(tmp_path / "set", slow)
    for tick in range(100):
        kept.hear(status(tick), "reach")
    kept.close()
    assert kept.error == "the dataset stopped: no room" and slow.said == [kept.error]


def test_a_run_becomes_episodes(bundle: Path, tmp_path: Path) -> None:
    from episodes.lerobot.dataset import open_dataset

    config = sim_config(bundle, record=tmp_path / "run", record_dataset=tmp_path / "set", duration_s=None)

    def act(control: Control, watcher: Watcher) -> None:
        until(lambda: bool(watcher.states) and watcher.states[-1].chunks >= 2)
        control.say("task", "push it left")
        chunks = watcher.states[-1].chunks
        until(lambda: watcher.states[-1].chunks >= chunks + 2)
        control.say("quit")

    result, _ = run_and(config, act)
    assert result.dataset.startswith("2 episodes") and result.dataset_error == "", result
    recording = Recording.open(tmp_path / "run")
    measured = {tuple(np.round(row["measured"], 9)) for row in recording.ticks}
    with open_dataset(tmp_path / "set") as dataset:
        assert dataset.info.joint_frame == "so101-molmoact2" and dataset.fps == 30
        assert dataset.tasks == ("pick up the red cube", "push it left")
        assert dataset.camera_slots == ("cam0", "cam1") and dataset.state_names[0] == "shoulder_pan.pos"
        for number in range(2):
            view = dataset.episode(number)
            assert len(set(view.tasks)) == 1 and view.picture("cam1", 0).shape == (48, 64, 3)
            si = frame("so101-molmoact2").to_si(view.states)
            nearest = [min(np.abs(np.subtract(row, si[k])).max() for row in measured) for k in (0, view.length - 1)]
            assert max(nearest) < 1e-4  # float32 of what a tick measured
    again = run(dataclasses.replace(config, record=None, duration_s=2.0), ui=Watcher())
    assert again.dataset.startswith("1 episode,")
    with open_dataset(tmp_path / "set") as dataset:
        assert len(dataset.lengths) == 3


def test_no_place_for_a_dataset_is_known_before_anything_opens(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(DatasetError, match="expected: an empty folder, or a dataset"):
        run(sim_config(bundle, record_dataset=tmp_path), ui=(watcher := Watcher()))
    assert watcher.events == []


def test_a_missing_package_is_known_before_anything_opens(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from armside.say import describe

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        run(sim_config(bundle, record_dataset=tmp_path / "set"), ui=(watcher := Watcher()))
    assert watcher.events == [] and "pip install 'armside[data]'" in describe(caught.value, ())[0]
