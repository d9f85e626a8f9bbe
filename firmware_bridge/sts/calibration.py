"""LeRobot's calibration file of one arm: read, checked, frozen.

The file maps joint names to `{"id", "drive_mode", "homing_offset", "range_min", "range_max"}`, in ticks
(LeRobot `motors_bus.MotorCalibration`). Knows nothing of buses; codec.py turns its numbers into units.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_bridge.errors import CalibrationError, sentence

MAX_OFFSET = 2047  # Homing_Offset has 11 bits and a sign
MAX_TICK = 4095
REDO = "calibrate the arm again, or name another file"
# LeRobot: "Magnitude 2048 exceeds 2047"; its half-turn takes the offset from the pose, before the sweep.
HALF_TURN_OFF = (
    "its horn sat half a turn off in the middle pose: calibrate again, the offset is then chosen after the sweep"
)


@dataclass(frozen=True, slots=True)
class JointCalibration:
    """One joint, in ticks. Raises CalibrationError."""

    id: int
    drive_mode: int  # 1: LeRobot negates the -100..100 and 0..100 units; degrees ignore it
    homing_offset: int  # present = actual - homing_offset
    range_min: int
    range_max: int

    def __post_init__(self) -> None:
        _check("id", self.id, 0, 252)
        _check("drive_mode", self.drive_mode, 0, 1)
        _check("homing_offset", self.homing_offset, -MAX_OFFSET, MAX_OFFSET, HALF_TURN_OFF)
        _check("range_min", self.range_min, 0, MAX_TICK)
        _check("range_max", self.range_max, 0, MAX_TICK)
        if self.range_min >= self.range_max:
            raise CalibrationError(
                sentence("range", expected="range_min < range_max", got=(self.range_min, self.range_max), do=REDO)
            )

    @property
    def middle(self) -> float:
        """Zero of LeRobot's degrees and of our radians, ticks."""
        return (self.range_min + self.range_max) / 2


@dataclass(frozen=True, slots=True)
class Calibration:
    """Joint calibrations in the arm's joint order, and where they came from."""

    joints: tuple[tuple[str, JointCalibration], ...]
    source: str

    def __post_init__(self) -> None:
        ids = [joint.id for _, joint in self.joints]
        if len(set(ids)) != len(ids):
            raise CalibrationError(
                sentence(f"calibration {self.source}", expected="a different id for each joint", got=ids, do=REDO)
            )

    def __getitem__(self, name: str) -> JointCalibration:
        return dict(self.joints)[name]

    @property
    def fingerprint(self) -> str:
        """12 hex digits over all numbers."""
        rows = [[name, *dataclasses.astuple(joint)] for name, joint in self.joints]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12]


def load(path: str | Path, joints: Sequence[str]) -> Calibration:
    """The calibration file `path` of an arm with `joints`. Raises CalibrationError."""
    try:
        data = json.loads(Path(path).read_text())
    except FileNotFoundError as error:
        raise CalibrationError(
            sentence("calibration file", expected="a file", got=f"nothing at {path}", do=REDO)
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CalibrationError(
            sentence(f"calibration {path} cannot be read", expected="LeRobot's JSON", got=error, do=REDO)
        ) from error
    return from_dict(data, joints, str(path))


def from_dict(data: Mapping[str, Any], joints: Sequence[str], source: str) -> Calibration:
    """A calibration from parsed JSON; joints and keys must be exactly the known ones."""
    if not isinstance(data, dict) or set(data) != set(joints):
        got = sorted(data) if isinstance(data, dict) else type(data).__name__
        raise CalibrationError(sentence(f"joints of {source}", expected=sorted(joints), got=got, do=REDO))
    keys = {field.name for field in dataclasses.fields(JointCalibration)}
    rows = []
    for name in joints:
        row = data[name]
        if not isinstance(row, dict) or set(row) != keys:
            got = sorted(row) if isinstance(row, dict) else row
            raise CalibrationError(sentence(f"{name} in {source}", expected=sorted(keys), got=got, do=REDO))
        try:
            rows.append((name, JointCalibration(**row)))
        except CalibrationError as error:
            raise CalibrationError(f"{name} in {source}: {error}") from error
    return Calibration(tuple(rows), source)


def _check(name: str, value: object, low: int, high: int, do: str = REDO) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise CalibrationError(sentence(name, expected=f"a whole number {low}..{high}", got=value, do=do))
