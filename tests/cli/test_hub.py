"""Checkpoints from a hub, against a real HTTP server: pinned, resumed, each failure said."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("huggingface_hub")

from export.hub import resolve_checkpoint
from policy_spec.bundle import open_bundle
from policy_spec.errors import CheckpointError, HubError, UsageError
from policy_spec.manifest import Source
from tests.cli.conftest import Armside
from tests.cli.fake_hub import COMMITS, REPO, FakeHub, serve

WEIGHTS = np.random.default_rng(0).bytes(300_000)
FILES = {
    "config.json": b'{"model_type": "molmoact2"}',
    "model.safetensors": WEIGHTS,
    "modeling_x.py": b"import os\n",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    old = {**FILES, "config.json": b'{"model_type": "old"}'}
    with serve(FakeHub({COMMITS["main"]: FILES, COMMITS["v1"]: old})) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        # The client keeps what came in whole pieces of 10 MB; smaller ones let small files show it.
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
        yield running


def test_a_branch_is_pinned_to_its_commit_and_code_stays_behind(hub: FakeHub, tmp_path: Path) -> None:
    found = resolve_checkpoint(REPO, cache_dir=tmp_path)
    assert (found.source, found.revision) == (REPO, COMMITS["main"])
    assert {f.name: f.read_bytes() for f in found.path.iterdir()} == {
        name: data for name, data in FILES.items() if not name.endswith(".py")
    }
    before = len(hub.gets("model.safetensors"))
    assert resolve_checkpoint(REPO, cache_dir=tmp_path).path == found.path
    assert len(hub.gets("model.safetensors")) == before == 1  # a second time nothing is fetched


@pytest.mark.parametrize("revision", ["v1", COMMITS["v1"]])
def test_a_revision_is_respected(hub: FakeHub, tmp_path: Path, revision: str) -> None:
    found = resolve_checkpoint(REPO, revision=revision, cache_dir=tmp_path)
    assert found.revision == COMMITS["v1"]
    assert (found.path / "config.json").read_bytes() == b'{"model_type": "old"}'


def test_a_cut_connection_is_resumed_where_it_broke(hub: FakeHub, tmp_path: Path) -> None:
    hub.drop_file, hub.drop_after, hub.drops = "model.safetensors", 100_000, 1
    found = resolve_checkpoint(REPO, cache_dir=tmp_path)
    assert (found.path / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.gets("model.safetensors") == [None, "bytes=100000-"]


def test_a_download_that_gave_up_goes_on_the_next_time(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.drop_file, hub.drop_after, hub.drops = "model.safetensors", 0, 50
    with pytest.raises(HubError, match=f"the download of {REPO} failed; .*run it again"):
        resolve_checkpoint(REPO, cache_dir=tmp_path)
    hub.drop_after, hub.drops = 120_000, 1
    found = resolve_checkpoint(REPO, cache_dir=tmp_path)
    assert (found.path / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.gets("model.safetensors")[-1] == "bytes=120000-"


def test_export_by_id_pins_the_commit_in_the_manifest(armside: Armside, checkpoint: Path, tmp_path: Path) -> None:
    files = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    with serve(FakeHub({COMMITS["main"]: files})) as running:
        env = {**os.environ, "HF_ENDPOINT": running.endpoint, "HF_HOME": str(tmp_path / "home")}
        done = armside("export", REPO, tmp_path / "bundle", "--precision", "fp32", env=env)
    assert done.returncode == 0, done.stderr
    assert f"{REPO} at {COMMITS['main']}" in done.stdout
    assert open_bundle(tmp_path / "bundle").manifest.source == Source(REPO, COMMITS["main"])


def test_what_is_not_there_is_named(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(HubError, match=rf"{REPO} has no revision v9; expected: a branch, tag or commit"):
        resolve_checkpoint(REPO, revision="v9", cache_dir=tmp_path)
    with pytest.raises(HubError, match=r"nobody/nothing is not on the hub; .* check the spelling"):
        resolve_checkpoint("nobody/nothing", cache_dir=tmp_path)
    hub.gated = True
    with pytest.raises(HubError, match=rf"{REPO} is gated; .*accept them at {hub.endpoint}/{REPO}"):
        resolve_checkpoint(REPO, cache_dir=tmp_path)


def test_a_repository_without_a_checkpoint(hub: FakeHub, tmp_path: Path) -> None:
    hub.files[COMMITS["main"]] = {"notes.txt": b"nothing here"}
    with pytest.raises(HubError, match=r"is not a checkpoint; expected: config\.json"):
        resolve_checkpoint(REPO, cache_dir=tmp_path)


def test_offline_is_said_and_a_whole_cache_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(FakeHub({COMMITS["main"]: FILES})) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        online = resolve_checkpoint(REPO, cache_dir=tmp_path / "full")
    with pytest.raises(HubError, match=r"the hub cannot be reached, .*not whole in the cache; expected: an answer"):
        resolve_checkpoint(REPO, cache_dir=tmp_path / "empty")
    assert resolve_checkpoint(REPO, cache_dir=tmp_path / "full") == online
    (online.path / "model.safetensors").unlink()
    with pytest.raises(HubError, match="not whole in the cache"):
        resolve_checkpoint(REPO, cache_dir=tmp_path / "full")


def test_a_full_disk(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(HubError, match=r"the disk filled up .*HF_HOME"):
        resolve_checkpoint(REPO, cache_dir=tmp_path)


def test_directories_and_things_that_are_neither(tmp_path: Path) -> None:
    found = resolve_checkpoint(str(tmp_path))
    assert (found.path, found.source, found.revision) == (tmp_path, str(tmp_path), None)
    with pytest.raises(UsageError, match="leave it out"):
        resolve_checkpoint(str(tmp_path), revision="main")
    for wrong in (str(tmp_path / "gone"), "./a/b", "a/b/c", "just-a-name"):
        with pytest.raises(CheckpointError, match=r"no checkpoint there; expected: a directory, or a Hugging Face id"):
            resolve_checkpoint(wrong)
