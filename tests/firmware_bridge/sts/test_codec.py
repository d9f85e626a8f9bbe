"""Calibration files and units: LeRobot's numbers to the last bit, ours from them, bad files named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware_bridge import robots
from firmware_bridge.errors import CalibrationError, ConfigError
from firmware_bridge.sts import calibration
from firmware_bridge.sts.codec import LEROBOT_MODES, Codec, from_lerobot, to_lerobot
from firmware_bridge.sts.robots import shipped_calibration

ROBOT = robots.find("so101")
SHIPPED = shipped_calibration(ROBOT)
REFERENCE = Path(__file__).resolve().parents[3].parent / "shared" / "reference" / "calibration"


@pytest.mark.reference
def test_lerobot_codec_equals_the_reference_bit_for_bit() -> None:
    if not REFERENCE.is_dir():
        pytest.skip(f"no reference cases at {REFERENCE}")
    files = {path.name: calibration.load(path, ROBOT.joints) for path in REFERENCE.glob("[!u]*.json")}
    rows = json.loads((REFERENCE / "units.json").read_text())
    assert len(rows) > 100
    for row in rows:
        joint = files[row["file"]][row["joint"]]
        assert to_lerobot(row["mode"], row["ticks"], joint) == row["value"], row
        assert from_lerobot(row["mode"], row["value"], joint) == row["back_to_ticks"], row


def test_lerobot_truncates_and_we_round() -> None:
    joint = SHIPPED["elbow_flex"]
    lost = [
        t
        for t in range(946, 3149)
        if from_lerobot("range_m100_100", to_lerobot("range_m100_100", t, joint), joint) != t
    ]
    assert lost  # the negative control: without the truncation nothing would be lost
    codec = Codec.of(SHIPPED, ROBOT.grippers)
    for ticks in range(2030, 3282):
        wish = np.full(6, ticks, np.float64)
        assert codec.to_ticks(codec.to_si(wish)).tolist() == [ticks] * 6


def test_si_is_lerobot_times_a_constant() -> None:
    codec = Codec.of(SHIPPED, ROBOT.grippers)
    ticks = np.array([900, 1800, 2047, 2048, 4000, 2500], np.float64)
    si = codec.to_si(ticks)
    degrees = [to_lerobot("degrees", t, SHIPPED[name]) for t, name in zip(ticks, ROBOT.joints, strict=True)]
    assert np.abs(si[:5] - np.radians(degrees[:5])).max() < 1e-12
    assert abs(si[5] - to_lerobot("range_0_100", 2500, SHIPPED["gripper"]) / 100) < 1e-12


def test_a_flipped_gripper_opens_the_other_way() -> None:
    rows = [*SHIPPED.joints]
    old = rows[5][1]
    rows[5] = ("gripper", calibration.JointCalibration(old.id, 1, old.homing_offset, old.range_min, old.range_max))
    codec = Codec.of(calibration.Calibration(tuple(rows), "test"), ROBOT.grippers)
    si = codec.to_si(np.full(6, 2030.0))
    assert si[5] == 1.0
    assert codec.to_ticks(np.zeros(6))[5] == 3281
    low, high = codec.bounds()
    assert (low[5], high[5]) == (0.0, 1.0)


def test_unknown_mode_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="range_0_100"):
        to_lerobot("radians", 0, SHIPPED["gripper"])
    assert set(LEROBOT_MODES) == {"degrees", "range_m100_100", "range_0_100"}


def rows_of(path: Path) -> dict[str, dict[str, Any]]:
    data: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return data


BAD: dict[str, Any] = {
    "homing_offset.*-2047..2047.*2048": lambda d: d["elbow_flex"].update(homing_offset=2048),
    "range_min < range_max": lambda d: d["elbow_flex"].update(range_min=3148),
    "range_max.*0..4095": lambda d: d["elbow_flex"].update(range_max=5000),
    "id.*whole number": lambda d: d["elbow_flex"].update(id=1.5),
    "a different id": lambda d: d["elbow_flex"].update(id=1),
    "joints of": lambda d: d.pop("gripper"),
    "elbow_flex in": lambda d: d["elbow_flex"].pop("drive_mode"),
}


@pytest.mark.parametrize("match", BAD)
def test_bad_files_are_named(match: str, calibration_file: Path) -> None:
    calibration.load(calibration_file, ROBOT.joints)  # good before it is broken
    data = rows_of(calibration_file)
    BAD[match](data)
    calibration_file.write_text(json.dumps(data))
    with pytest.raises(CalibrationError, match=match) as caught:
        calibration.load(calibration_file, ROBOT.joints)
    assert "what to do" in str(caught.value)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="nothing at"):
        calibration.load(tmp_path / "none.json", ROBOT.joints)
    (tmp_path / "half.json").write_text('{"shoulder_pan": ')
    with pytest.raises(CalibrationError, match="cannot be read"):
        calibration.load(tmp_path / "half.json", ROBOT.joints)
