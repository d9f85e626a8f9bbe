"""Chunks of actions from LeRobot datasets of both layouts, from recordings and from .npz files; what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from episodes.action_chunks import Actions, open_actions, windows
from episodes.action_stats import action_stats, grippers
from episodes.layout import EndRecord
from episodes.writer import RecordingWriter
from policy_spec.errors import RecordingError, UsageError
from tests.episodes import helpers
from tests.episodes.lerobot_files import LENGTHS, NAMES, dataset, episodes

pytest.importorskip("pyarrow")


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
def test_a_dataset_gives_its_episodes(tmp_path: Path, version: str) -> None:
    actions = open_actions(dataset(tmp_path / "set", version))
    assert (actions.names, actions.fps, actions.chunked, actions.horizon()) == (NAMES, 10.0, False, 10)
    assert [len(s) for s in actions.sequences] == list(LENGTHS)
    for got, expected in zip(actions.sequences, episodes(), strict=True):
        assert got.dtype == np.float32 and np.array_equal(got, expected)


def test_a_dataset_without_names_numbers_them(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", "v3.0", names=None)
    assert open_actions(root).names == ("dim 0", "dim 1", "dim 2")
    root = dataset(tmp_path / "nested", "v2.1", names={"motors": list(NAMES)})
    assert open_actions(root).names == NAMES


def change(root: Path, **facts: Any) -> None:
    file = root / "meta" / "info.json"
    info = json.loads(file.read_text())
    file.write_text(json.dumps({**info, **facts}))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"total_frames": 1000}, "expected: 3 and 1000, as meta/info.json says; got: 3 and 65; what to do: fetch"),
        ({"codebase_version": "v1.6"}, "v3.0, v2.1.*convert"),
        ({"fps": 0}, "fps and chunks_size above 0"),
        ({"features": {"x": {"dtype": "float32", "shape": [3]}}}, "feature 'action'; expected: one of x"),
        ({"features": {"action": {"dtype": "float32", "shape": [4]}}}, "4 numbers in each row; got: "),
    ],
)
def test_a_dataset_that_contradicts_itself(tmp_path: Path, facts: dict[str, Any], words: str) -> None:
    root = dataset(tmp_path / "set", "v3.0")
    change(root, **facts)
    with pytest.raises(RecordingError, match=words):
        open_actions(root)


def test_a_missing_or_damaged_file(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", "v3.0")
    last = sorted((root / "data").rglob("*.parquet"))[-1]
    whole = last.read_bytes()
    last.write_bytes(whole[:100])
    with pytest.raises(RecordingError, match=r"cannot be read.*fetch"):
        open_actions(root)
    last.unlink()
    with pytest.raises(RecordingError, match=r"file-001\.parquet is missing"):
        open_actions(root)


def test_a_gap_in_an_episode(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", "v3.0", skip=(1, 7))
    with pytest.raises(RecordingError, match=r"rows of episode 1; expected: 15, as meta/ says; got: 14"):
        open_actions(root)


def record(folder: Path, count: int, **facts: object) -> np.ndarray:
    folder.parent.mkdir(parents=True, exist_ok=True)
    writer = RecordingWriter(folder, helpers.header(**facts))
    for index in range(count):
        writer.write(helpers.observation(index))
        writer.write(helpers.chunk(index))
    writer.write(replace(helpers.chunk(count), outcome="refused"))
    writer.finish(EndRecord(20.0, "done"))
    return np.stack([helpers.chunk(i).policy_actions for i in range(count)]).astype(np.float32)


def test_recordings_give_the_chunks_that_were_sent(tmp_path: Path) -> None:
    expected = record(tmp_path / "runs" / "a", 2)
    actions = open_actions(tmp_path / "runs" / "a")
    assert actions.names == helpers.JOINTS and actions.chunked and actions.fps == pytest.approx(30)
    np.testing.assert_array_equal(np.stack(actions.sequences), expected)
    record(tmp_path / "runs" / "b", 3)
    both = open_actions(tmp_path / "runs")
    assert len(both.sequences) == 5 and both.source == "2 recordings in runs"
    record(tmp_path / "runs" / "c", 1, dt_s=0.05)
    with pytest.raises(RecordingError, match="is of another policy"):
        open_actions(tmp_path / "runs")


def test_npz_files(tmp_path: Path) -> None:
    chunks = np.random.default_rng(0).standard_normal((4, 6, 2)).astype(np.float32)
    np.savez(tmp_path / "a.npz", some=chunks, count=3)
    actions = open_actions(tmp_path / "a.npz")
    assert actions.names == ("dim 0", "dim 1") and actions.fps is None and actions.horizon() == 6
    np.savez(tmp_path / "b.npz", one=chunks, two=chunks * 2, names=["x", "gripper"], fps=4)
    with pytest.raises(RecordingError, match=r"one of one, two.*--array"):
        open_actions(tmp_path / "b.npz")
    named = open_actions(tmp_path / "b.npz", "two")
    assert named.names == ("x", "gripper") and named.horizon() == 4
    assert np.array_equal(np.stack(named.sequences), chunks * 2)
    with pytest.raises(RecordingError, match=r"--array; expected: an \.npz"):
        open_actions(tmp_path, "two")
    with pytest.raises(RecordingError, match=r"holds no actions that can be read.*LeRobot"):
        open_actions(tmp_path / "nothing")


def made(*lengths: int, chunked: bool = False) -> Actions:
    rows = [np.stack([np.full(n, i), np.arange(n)], 1).astype(np.float32) for i, n in enumerate(lengths)]
    return Actions("test", ("a", "b"), None, tuple(rows), chunked)


def test_windows_stay_within_an_episode() -> None:
    cut = windows(made(5, 2, 4), 3, 100)
    assert (cut.possible, cut.short) == (5, 1)
    assert [(int(w[0, 0]), int(w[0, 1])) for w in cut.values] == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1)]
    for window in cut.values:
        assert len(set(window[:, 0])) == 1 and (np.diff(window[:, 1]) == 1).all()
    few = windows(made(1000), 10, 7)
    assert len(few.values) == 7 and few.values[0, 0, 1] == 0 and few.values[-1, -1, 1] == 999
    chunks = windows(made(6, 6, chunked=True), 4, 100)
    assert chunks.values.shape == (2, 4, 2) and (chunks.values[:, 0, 1] == 0).all()
    with pytest.raises(RecordingError, match="at least one; got: none; the longest sequence has 5 steps"):
        windows(made(5), 6, 1)
    with pytest.raises(RecordingError, match="does not say its rate"):
        made(5).horizon()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_actions_that_are_not_numbers_are_named(value: float) -> None:
    rows = np.zeros((4, 2), np.float32)
    rows[2, 1] = value
    with pytest.raises(RecordingError, match=f"{value} in number 1, step 2, b"):
        Actions("test", ("a", "b"), 10.0, (np.zeros((4, 2)), rows), False)


def test_grippers_are_scaled_apart() -> None:
    frames = np.random.default_rng(0).standard_normal((5000, 2))
    frames[:, 1] = np.where(np.arange(5000) % 1000 == 0, 44.0, 0.0)  # hardly ever open: below the 99th percentile
    apart = grippers(("arm.pos", "Gripper.pos"), None)
    stats = action_stats(frames, ("arm.pos", "Gripper.pos"), apart)
    assert apart == ("Gripper.pos",) and (stats["q01"][1], stats["q99"][1]) == (0.0, 44.0)
    low, high = np.quantile(frames[:, 0], [0.01, 0.99])
    assert (stats["q01"][0], stats["q99"][0]) == (pytest.approx(low), pytest.approx(high))
    assert action_stats(frames, ("arm.pos", "Gripper.pos"), ())["q99"][1] == 0.0  # what the percentile would do
    assert grippers(("a", "b"), ["b"]) == ("b",) and grippers(("a", "b"), None) == ()
    with pytest.raises(UsageError, match="one of a, b; got: c"):
        grippers(("a", "b"), ["c"])
