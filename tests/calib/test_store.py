"""Files that change together: staged, put, undone, repeated after a crash at every step, refused in time."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from calib import store
from firmware_bridge.errors import CalibrationError
from tests.calib.arm_files import files_in

ROOT = os.geteuid() == 0


def test_put_keeps_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a" / "arm.json"
    store.put(store.stage(target, b"one"))
    store.put(store.stage(target, b"two"))
    assert files_in(tmp_path) == {"a/arm.json": b"two", "a/arm.json.bak": b"one"}


def test_staging_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "arm.json"
    target.write_bytes(b"one")
    staged = store.stage(target, b"two")
    assert (target.read_bytes(), staged.now()) == (b"one", store.OLD)
    store.discard(staged)
    assert files_in(tmp_path) == {"arm.json": b"one"}


@pytest.mark.parametrize("before", [None, b"one", b"two"])
def test_undo_after_put_and_before_it(tmp_path: Path, before: bytes | None) -> None:
    target = tmp_path / "arm.json"
    if before is not None:
        target.write_bytes(before)
    was = files_in(tmp_path)
    for put_first in (False, True):
        staged = store.stage(target, b"two")
        if put_first:
            store.put(staged)
        assert store.undo(staged) == ""
        assert store.undo(staged) == ""  # repeatable
        assert files_in(tmp_path) == was


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "arm.json").write_bytes(b"one")
    (tmp_path / "arm.json").symlink_to(tmp_path / "real" / "arm.json")
    store.put(store.stage(tmp_path / "arm.json", b"two"))
    assert (tmp_path / "arm.json").is_symlink()
    assert files_in(tmp_path / "real") == {"arm.json": b"two", "arm.json.bak": b"one"}


class Power(Exception):
    """The plug was pulled."""


@pytest.mark.parametrize("before", [None, b"one"])
@pytest.mark.parametrize("finish", [True, False])
def test_power_lost_at_every_step_of_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None, finish: bool
) -> None:
    steps = [0]

    def counted(real: object) -> object:
        def do(*words: object, **named: object) -> object:
            steps[0] -= 1
            if steps[0] == 0:
                raise Power
            return real(*words, **named)  # type: ignore[operator]

        return do

    real_replace, real_unlink = os.replace, Path.unlink
    for lost_at in range(1, 8):
        folder = tmp_path / str(lost_at)
        target = folder / "arm.json"
        folder.mkdir()
        if before is not None:
            target.write_bytes(before)
        staged = store.stage(target, b"two")
        steps[0] = lost_at
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", counted(real_replace))
            patch.setattr(Path, "unlink", counted(real_unlink))
            with contextlib.suppress(Power):
                store.put(staged)
        again = store.Staged(staged.target, staged.old, staged.new)  # as a journal would know it
        if finish:
            assert store.can_finish(again)
            store.put(again)
            assert target.read_bytes() == b"two"
        else:
            assert store.undo(again) == ""
            assert (target.read_bytes() if target.exists() else None) == before
        assert not list(folder.glob(".*"))


def test_a_file_that_somebody_else_changed_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "arm.json"
    target.write_bytes(b"one")
    staged = store.stage(target, b"two")
    target.write_bytes(b"three")
    assert not store.can_finish(staged)
    assert "changed by somebody else" in store.undo(staged)
    assert target.read_bytes() == b"three"


def test_a_backup_that_is_not_what_was_there_is_said(tmp_path: Path) -> None:
    target = tmp_path / "arm.json"
    target.write_bytes(b"one")
    staged = store.stage(target, b"two")
    store.put(staged)
    staged.kept.write_bytes(b"other")
    assert "is not what was there before" in store.undo(staged)


@pytest.mark.skipif(ROOT, reason="root writes into read-only folders")
def test_a_read_only_folder_is_found_before_anything_changes(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(CalibrationError, match="nothing was changed"):
            store.stage(tmp_path / "arm.json", b"two")
    finally:
        tmp_path.chmod(0o755)


def test_a_folder_that_cannot_be_one_is_found_before_anything_changes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CalibrationError, match=r"cannot be written; got: .*nothing was changed"):
        store.stage(tmp_path / "file" / "arm.json", b"two")
    assert files_in(tmp_path) == {"file": b""}


def test_a_file_of_a_journal_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    store.write_whole(tmp_path / "one", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            store.write_whole(tmp_path / "one", b"new")
    assert files_in(tmp_path) == {"one": b"old"}
