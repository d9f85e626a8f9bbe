"""`armside depth label`: from depth maps of a dataset to a column that training reads; what it refuses."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("torch")

from armside.cli import main
from armside.depth_label import COLUMN, chosen_episodes
from episodes.lerobot.dataset import open_dataset
from episodes.lerobot.plan import DatasetPlan
from episodes.lerobot.writer import Frame, LeRobotWriter
from episodes.mixture import Mixture, Part
from policy_spec.depth_patches import changed_cells, patches_of
from tests.episodes import lerobot_files
from train.depth.files import open_autoencoder
from train.depth.maps import square

NAMES = ("pan", "lift", "gripper")
FRAMES = (6, 5, 4)


def scene(episode: int, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture and depth: a box that moves over a floor; the right half never changes within an episode."""
    rng = np.random.default_rng(episode)
    noise, floor = rng.integers(60, 200, (40, 40, 3), dtype=np.uint8), 0.5 + 0.1 * episode
    depth = np.full((40, 40), floor, np.float32)
    left = 2 + 3 * frame
    noise[8:24, left : left + 8] = (250, 20, 20)
    depth[8:24, left : left + 8] -= 0.3
    return noise, depth


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three short episodes with depth, and without labels."""
    root = tmp_path_factory.mktemp("deep") / "data"
    plan = DatasetPlan(
        10, "so101", NAMES, NAMES, {"front": (40, 40)}, depths={"front_depth": (40, 40)}, pictures="image",
        joint_frame="so101-molmoact2",
    )  # fmt: skip
    with LeRobotWriter.open(root, plan) as writer:
        for number, length in enumerate(FRAMES):
            writer.start()
            for t in range(length):
                picture, depth = scene(number, t)
                writer.add(Frame(np.zeros(3), np.zeros(3), {"front": picture}, "reach", {"front_depth": depth}))
            writer.save()
    return root


@pytest.fixture(scope="module")
def labelled(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("labelled")
    shutil.copytree(made, root / "data")
    assert main(["depth", "label", str(root / "data"), "--steps", "25", "--json", str(root / "r.json")]) == 0
    return root / "data", json.loads((root / "r.json").read_text())


def test_a_dataset_gets_codes_that_training_reads(labelled: tuple[Path, dict]) -> None:
    root, said = labelled
    autoencoder = open_autoencoder(root.with_name("data.depth"))
    with open_dataset(root) as dataset:
        assert dataset.info.features[COLUMN].width == 100 and dataset.info.features[COLUMN].dtype == "uint8"
        kept, cells = 0, 0
        for number, length in enumerate(FRAMES):
            view = dataset.episode(number)
            codes = view.column(COLUMN).astype(np.int64)
            fresh = autoencoder.codes(
                np.stack([square(view.depth("front_depth", t), autoencoder.sizes.side) for t in range(length)])
            )
            assert codes.shape == (length, 100) and np.array_equal(codes[0], fresh[0])
            for t in range(1, length):  # the slow truth of what a policy does when it runs
                new = changed_cells(patches_of(scene(number, t)[0], 10), patches_of(scene(number, t - 1)[0], 10))
                assert np.array_equal(codes[t], np.where(new, fresh[t], codes[t - 1]))
                assert new.any() and not new.all()
                kept, cells = kept + int((~new).sum()), cells + 100
        sample = Mixture([Part(dataset, 4, None, "tag", ("front",))]).sample((0, 1, 2))
        assert sample.depth is not None and np.array_equal(sample.depth, dataset.episode(1).column(COLUMN)[2])
    (column,) = said["columns"]
    assert (column["column"], column["camera"], column["frames"]) == (COLUMN, "front", sum(FRAMES))
    assert column["kept"] == pytest.approx(kept / cells) and column["errors"]["used"] > 1 and column["held_out"]


def test_a_given_autoencoder_labels_alike_and_every_frame_may_have_its_own(
    labelled: tuple[Path, dict], made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, _ = labelled
    other = shutil.copytree(made, tmp_path / "other")
    words = ["depth", "label", str(other), "--camera", "front", "--autoencoder", str(root.with_name("data.depth"))]
    assert main(words) == 0
    assert "off by" in capsys.readouterr().out and not (tmp_path / "other.depth").exists()
    with open_dataset(root) as one, open_dataset(other) as two:
        for number in range(len(FRAMES)):
            assert np.array_equal(one.episode(number).column(COLUMN), two.episode(number).column(COLUMN))
    assert main([*words, "--every-frame"]) == 0
    autoencoder = open_autoencoder(root.with_name("data.depth"))
    with open_dataset(other) as two:
        view = two.episode(0)
        maps = np.stack([square(view.depth("front_depth", t), autoencoder.sizes.side) for t in range(FRAMES[0])])
        assert np.array_equal(view.column(COLUMN), autoencoder.codes(maps))


def test_what_cannot_be_labelled_is_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    for words, why in (
        (["--camera", "wrist"], "--camera expected: front got: wrist"),
        (["--depth", "deep"], "has no depth of camera front expected: deep got: front_depth"),
        (["--autoencoder", str(tmp_path)], "holds no depth autoencoder"),
        (["--steps", "0"], "--steps"),
        (["--monocular", "some-model"], "pip install 'armside[depth]'"),
    ):
        assert main(["depth", "label", str(made), *words]) != 0
        assert why in " ".join(capsys.readouterr().err.split())
    assert main(["depth", "label", str(tmp_path / "nowhere")]) == 2
    assert "a dataset on this machine" in capsys.readouterr().err
    old = lerobot_files.dataset(tmp_path / "old", "v2.1")
    assert main(["depth", "label", str(old)]) == 1 and "v3.0" in capsys.readouterr().err
    with open_dataset(made) as dataset:
        assert COLUMN not in dataset.info.features


def test_which_episodes_are_held_out() -> None:
    assert chosen_episodes(1, True) == chosen_episodes(1, False) == [0]
    assert (chosen_episodes(3, True), chosen_episodes(3, False)) == ([2], [0, 1])
    assert chosen_episodes(25, True) == [9, 19] and len(chosen_episodes(25, False)) == 23


def test_a_monocular_model_says_how_far_and_near_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disparity is turned around, distance is not; the real library is tried by hand (docs/hardware.md)."""
    import torch

    from armside import depth_monocular

    class Model:
        def __init__(self, kind: str) -> None:
            self.config = SimpleNamespace(depth_estimation_type=kind)

        def __call__(self, pixels: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(predicted_depth=pixels)

    def opened(kind: str) -> depth_monocular.Monocular:
        one = object.__new__(depth_monocular.Monocular)
        one._model, one._distance = Model(kind), kind == depth_monocular.METRIC
        one._processor = lambda images, return_tensors: {"pixels": torch.from_numpy(images[None, :, :, 0]).float()}
        return one

    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 0], picture[1, 1] = 10, 5
    assert opened("relative").map(picture).tolist() == [[0.0, 1.0], [1.0, 0.5]]
    assert opened("metric").map(picture).tolist() == [[1.0, 0.0], [0.0, 0.5]]
    assert opened("metric").map(np.zeros((2, 2, 3), np.uint8)).tolist() == [[0.5, 0.5], [0.5, 0.5]]
