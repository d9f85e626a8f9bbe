"""Exports that are cut short: a kill, a Ctrl-C, a full disk. No half bundle, nothing of the old one lost, and the same
command goes on where it stopped.
"""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from policy_spec.bundle import open_bundle
from tests.cli.conftest import Armside, armside_program

LIMIT = 1_500_000  # bytes of a file: less than the mask of the language model's graph
PRECISION = ("--precision", "int8")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stop_at(command: list[str], work: Path, files: int, how: signal.Signals) -> int:
    """Runs a command until `files` files of weights are finished, then signals it. Its exit code."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while process.poll() is None and len(list(work.glob("weights/*.data"))) < files:
        assert time.monotonic() < deadline, "the export wrote nothing"
        time.sleep(0.002)
    process.send_signal(how)
    return process.wait(120)


@pytest.mark.parametrize(("how", "files"), [(signal.SIGKILL, 3), (signal.SIGINT, 12)])
def test_a_stopped_export_goes_on_to_the_same_bundle(
    armside: Armside, checkpoint: Path, bundle: Path, tmp_path: Path, how: signal.Signals, files: int
) -> None:
    target, work = tmp_path / "b", tmp_path / "b.partial"
    command = [*armside_program(), "export", str(checkpoint), str(target), *PRECISION]
    assert stop_at(command, work, files, how) in (-how, 130)
    assert names(tmp_path) == {"b.partial"}  # no half bundle
    other = armside("export", checkpoint, target, "--precision", "fp32")
    assert other.returncode != 0 and "asked for something else" in other.stderr and "--fresh" in other.stderr
    again = armside("export", checkpoint, target, *PRECISION)
    assert again.returncode == 0, again.stderr
    assert "gone on with an interrupted export" in again.stdout
    assert names(tmp_path) == {"b"}  # and no work folder
    assert contents(target) == contents(bundle)  # byte for byte what nobody interrupted


def test_a_stopped_export_keeps_the_bundle_that_it_was_to_replace(
    armside: Armside, checkpoint: Path, plain_bundle: Path, bundle: Path, tmp_path: Path
) -> None:
    target, work = tmp_path / "old.bundle", tmp_path / "old.bundle.partial"
    shutil.copytree(plain_bundle, target)
    before = contents(target)
    command = [*armside_program(), "export", str(checkpoint), str(target), *PRECISION, "--overwrite"]
    stop_at(command, work, 5, signal.SIGKILL)
    assert contents(target) == before and open_bundle(target, verify=True).manifest.precision == "fp32"
    again = armside("export", checkpoint, target, *PRECISION, "--overwrite", "--fresh")
    assert again.returncode == 0 and "gone on with" not in again.stdout
    assert names(tmp_path) == {"old.bundle"} and contents(target) == contents(bundle)


def test_a_full_disk_leaves_no_half_bundle_and_what_was_finished(
    armside: Armside, checkpoint: Path, bundle: Path, tmp_path: Path
) -> None:
    def small_disk() -> None:  # a file that may not grow fails as on a full disk does
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))

    done = armside("export", checkpoint, tmp_path / "b", *PRECISION, preexec_fn=small_disk)
    assert done.returncode == 1, done.stderr
    assert "the disk is full" in done.stderr and "what to do:" in done.stderr and "Traceback" not in done.stderr
    assert "is kept in" in done.stderr and names(tmp_path) == {"b.partial"}
    again = armside("export", checkpoint, tmp_path / "b", *PRECISION)  # the control, and it goes on
    assert again.returncode == 0 and "gone on with an interrupted export" in again.stdout
    assert contents(tmp_path / "b") == contents(bundle)


def test_a_disk_with_too_little_room_is_refused_before_anything_is_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from armside import stream_bundle
    from armside.make_bundle import ExportOptions, export_bundle
    from policy_spec.errors import BundleError

    monkeypatch.setattr(stream_bundle, "SPARE_BYTES", 1 << 62)
    stages: list[str] = []
    with pytest.raises(BundleError, match=r"not enough room .* GB free.*what to do:"):
        export_bundle(ExportOptions(str(checkpoint), tmp_path / "b"), lambda stage, *_: stages.append(stage))
    assert "write weights" not in stages and names(tmp_path) == set()


def test_two_exports_of_one_bundle_do_not_meet(checkpoint: Path, tmp_path: Path) -> None:
    from armside.make_bundle import ExportOptions, export_bundle
    from policy_spec.bundle import BundleWriter
    from policy_spec.errors import BundleError

    with BundleWriter(tmp_path / "b", resume=True), pytest.raises(BundleError, match="by another export"):
        export_bundle(ExportOptions(str(checkpoint), tmp_path / "b"), lambda *_: None)
