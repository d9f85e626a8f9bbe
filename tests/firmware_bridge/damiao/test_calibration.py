"""The arm's file: read back as written, and every way of being wrong named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.client import BridgeConfig
from firmware_bridge.damiao import calibration as calibrations
from firmware_bridge.errors import CalibrationError, CalibrationMismatch, ConfigError
from firmware_bridge.robots import find

YAM = find("yam")


def good() -> dict[str, Any]:
    return calibrations.shipped(YAM).to_dict()


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    data = good()
    data["joints"]["joint_2"] = {"zero": -0.31, "serial": 77}
    path = tmp_path / "yam.json"
    path.write_text(json.dumps(data))
    read = calibrations.load(path, YAM)
    assert read.to_dict() == data and read.source == str(path)
    assert read["joint_2"].serial == 77
    assert read.fingerprint != calibrations.shipped(YAM).fingerprint


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"nothing at .*gone\.json"):
        calibrations.load(tmp_path / "gone.json", YAM)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(CalibrationError, match="cannot be read"):
        calibrations.load(tmp_path / "broken.json", YAM)


def _joint(name: str, row: object) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["joints"].__setitem__(name, row)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: data.update(format="armside-damiao-9"), "format of it; expected: armside-damiao-1"),
        (lambda data: data.update(robot="bi-yam"), "robot of it; expected: yam"),
        (lambda data: data.update(gripper="no_gripper"), "linear_4310 or"),
        (lambda data: data.update(extra=1), "keys of it"),
        (lambda data: data["joints"].pop("joint_3"), "joints of it"),
        (_joint("joint_1", {"zero": "0", "serial": None}), "joint_1 in it: zero; expected: rad"),
        (_joint("joint_1", {"zero": 13.0, "serial": None}), "joint_1 in it: zero"),
        (_joint("joint_1", {"zero": float("nan"), "serial": None}), "joint_1 in it: zero"),
        (_joint("joint_1", {"zero": 0.0, "serial": -4}), "serial; expected: a whole number"),
        (_joint("joint_1", {"zero": 0.0}), "joint_1 in it; expected:"),
        (_joint("gripper", {"closed": 0.0, "open": 6.57, "serial": None}), r"way of gripper.*3\.2\d\.\.7\.2\d rad"),
        (_joint("gripper", {"closed": 0.0, "open": -1.0, "serial": None}), "got: 1.0"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[dict[str, Any]], None], text: str) -> None:
    data = good()
    calibrations.from_dict(data, YAM, "it")  # negative control: good before the change
    change(data)
    with pytest.raises(CalibrationError, match=text):
        calibrations.from_dict(data, YAM, "it")


def test_the_configured_gripper_must_be_the_calibrated_one(tmp_path: Path) -> None:
    path = tmp_path / "yam.json"
    path.write_text(json.dumps(good()))
    config = BridgeConfig(robot="yam", port="can0", calibration=str(path), gripper="crank_4310")
    with pytest.raises(CalibrationMismatch, match=r"expected: crank_4310; got: linear_4310"):
        calibrations.of_config(YAM, config)
    same = BridgeConfig(robot="yam", port="can0", calibration=str(path), gripper="linear_4310")
    assert calibrations.of_config(YAM, same).gripper.name == "linear_4310"
    sim = BridgeConfig(robot="yam", port="sim", gripper="crank_4310")
    assert calibrations.of_config(YAM, sim).gripper.name == "crank_4310"
    with pytest.raises(ConfigError):
        calibrations.of_config(YAM, BridgeConfig(robot="yam", port="sim", gripper="pliers"))
