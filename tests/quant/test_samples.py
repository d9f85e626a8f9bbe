"""Calibration samples: the same set each time, hashed; another robot's are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from episodes.lerobot.plan import DatasetPlan
from episodes.lerobot.writer import Frame, LeRobotWriter
from episodes.observations import open_observations
from policy_spec.errors import UsageError
from policy_spec.norm import NormTag
from policy_spec.spec import PolicySpec
from quant.samples import SampleOptions, SampleSet, select
from tests.episodes.helpers import write_run
from tests.quant.seen import JOINTS, folder


@pytest.fixture(scope="module")
def tag(tiny_checkpoint: Path) -> NormTag:
    return PolicySpec.from_checkpoint(tiny_checkpoint).tag()


def chosen(path: Path, tag: NormTag, count: int = 4) -> SampleSet:
    return select(open_observations(path), tag, tag.camera_slots, SampleOptions(count), lambda *_: None)


def test_the_same_set_each_time_and_another_hash_for_another_pixel(tag: NormTag, tmp_path: Path) -> None:
    path = folder(tmp_path / "seen", tag)
    first, again = chosen(path, tag), chosen(path, tag)
    assert first.sha256 == again.sha256 and [s.sha256 for s in first.samples] == [s.sha256 for s in again.samples]
    assert len(first.samples) == 4 and first.notes == () and first.samples[0].why.startswith(("lowest", "highest"))
    assert first.first(2).sha256 != first.sha256
    assert any(s.task == "push it away" for s in first.samples)
    place = first.samples[0].where
    number = place.frame + 6 * place.episode  # six in each episode
    picture = path / tag.camera_slots[0] / f"{number:04d}.png"
    pixels = np.asarray(Image.open(picture)).copy()
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(picture)
    changed = chosen(path, tag)
    same = [s.where for s in changed.samples if s.sha256 in {s.sha256 for s in first.samples}]
    assert changed.sha256 != first.sha256 and place not in same and len(same) == 3


def test_pictures_come_in_the_policys_order(tag: NormTag, tmp_path: Path) -> None:
    path = folder(tmp_path / "seen", tag, cameras=tag.camera_slots[::-1])
    found = chosen(path, tag, 1)
    assert found.cameras == tag.camera_slots
    where = found.samples[0].where
    seen = open_observations(path).observation(where.episode, where.frame)
    for slot, picture in zip(tag.camera_slots, found.samples[0].observation.images, strict=True):
        np.testing.assert_array_equal(picture, seen.images[slot])


def test_another_robot_is_refused(tag: NormTag, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cameras of one; expected: one for each .*cam0, cam1; got: front"):
        chosen(folder(tmp_path / "one", tag, cameras=("front",)), tag)
    with pytest.raises(UsageError, match=r"numbers of a state in two; expected: 6, .*; got: 7"):
        chosen(folder(tmp_path / "two", replace(tag, state_dim=7, state=_wider(tag))), tag)
    with pytest.raises(UsageError, match=r"another joint frame: \w+ is far outside the range of .* in \d+% of frames"):
        chosen(folder(tmp_path / "three", tag, factor=-2.0), tag)
    write_run(tmp_path / "run", image_format="png", cameras={"cam0": "a", "cam1": "b"}, norm_tag="libero")
    with pytest.raises(UsageError, match=r"recording of another robot's policy; expected: norm tag .*; got: libero"):
        chosen(tmp_path / "run", tag)


def test_radians_for_degrees_are_doubted(tag: NormTag, tmp_path: Path) -> None:
    found = chosen(folder(tmp_path / "still", replace(tag, state=_narrow(tag))), tag)
    assert len(found.notes) == 1 and "radians" in found.notes[0]


def test_recorded_actions_come_along(tag: NormTag, tmp_path: Path) -> None:
    plan = DatasetPlan(
        fps=10, robot_type="so101_follower", state_names=JOINTS, action_names=JOINTS,
        cameras=dict.fromkeys(tag.camera_slots, (48, 64)), pictures="image",
    )  # fmt: skip
    middle = np.asarray(tag.state.unnormalize(np.zeros(6, np.float32)), np.float64)
    with LeRobotWriter.open(tmp_path / "data", plan) as writer:
        writer.start()
        for number in range(4):
            state = middle + number
            pictures = {slot: np.full((48, 64, 3), 40 * number, np.uint8) for slot in tag.camera_slots}
            writer.add(Frame(state, state + 0.5, pictures, "lift"))
        writer.save()
    found = chosen(tmp_path / "data", tag)
    assert len(found.samples) == 4
    for sample in found.samples:
        assert sample.chunk is not None and sample.padded is not None and sample.chunk.shape == (tag.horizon, 6)
        np.testing.assert_allclose(sample.chunk[0], sample.observation.state + 0.5, rtol=1e-6)
        assert sample.padded.sum() == tag.horizon - (4 - sample.where.frame)


def _wider(tag: NormTag):  # type: ignore[no-untyped-def]
    s = tag.state
    return replace(s, dim=7, first=(*s.first, 0.0), second=(*s.second, 1.0), mask=None, zero=None)


def _narrow(tag: NormTag):  # type: ignore[no-untyped-def]
    s = tag.state
    middle = np.add(s.first, s.second) / 2
    ends = [tuple(float(v) for v in middle + sign * 0.01) for sign in (-1, 1)]
    return replace(s, first=ends[0], second=ends[1])
