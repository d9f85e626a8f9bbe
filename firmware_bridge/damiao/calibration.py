"""The calibration file of a YAM arm: where its joints' zeros are and where its gripper's ends are.

The motors keep their own zero, so a joint's offset is usually 0; a gripper's ends are found once, by
calibrating, not at every start. Angles are motor rad as the motor reports them. Knows nothing of buses.

    {"format": "armside-damiao-1", "robot": "yam", "gripper": "linear_4310",
     "joints": {"joint_1": {"zero": 0.0, "serial": null}, ...,
                "gripper": {"closed": 0.12, "open": -6.41, "serial": 1234}}}
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_bridge.config import BridgeConfig
from firmware_bridge.damiao import grippers
from firmware_bridge.damiao.grippers import Gripper
from firmware_bridge.errors import CalibrationError, CalibrationMismatch, ConfigError, sentence
from firmware_bridge.robot import Robot

FORMAT = "armside-damiao-1"
SHIPPED = "shipped"
REDO = "calibrate the arm again, or name another file"
MAX_ANGLE = 12.5  # rad, PMAX of every type
STROKE_RATIO = (0.5, 1.1)  # a found way of the gripper against its type's


@dataclass(frozen=True, slots=True)
class JointCalibration:
    """One joint of the arm. Raises CalibrationError."""

    zero: float = 0.0  # motor rad at joint 0
    serial: int | None = None  # SN register of its motor, where known

    def __post_init__(self) -> None:
        _check_angle("zero", self.zero)
        _check_serial(self.serial)


@dataclass(frozen=True, slots=True)
class GripperCalibration:
    """A gripper's ends. Raises CalibrationError."""

    closed: float  # motor rad
    open: float  # motor rad; smaller than closed in most types, see grippers.py
    serial: int | None = None

    def __post_init__(self) -> None:
        _check_angle("closed", self.closed)
        _check_angle("open", self.open)
        _check_serial(self.serial)


Row = JointCalibration | GripperCalibration


@dataclass(frozen=True, slots=True)
class Calibration:
    """Rows in the robot's joint order, the gripper's type, and where they came from."""

    robot: str
    gripper: Gripper
    joints: tuple[tuple[str, Row], ...]
    source: str

    def __post_init__(self) -> None:
        for name, row in self.joints:
            if isinstance(row, GripperCalibration):
                low, high = (ratio * self.gripper.stroke for ratio in STROKE_RATIO)
                way = (row.open - row.closed) * self.gripper.opens
                if not low <= way <= high:
                    side = "open - closed" if self.gripper.opens > 0 else "closed - open"
                    what = f"way of {name} in {self.source}, {side} of a {self.gripper.name}"
                    raise CalibrationError(sentence(what, expected=f"{low:.2f}..{high:.2f} rad", got=way, do=REDO))

    def __getitem__(self, name: str) -> Row:
        return dict(self.joints)[name]

    @property
    def fingerprint(self) -> str:
        """12 hex digits over all numbers."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(self.to_dict(), indent=4) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """What the file holds."""
        rows = {name: dataclasses.asdict(row) for name, row in self.joints}
        return {"format": FORMAT, "robot": self.robot, "gripper": self.gripper.name, "joints": rows}


def of_config(robot: Robot, config: BridgeConfig) -> Calibration:
    """The configured file, or the virtual arm's own. Raises CalibrationError, ConfigError."""
    if not config.calibration:
        return shipped(robot, config.gripper)
    found = load(config.calibration, robot)
    if config.gripper and config.gripper != found.gripper.name:
        do = "set the gripper that is mounted, or calibrate the arm with it"
        what = f"the gripper of {config.calibration} is another than the configured one"
        raise CalibrationMismatch(sentence(what, expected=config.gripper, got=found.gripper.name, do=do))
    return found


def shipped(robot: Robot, gripper: str = "") -> Calibration:
    """The calibration of the virtual arm. Raises ConfigError for an unknown gripper."""
    kind = grippers.find(gripper)
    rows = tuple(
        (name, GripperCalibration(0.0, kind.opens * kind.stroke) if name in robot.grippers else JointCalibration())
        for name in robot.joints
    )
    return Calibration(robot.name, kind, rows, SHIPPED)


def load(path: str | Path, robot: Robot) -> Calibration:
    """The calibration file `path` of `robot`. Raises CalibrationError."""
    try:
        data = json.loads(Path(path).read_text())
    except FileNotFoundError as error:
        got = f"nothing at {path}"
        raise CalibrationError(sentence("calibration file", expected="a file", got=got, do=REDO)) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        what = f"calibration {path} cannot be read"
        raise CalibrationError(sentence(what, expected=f"JSON of {FORMAT}", got=error, do=REDO)) from error
    return from_dict(data, robot, str(path))


def from_dict(data: object, robot: Robot, source: str) -> Calibration:
    """A calibration from parsed JSON; joints and keys must be exactly the known ones. Raises CalibrationError."""
    keys = ("format", "robot", "gripper", "joints")
    if not isinstance(data, dict) or set(data) != set(keys):
        got = sorted(data) if isinstance(data, dict) else type(data).__name__
        raise CalibrationError(sentence(f"keys of {source}", expected=sorted(keys), got=got, do=REDO))
    for key, wanted in (("format", FORMAT), ("robot", robot.name)):
        if data[key] != wanted:
            raise CalibrationError(sentence(f"{key} of {source}", expected=wanted, got=data[key], do=REDO))
    try:
        gripper = grippers.find(str(data["gripper"]))
    except ConfigError as error:
        raise CalibrationError(f"{source}: {error}") from error
    joints = data["joints"]
    if not isinstance(joints, dict) or set(joints) != set(robot.joints):
        got = sorted(joints) if isinstance(joints, dict) else type(joints).__name__
        raise CalibrationError(sentence(f"joints of {source}", expected=sorted(robot.joints), got=got, do=REDO))
    rows = tuple((name, _row(joints[name], name, robot, source)) for name in robot.joints)
    return Calibration(robot.name, gripper, rows, source)


def _row(data: object, name: str, robot: Robot, source: str) -> Row:
    kind = GripperCalibration if name in robot.grippers else JointCalibration
    keys = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(data, dict) or set(data) != keys:
        got = sorted(data) if isinstance(data, dict) else data
        raise CalibrationError(sentence(f"{name} in {source}", expected=sorted(keys), got=got, do=REDO))
    try:
        row: Row = kind(**data)
    except CalibrationError as error:
        raise CalibrationError(f"{name} in {source}: {error}") from error
    return row


def _check_angle(name: str, value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or abs(value) > MAX_ANGLE:  # type: ignore[arg-type]
        raise CalibrationError(sentence(name, expected=f"rad, within +-{MAX_ANGLE}", got=value, do=REDO))


def _check_serial(value: object) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise CalibrationError(sentence("serial", expected="a whole number, or null", got=value, do=REDO))
