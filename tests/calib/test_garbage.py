"""Whatever lies where a file of calib is expected is refused in a sentence of its own, never by a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from armside.json_out import words_aside
from armside.person_args import read_script
from calib.health import history
from calib.provenance import load as read_provenance
from calib.setup.progress import Progress
from calib.sts import journal
from firmware_bridge import robots
from firmware_bridge.damiao import calibration as damiao
from firmware_bridge.errors import BridgeError
from firmware_bridge.sts import calibration as sts
from policy_spec.errors import ArmsideError, UsageError

SO101, YAM = robots.find("so101"), robots.find("yam")
READERS: dict[str, Callable[[Path], object]] = {
    "calibration": lambda path: sts.load(path, SO101.joints),
    "calibration of a YAM": lambda path: damiao.load(path, YAM),
    "journal": journal.read,
    "progress": lambda path: Progress.load(path, "so101"),
    "script": read_script,
    "side file": read_provenance,
    "check": history.load,
}
GARBAGE = {
    "empty": b"",
    "binary": bytes(range(256)),
    "null": b"null",
    "a number": b"7",
    "a list": b"[[1], {}]",
    "an empty object": b"{}",
    "its parts are lists": b'{"format": [], "version": [], "servos": [], "files": [], "joints": [], "answers": []}',
    "deep": b"[" * 200_000,
    "deep inside": b'{"format": ' + b'{"x": ' * 200_000,
}


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("reader", READERS)
def test_garbage_is_named_by_its_path(tmp_path: Path, reader: str, garbage: str) -> None:
    path = tmp_path / "blue.json"
    path.write_bytes(GARBAGE[garbage])
    with pytest.raises((ArmsideError, BridgeError), match=r"blue\.json"):
        READERS[reader](path)


def test_and_what_is_none_is_read(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"
    path.write_text(json.dumps({"answers": {"write": "yes"}}))
    assert read_script(path) == {"write": "yes"}


def test_a_folder_for_the_result_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a file, or - for stdout"), words_aside(tmp_path):
        raise AssertionError("the work began")
    with words_aside(tmp_path / "result.json"):
        pass
