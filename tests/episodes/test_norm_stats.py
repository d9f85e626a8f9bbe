"""Statistics: order statistics equal numpy's, files are the released format, grippers and joint frames as asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from episodes.lerobot.dataset import Dataset
from episodes.norm_stats import Source, TagWords, tag_entry, whole_file
from episodes.order_statistics import ordered, summarize, valued
from policy_spec.errors import DatasetError, UsageError
from policy_spec.frames import frame
from policy_spec.norm import Limits, read_tags
from tests.episodes.test_lerobot_so101 import NAMES, six_joints

WANTED = (0.01, 0.1, 0.5, 0.9, 0.99)
WORDS = TagWords("single so101", "absolute joint pose", 30, 15, ("observation.images.front",))


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    root = tmp_path_factory.mktemp("stats")
    return six_joints(root / "one"), six_joints(root / "two", frames=7, seed=1)


@pytest.mark.parametrize("rows", [1, 2, 3, 100, 101, 4096])
def test_quantiles_are_numpy_s(rows: int) -> None:
    rng = np.random.default_rng(rows)
    values = rng.standard_normal((rows, 4)).astype(np.float32) * np.float32([1, 1e-6, 1e9, 1])
    values[:, 3] = np.round(values[:, 3])  # many alike, and both zeros
    parts = np.array_split(values, 3)
    got = summarize(lambda: [part for part in parts if len(part)], WANTED)
    for q in WANTED:
        np.testing.assert_array_equal(got.quantiles[q], np.quantile(values.astype(np.float64), q, axis=0))
    np.testing.assert_array_equal((got.low, got.high), (values.min(0), values.max(0)))
    np.testing.assert_allclose(got.mean, values.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(got.std, values.astype(np.float64).std(0), rtol=1e-12)
    assert got.count == rows


def test_keys_sort_as_their_numbers() -> None:
    values = np.float32([-np.finfo(np.float32).max, -1.5, -1e-40, 0.0, 1e-40, 2.0, 3e38])
    keys = ordered(values)
    assert (np.diff(keys.astype(np.int64)) > 0).all() and [valued(int(k)) for k in keys] == values.tolist()


def test_what_has_no_statistics() -> None:
    with pytest.raises(DatasetError, match="at least one frame"):
        summarize(lambda: [], WANTED)
    with pytest.raises(DatasetError, match="finite numbers"):
        summarize(lambda: [np.float32([[np.inf]])], WANTED)
    with pytest.raises(DatasetError, match=r"finite numbers \[n, 1\]"):
        summarize(lambda: [np.zeros((2, 1), np.float32), np.zeros((2, 2), np.float32)], WANTED)


def everything(datasets: tuple[Dataset, ...], which: str) -> np.ndarray:
    return np.concatenate([getattr(d.episode(i), which) for d in datasets for i in range(len(d.lengths))])


def test_of_a_mixture_every_frame_counts_once(datasets: tuple[Dataset, Dataset]) -> None:
    entry = tag_entry([Source(d) for d in datasets], WORDS)
    for key, which in (("state_stats", "states"), ("action_stats", "actions")):
        truth = everything(datasets, which).astype(np.float64)
        stats = entry[key]
        np.testing.assert_array_equal(stats["q01"], np.quantile(truth, 0.01, axis=0))
        np.testing.assert_array_equal(stats["q99"], np.quantile(truth, 0.99, axis=0))
        np.testing.assert_array_equal(stats["min"], truth.min(0))
        assert stats["count"] == [94] and stats["mask"] == [True] * 6 and stats["names"] == list(NAMES)
    one = tag_entry([Source(datasets[0])], WORDS)
    assert one["state_stats"]["q01"] != entry["state_stats"]["q01"]


def test_the_file_is_read_as_the_released_one(datasets: tuple[Dataset, Dataset]) -> None:
    file = json.loads(json.dumps(whole_file({"mine": tag_entry([Source(datasets[0])], WORDS)})))
    mode, tags = read_tags(file, Limits(30, 32, 1))
    tag = tags["mine"]
    assert mode == "q01_q99" and (tag.action_dim, tag.state_dim, tag.horizon, tag.n_action_steps) == (6, 6, 30, 15)
    assert tag.camera_slots == ("front",) and tag.setup_type == "single so101"
    states = datasets[0].episode(0).states
    normal = tag.state.normalize(states)
    assert np.abs(normal).max() <= 1 and (np.abs(normal) == 1).mean() < 0.05
    np.testing.assert_allclose(tag.state.unnormalize(normal)[np.abs(normal) < 1], states[np.abs(normal) < 1], atol=1e-3)


@pytest.mark.parametrize("gripper", ["quantiles", "range", "raw"])
def test_grippers(datasets: tuple[Dataset, Dataset], gripper: str) -> None:
    words = TagWords("s", "c", 30, 30, (), gripper)
    entry = tag_entry([Source(datasets[0])], words)
    stats, truth = entry["action_stats"], everything(datasets[:1], "actions")[:, 5]
    assert entry["normalize_gripper"] is (gripper != "raw") and stats["mask"] == [True] * 5 + [gripper != "raw"]
    whole = stats["q99"][5] == float(truth.max()) and stats["q01"][5] == float(truth.min())
    assert whole is (gripper == "range")


def test_joint_frames(datasets: tuple[Dataset, Dataset]) -> None:
    joints = frame("lerobot-degrees"), frame("so101-molmoact2")
    entry = tag_entry([Source(datasets[0], joints)], WORDS)
    plain = tag_entry([Source(datasets[0])], WORDS)
    lift = 1  # its sign is turned, and 90 degrees are added
    np.testing.assert_allclose(entry["state_stats"]["q01"][lift], 90 - plain["state_stats"]["q99"][lift], atol=1e-4)
    np.testing.assert_allclose(entry["state_stats"]["max"][lift], 90 - plain["state_stats"]["min"][lift], atol=1e-4)


def test_two_conventions_are_never_mixed(datasets: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    with six_joints(tmp_path / "other", joint_frame="so101-molmoact2") as other:
        with pytest.raises(UsageError, match="one for all; got: one lerobot-degrees, other so101-molmoact2"):
            tag_entry([Source(datasets[0]), Source(other)], WORDS)
        joints = frame("lerobot-degrees"), frame("so101-molmoact2")
        assert tag_entry([Source(datasets[0], joints), Source(other)], WORDS)["action_stats"]["count"] == [160]
    with six_joints(tmp_path / "silent", joint_frame="") as silent:
        with pytest.raises(UsageError, match="silent does not say"):
            tag_entry([Source(datasets[0]), Source(silent)], WORDS)
        assert tag_entry([Source(datasets[0]), Source(silent, stated="lerobot-degrees")], WORDS)


def test_what_cannot_be(datasets: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    from episodes.lerobot.dataset import open_dataset
    from tests.episodes import lerobot_layout as layout

    other = open_dataset(layout.write(tmp_path / "cubes", cameras=()))
    with pytest.raises(DatasetError, match=r"cubes is of another robot than one; expected: \(6, 6\)"):
        tag_entry([Source(datasets[0]), Source(other)], WORDS)
    with pytest.raises(UsageError, match="expected: 1 to the horizon, 10; got: 11"):
        TagWords("s", "c", 10, 11, ())
    with pytest.raises(UsageError, match="one of quantiles, range, raw"):
        TagWords("s", "c", 10, 10, (), "other")
