"""Datasets of a hub, against a real HTTP server: meta/ at once, other files when they are needed, each failure said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("huggingface_hub")

from episodes.lerobot.dataset import open_dataset
from episodes.observations import open_observations
from policy_spec.errors import DatasetError, HubError
from tests.cli.fake_hub import COMMITS, REPO, FakeHub, serve
from tests.episodes import lerobot_layout as layout
from tests.episodes.lerobot_layout import IMAGE, LENGTHS, VIDEO


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    root = layout.write(tmp_path / "cubes")
    files = {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}
    old = {name: data for name, data in files.items() if not name.startswith("videos/")}
    with serve(FakeHub({COMMITS["main"]: files, COMMITS["v1"]: old})) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)
        yield running


def fetched(hub: FakeHub) -> set[str]:
    """The files of data/ and videos/ that were asked for."""
    names = {path.partition("/resolve/")[2].partition("/")[2] for method, path, _ in hub.requests if method == "GET"}
    return {name for name in names if name.startswith(("data/", "videos/"))}


def test_files_come_when_they_are_needed(hub: FakeHub) -> None:
    with open_dataset(REPO) as dataset:
        assert dataset.name == REPO and dataset.lengths == LENGTHS and fetched(hub) == set()
        np.testing.assert_array_equal(dataset.episode(2).states, layout.states(2))
        assert fetched(hub) == {"data/chunk-000/file-001.parquet"}
        dataset.episode(0).picture("front", 3)
        assert fetched(hub) == {
            "data/chunk-000/file-000.parquet",
            "data/chunk-000/file-001.parquet",
            f"videos/{VIDEO}/chunk-000/file-000.mp4",
        }
        before = len(hub.requests)
        dataset.episode(0).picture(IMAGE, 2)
        assert len(hub.requests) == before
    source = open_observations(REPO)
    assert source.observation(0, 1).where.dataset == REPO


def test_a_revision_is_pinned(hub: FakeHub) -> None:
    dataset = open_dataset(f"{REPO}@v1")
    assert dataset.files.root.name == COMMITS["v1"]
    np.testing.assert_array_equal(dataset.episode(0).actions, layout.actions(0))
    with pytest.raises(HubError, match=r"file-000\.mp4 of the dataset .* could not be fetched"):
        dataset.episode(0).picture("front", 0)


def test_what_is_not_there(hub: FakeHub) -> None:
    with pytest.raises(
        HubError, match="nobody/nothing is no folder here, and the dataset of that name could not be fetched"
    ):
        open_dataset("nobody/nothing")
    with pytest.raises(
        HubError, match=f"{REPO}@v9 is no folder here, and the dataset of that name could not be fetched"
    ):
        open_dataset(f"{REPO}@v9")
    with pytest.raises(DatasetError, match="is no LeRobot dataset"):
        open_dataset("no-such-folder")
