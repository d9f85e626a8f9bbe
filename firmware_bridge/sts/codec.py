"""Ticks <-> units: SI for ourselves, and LeRobot's three modes by name, bit for bit with its truncation.

Ours: a joint in rad = LeRobot degrees * pi / 180, zero in the middle of the calibrated range; a gripper
0 (closed) to 1 (open) = LeRobot's 0..100 / 100. Targets are rounded to the nearest tick; LeRobot's own
codec truncates (`motors_bus.py::_normalize`, `_unnormalize`), which `to_lerobot` / `from_lerobot` keep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.sts.calibration import Calibration, JointCalibration

Array = npt.NDArray[np.float64]
STEPS = 4095  # LeRobot's resolution - 1: its degrees count 4095 ticks to the turn, not 4096
RAD_PER_TICK = 2.0 * np.pi / STEPS


@dataclass(frozen=True, slots=True, eq=False)
class Codec:
    """SI = (ticks - zero) * scale, per joint; grippers are also clamped to 0..1."""

    zero: Array  # [D] ticks
    scale: Array  # [D] rad per tick; gripper 1 per tick, negative with drive_mode
    lowest: Array  # [D] ticks, range_min
    highest: Array  # [D] ticks, range_max
    gripper: npt.NDArray[np.bool_]  # [D]

    @classmethod
    def of(cls, calibration: Calibration, grippers: Sequence[str]) -> Codec:
        rows = [joint for _, joint in calibration.joints]
        low = np.array([row.range_min for row in rows], np.float64)
        high = np.array([row.range_max for row in rows], np.float64)
        gripper = np.array([name in grippers for name, _ in calibration.joints])
        flipped = np.array([row.drive_mode == 1 for row in rows]) & gripper
        zero = np.where(gripper, np.where(flipped, high, low), (low + high) / 2)
        scale = np.where(gripper, np.where(flipped, -1.0, 1.0) / (high - low), RAD_PER_TICK)
        return cls(zero, scale, low, high, gripper)

    def to_si(self, ticks: Array) -> Array:
        """[D] ticks -> [D] rad, gripper 0..1."""
        inside = np.where(self.gripper, np.clip(ticks, self.lowest, self.highest), ticks)
        si: Array = (inside - self.zero) * self.scale
        return si

    def to_ticks(self, si: Array) -> npt.NDArray[np.int64]:
        """[D] rad, gripper 0..1 -> [D] whole ticks, rounded to the nearest."""
        return np.rint(si / self.scale + self.zero).astype(np.int64)

    def bounds(self) -> tuple[Array, Array]:
        """(lower, upper) [D] in SI: the range that the servos themselves keep to."""
        ends = np.stack([self.to_si(self.lowest), self.to_si(self.highest)])
        return ends.min(axis=0), ends.max(axis=0)


def _degrees(ticks: float, joint: JointCalibration) -> float:
    return (ticks - joint.middle) * 360 / STEPS


def _from_degrees(value: float, joint: JointCalibration) -> int:
    return int(value * STEPS / 360 + joint.middle)


def _m100(ticks: float, joint: JointCalibration) -> float:
    low, high = joint.range_min, joint.range_max
    value = (min(high, max(low, ticks)) - low) / (high - low) * 200 - 100
    return -value if joint.drive_mode else value


def _from_m100(value: float, joint: JointCalibration) -> int:
    low, high = joint.range_min, joint.range_max
    inside = min(100.0, max(-100.0, -value if joint.drive_mode else value))
    return int((inside + 100) / 200 * (high - low) + low)


def _0_100(ticks: float, joint: JointCalibration) -> float:
    low, high = joint.range_min, joint.range_max
    value = (min(high, max(low, ticks)) - low) / (high - low) * 100
    return 100 - value if joint.drive_mode else value


def _from_0_100(value: float, joint: JointCalibration) -> int:
    low, high = joint.range_min, joint.range_max
    inside = min(100.0, max(0.0, 100 - value if joint.drive_mode else value))
    return int(inside / 100 * (high - low) + low)


_Forward = Callable[[float, JointCalibration], float]
_Inverse = Callable[[float, JointCalibration], int]
LEROBOT_MODES: dict[str, tuple[_Forward, _Inverse]] = {
    "degrees": (_degrees, _from_degrees),  # not clamped, drive_mode ignored
    "range_m100_100": (_m100, _from_m100),
    "range_0_100": (_0_100, _from_0_100),
}


def to_lerobot(mode: str, ticks: float, joint: JointCalibration) -> float:
    """LeRobot's value of `ticks`, float64. Raises ConfigError for an unknown mode."""
    return _mode(mode)[0](ticks, joint)


def from_lerobot(mode: str, value: float, joint: JointCalibration) -> int:
    """LeRobot's ticks of `value`: truncated toward zero, as LeRobot does."""
    return _mode(mode)[1](value, joint)


def _mode(name: str) -> tuple[_Forward, _Inverse]:
    if name not in LEROBOT_MODES:
        raise ConfigError(sentence("LeRobot unit mode", expected=", ".join(LEROBOT_MODES), got=name))
    return LEROBOT_MODES[name]
