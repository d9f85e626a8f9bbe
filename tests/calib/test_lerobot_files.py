"""LeRobot's files: byte for byte, in both generations of folders, nameless ones with a word, disagreeing ones named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from calib import lerobot_files
from firmware_bridge.errors import CalibrationError
from firmware_bridge.sts import calibration as calibrations
from tests.calib.arm_files import BLUE, DATA, GREEN, ROBOT, write_file
from tests.conftest import REFERENCE

JOINTS = ROBOT.joints
NEW, OLD, OLD_100 = "robots/so_follower", "robots/so101_follower", "robots/so100_follower"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_LEROBOT_CALIBRATION", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_LEROBOT_HOME", str(tmp_path))
    return tmp_path / "calibration"


@pytest.mark.parametrize("name", ["blue", "green"])
@pytest.mark.parametrize("folder", ["ours", "reference"])
def test_read_and_written_is_the_same_byte_for_byte(name: str, folder: str) -> None:
    path = DATA / f"{name}.json"
    if folder == "reference":
        if not (REFERENCE / "calibration").is_dir():
            pytest.skip("no reference files on this machine: our copies of them are compared")
        path = REFERENCE / "calibration" / f"{name}.json"
    assert lerobot_files.text_of(calibrations.load(path, JOINTS)).encode() == path.read_bytes()


def test_where_lerobot_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_LEROBOT_CALIBRATION", "/a")
    assert lerobot_files.folder() == Path("/a")
    monkeypatch.delenv("HF_LEROBOT_CALIBRATION")
    monkeypatch.setenv("HF_LEROBOT_HOME", "/b")
    assert lerobot_files.folder() == Path("/b/calibration")
    monkeypatch.delenv("HF_LEROBOT_HOME")
    monkeypatch.setenv("HF_HOME", "/c")
    assert lerobot_files.folder() == Path("/c/lerobot/calibration")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/me")
    assert lerobot_files.folder() == Path("/me/.cache/huggingface/lerobot/calibration")


def test_both_generations_are_found_newest_first(cache: Path) -> None:
    for row in (OLD, NEW):
        write_file(cache / row / "blue.json", BLUE)
    write_file(cache / OLD_100 / "blue.json", GREEN)  # another kind of arm
    found = lerobot_files.find("blue", "so101", JOINTS)
    assert [item.path.parent.name for item in found] == ["so_follower", "so101_follower"]
    assert lerobot_files.disagreeing(found, BLUE) == ()


def test_leaders_are_read_only_when_asked_for(cache: Path) -> None:
    write_file(cache / "teleoperators/so_leader" / "blue.json", BLUE)
    assert lerobot_files.find("blue", "so101", JOINTS) == ()
    assert len(lerobot_files.find("blue", "so101", JOINTS, leaders=True)) == 1


def test_those_that_disagree_are_named_with_numbers(cache: Path) -> None:
    write_file(cache / NEW / "blue.json", BLUE)
    write_file(cache / OLD / "blue.json", GREEN)
    (line,) = lerobot_files.disagreeing(lerobot_files.find("blue", "so101", JOINTS), BLUE)
    assert "so101_follower/blue.json: shoulder_pan homing_offset: 1554, there -2047 and " in line
    with pytest.raises(CalibrationError, match="LeRobot's files of blue disagree"):
        lerobot_files.choose("blue", "so101", JOINTS)


def test_a_nameless_file_comes_with_a_word_and_only_without_another(cache: Path) -> None:
    write_file(cache / NEW / "None.json", BLUE)
    chosen = lerobot_files.choose("blue", "so101", JOINTS)
    assert chosen.path.name == "None.json" and "without --robot.id" in chosen.note
    write_file(cache / OLD / "blue.json", GREEN)
    chosen = lerobot_files.choose("blue", "so101", JOINTS)
    assert (chosen.path.name, chosen.note) == ("blue.json", "")


def test_none_and_a_spoilt_one_are_said(cache: Path) -> None:
    with pytest.raises(CalibrationError, match="LeRobot has no calibration of blue"):
        lerobot_files.choose("blue", "so101", JOINTS)
    (cache / NEW).mkdir(parents=True)
    (cache / NEW / "blue.json").write_text("{}")
    with pytest.raises(CalibrationError, match="joints of"):
        lerobot_files.choose("blue", "so101", JOINTS)
    assert "joints of" in lerobot_files.disagreeing(lerobot_files.find("blue", "so101", JOINTS), BLUE)[0]


def test_targets(cache: Path) -> None:
    new, old = cache / NEW / "blue.json", cache / OLD / "blue.json"
    assert lerobot_files.targets("blue", "so101", "auto") == ()  # no LeRobot here
    assert lerobot_files.targets("blue", "so101", "always") == (new,)
    new.parent.mkdir(parents=True)
    assert lerobot_files.targets("blue", "so101", "auto") == ()  # LeRobot, but not of this arm
    write_file(old, BLUE)
    assert lerobot_files.targets("blue", "so101", "auto") == (old,)  # its numbers would be wrong from now on
    assert lerobot_files.targets("blue", "so101", "always") == (new, old)
    write_file(new, BLUE)
    assert lerobot_files.targets("blue", "so101", "auto") == (new, old)
    assert lerobot_files.targets("blue", "so101", "never") == ()


def test_differences_name_every_number() -> None:
    rows = tuple(
        (name, dataclasses.replace(row, homing_offset=5) if name == "elbow_flex" else row) for name, row in BLUE.joints
    )
    other = calibrations.Calibration(rows, "other")
    assert lerobot_files.differences(BLUE, other) == ("elbow_flex homing_offset: 1177, there 5",)
