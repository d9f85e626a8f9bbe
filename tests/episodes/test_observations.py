"""Observations by place: folders, recordings; what is damaged is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from episodes.observations import Observation, ObservationSource, Where, choose, observations, open_observations
from policy_spec.errors import DatasetError, RecordingError, UsageError
from tests.episodes.helpers import JOINTS, write_run

NAMES = ("shoulder", "elbow", "gripper")


def pixels(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def folder(root: Path, kind: str = "json", rows: int = 5) -> Path:
    for camera in ("front", "wrist"):
        (root / camera).mkdir(parents=True)
        for row in range(rows):
            Image.fromarray(pixels(row + (100 if camera == "wrist" else 0))).save(root / camera / f"{row:04d}.png")
    states = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3) / 4
    if kind == "json":
        entries = [
            {"state": states[row].tolist(), "task": f"task {row // 3}", "episode": row // 3} for row in range(rows)
        ]
        data = {"format": "armside-observations", "version": 1, "names": NAMES, "observations": entries}
        (root / "states.json").write_text(json.dumps(data))
    else:
        lines = [f"task {row // 3},{row // 3}," + ",".join(map(str, states[row])) for row in range(rows)]
        (root / "states.csv").write_text("\n".join(["task,episode," + ",".join(NAMES), *lines]) + "\n")
    return root


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_folder(tmp_path: Path, kind: str) -> None:
    source: ObservationSource = open_observations(folder(tmp_path / "kept", kind))
    assert (source.name, source.cameras, source.state_names, source.lengths) == (
        "kept", ("front", "wrist"), NAMES, (3, 2)
    )  # fmt: skip
    got = source.observation(1, 1)
    assert got.where == Where("kept", 1, 1) and got.task == "task 1"
    np.testing.assert_array_equal(got.state, np.array([3.0, 3.25, 3.5], np.float32))
    np.testing.assert_array_equal(got.images["wrist"], pixels(104))
    assert list(got.images) == ["front", "wrist"]


def test_recording(tmp_path: Path) -> None:
    write_run(tmp_path / "run", image_format="png", cameras={"cam0": "test"})
    source = open_observations(tmp_path / "run")
    assert (source.cameras, source.state_names, source.lengths) == (("cam0",), JOINTS, (4,))
    got = source.observation(0, 2)
    np.testing.assert_array_equal(got.state, np.arange(6, dtype=np.float32) + 2)
    assert got.images["cam0"].shape == (48, 64, 3) and got.images["cam0"][0, 0, 1] == 80 and got.task == "pick"


def test_sha_is_of_what_was_seen(tmp_path: Path) -> None:
    source = open_observations(folder(tmp_path / "kept"))
    first, again = source.observation(0, 0), source.observation(0, 0)
    assert first.sha256 == again.sha256
    where = Where("elsewhere", 9, 9)
    assert Observation(first.images, first.state, first.task, where).sha256 == first.sha256
    image = first.images["front"].copy()
    image[0, 0, 0] ^= 1
    others = [
        Observation({**first.images, "front": image}, first.state, first.task, where),
        Observation(dict(reversed(first.images.items())), first.state, first.task, where),
        Observation(first.images, first.state + np.float32(1), first.task, where),
        Observation(first.images, first.state, first.task + " ", where),
    ]
    assert first.sha256 not in {o.sha256 for o in others} and len({o.sha256 for o in others}) == 4


def test_choose_covers_and_repeats(tmp_path: Path) -> None:
    source = open_observations(folder(tmp_path / "kept", rows=40))
    places = choose(source, 10, seed=3)
    line = [int(np.cumsum((0, *source.lengths))[p.episode]) + p.frame for p in places]
    assert [number // 4 for number in line] == list(range(10))
    assert places == choose(source, 10, seed=3) != choose(source, 10, seed=4)
    assert len(set(choose(source, 400))) == 40
    assert [o.where for o in observations(source, places[:2])] == list(places[:2])
    with pytest.raises(UsageError, match="expected: at least 1"):
        choose(source, 0)


def test_damage_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "kept")
    source = open_observations(root)
    with pytest.raises(DatasetError, match=r"kept: frame of episode 1; expected: 0 to 1; got: 2"):
        source.observation(1, 2)
    whole = (root / "front" / "0001.png").read_bytes()
    (root / "front" / "0001.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"0001\.png is damaged"):
        source.observation(0, 1)
    (root / "front" / "0001.png").unlink()
    with pytest.raises(DatasetError, match=r"row 1; expected: .*0001\.png or \.jpg"):
        open_observations(root)
    with pytest.raises(DatasetError, match="holds no observations"):
        open_observations(tmp_path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d["observations"][1].pop("state"), r"states\.json: observation 1; expected: numbers under 'state'"),
        (lambda d: d["observations"][2]["state"].pop(), r"observation 2; expected: 3 numbers; got: 2"),
        (lambda d: d["observations"][0]["state"].__setitem__(0, float("nan")), r"observation 0; expected: finite"),
        (lambda d: d.update(version=2), "expected: format armside-observations, version 1"),
        (lambda d: d.update(observations=[]), "rows; expected: at least one"),
    ],
)
def test_wrong_states(tmp_path: Path, change: object, text: str) -> None:
    root = folder(tmp_path / "kept")
    data = json.loads((root / "states.json").read_text())
    change(data)  # type: ignore[operator]
    (root / "states.json").write_text(json.dumps(data))
    with pytest.raises(RecordingError, match=text):
        open_observations(root)
