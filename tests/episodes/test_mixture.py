"""Streams that shuffle, weigh, shard and resume; samples with their chunks, cameras and joint frames."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from episodes.chunks import chunk_at, pad_dims
from episodes.lerobot.dataset import Dataset, open_dataset
from episodes.mixture import Mixture, Part
from episodes.stream import MixtureStream, shuffled
from policy_spec.errors import DatasetError, UsageError
from policy_spec.frames import frame
from tests.episodes import lerobot_layout as layout
from tests.episodes.lerobot_layout import LENGTHS, TASK_OF, TASKS

SIZES = [[3, 0, 5], [40, 2]]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(layout.write(tmp_path_factory.mktemp("mixed") / "cubes"))


@pytest.mark.parametrize("total", [1, 2, 3, 64, 100, 1000])
def test_a_shuffle_is_one(total: int) -> None:
    places = [shuffled(i, total, key=7) for i in range(total)]
    assert sorted(places) == list(range(total))
    if total > 50:
        assert places != sorted(places) and places != [shuffled(i, total, key=8) for i in range(total)]
        far = np.abs(np.diff(places)).mean() / total
        assert 0.25 < far < 0.42  # a third, where neighbours have nothing to do with each other


def test_every_frame_once_before_any_twice() -> None:
    places = MixtureStream(SIZES, seed=1).take(400)
    for part, sizes in enumerate(SIZES):
        mine = [place for place in places if place[0] == part]
        frames = {(part, e, f) for e, n in enumerate(sizes) for f in range(n)}
        for begin in range(0, len(mine) - len(frames), len(frames)):
            assert set(mine[begin : begin + len(frames)]) == frames
        first, second = mine[: len(frames)], mine[len(frames) : 2 * len(frames)]
        assert first != second and (0, 1, 0) not in mine


def test_weights() -> None:
    counts = Counter(place[0] for place in MixtureStream(SIZES, [1, 3], seed=2).take(4000))
    assert abs(counts[1] / 4000 - 0.75) < 0.02
    counts = Counter(place[0] for place in MixtureStream(SIZES, seed=2).take(4000))
    assert abs(counts[1] / 4000 - 42 / 50) < 0.02
    for weights in ([1.0], [-1.0, 2.0], [0.0, 0.0], [float("nan"), 1.0]):
        with pytest.raises(UsageError, match="weights of a mixture"):
            MixtureStream(SIZES, weights)
    with pytest.raises(UsageError, match="at least one frame in each"):
        MixtureStream([[3], [0]])


@pytest.mark.parametrize("taken", [0, 1, 57, 1023, 1024, 2500])
def test_resumes_where_it_was(taken: int) -> None:
    whole = MixtureStream(SIZES, [1, 3], seed=3).take(taken + 200)
    first = MixtureStream(SIZES, [1, 3], seed=3)
    first.take(taken)
    state = json.loads(json.dumps(first.state()))
    again = MixtureStream(SIZES, [1, 3], seed=3)
    again.restore(state)
    assert again.take(200) == whole[taken:] == first.take(200)
    with pytest.raises(DatasetError, match="are others than when this state was saved"):
        MixtureStream(SIZES, [1, 3], seed=4).restore(state)
    with pytest.raises(DatasetError, match="expected: armside-mixture 1"):
        again.restore({})


def test_shards_share_the_same_draws() -> None:
    whole = MixtureStream(SIZES, seed=5).take(120)
    shards = [MixtureStream(SIZES, seed=5, shard=i, shards=3) for i in range(3)]
    taken = [shard.take(20) for shard in shards]
    assert [place for three in zip(*taken, strict=True) for place in three] == whole[:60]
    assert shards[0].state() == shards[1].state() == shards[2].state()
    two = [MixtureStream(SIZES, seed=5, shard=i, shards=2) for i in range(2)]
    for stream in two:
        stream.restore(shards[0].state())
    rest = [stream.take(30) for stream in two]
    assert [place for pair in zip(*rest, strict=True) for place in pair] == whole[60:]


def test_chunks_at_the_end() -> None:
    actions = np.arange(10, dtype=np.float32).reshape(5, 2)
    chunk, is_pad = chunk_at(actions, 3, 4)
    assert chunk.tolist() == [[6, 7], [8, 9], [8, 9], [8, 9]] and is_pad.tolist() == [False, False, True, True]
    padded, dim_is_pad = pad_dims(chunk, 32)
    assert padded.shape == (4, 32) and not padded[:, 2:].any() and dim_is_pad.tolist() == [False] * 2 + [True] * 30
    for wrong in ((5, 4), (-1, 4), (0, 0)):
        with pytest.raises(DatasetError, match="a chunk; expected: a frame of 0 to 4"):
            chunk_at(actions, *wrong)
    with pytest.raises(DatasetError, match="at most 1"):
        pad_dims(chunk, 1)


def test_samples_are_the_dataset_s(dataset: Dataset) -> None:
    mixture = Mixture([Part(dataset, horizon=4, tag="so101")])
    for place in mixture.stream().take(12):
        _, episode, number = place
        sample = mixture.sample(place)
        truth, is_pad = chunk_at(layout.actions(episode), number, 4)
        np.testing.assert_array_equal(sample.actions, truth)
        np.testing.assert_array_equal(sample.step_is_pad, is_pad)
        np.testing.assert_array_equal(sample.state, layout.states(episode)[number])
        assert sample.task == TASKS[TASK_OF[episode][number]] and sample.tag == "so101"
        assert sample.cameras == ("front", "wrist") and sample.depth is None
        np.testing.assert_array_equal(sample.images[1], layout.picture(episode, number)[:, ::-1])
    with pytest.raises(DatasetError, match="dataset of a mixture"):
        mixture.sample((1, 0, 0))


def test_camera_orders_are_the_episode_s(dataset: Dataset) -> None:
    part = Part(dataset, horizon=4)
    mixture = Mixture([part], camera_order="episode", seed=1)
    orders = [mixture.cameras_of(0, episode) for episode in range(60)]
    assert 15 < sum(order == ("wrist", "front") for order in orders) < 45
    assert orders == [Mixture([part], camera_order="episode", seed=1).cameras_of(0, e) for e in range(60)]
    assert orders != [Mixture([part], camera_order="episode", seed=2).cameras_of(0, e) for e in range(60)]
    turned = orders.index(("wrist", "front")) if ("wrist", "front") in orders[: len(LENGTHS)] else None
    if turned is not None:
        np.testing.assert_array_equal(mixture.sample((0, turned, 1)).images[0], layout.picture(turned, 1)[:, ::-1])


def test_some_cameras_in_an_order(dataset: Dataset) -> None:
    sample = Mixture([Part(dataset, 2, cameras=("wrist", "observation.images.front"))]).sample((0, 0, 0))
    np.testing.assert_array_equal(sample.images[0], layout.picture(0, 0)[:, ::-1])
    with pytest.raises(UsageError, match="cameras of cubes; expected: some of front, wrist; got: top"):
        Part(dataset, 2, cameras=("top",))
    with pytest.raises(UsageError, match="one for every dataset, or none"):
        Mixture([Part(dataset, 2, weight=1.0), Part(dataset, 2)])


def test_joint_frames_are_converted(tmp_path: Path) -> None:
    from tests.episodes.test_lerobot_so101 import six_joints

    with six_joints(tmp_path / "set") as dataset:
        assert dataset.info.joint_frame == "lerobot-degrees"
        joints = frame("lerobot-degrees"), frame("so101-molmoact2")
        sample = Mixture([Part(dataset, 2, joints=joints)]).sample((0, 0, 1))
        state = dataset.episode(0).states[1]
        expected = np.array([1, -1, 1, 1, 1, 1]) * state + np.array([0, 90, 90, 0, 0, 0])
        np.testing.assert_allclose(sample.state, expected, atol=1e-4)
        with pytest.raises(AssertionError):  # one that looks alike and is off by its offsets is told apart
            np.testing.assert_allclose(state, expected, atol=1e-4)
