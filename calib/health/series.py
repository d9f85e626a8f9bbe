"""What the bridge published during a check, as arrays; degrees, and % of its stroke for a gripper.

Takes statuses and gives a Series; `during` cuts out a window of ticks. Pure: knows no bridge that runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import CalibrationError, sentence
from firmware_bridge.messages import Info, Status

Array = npt.NDArray[np.float64]
DEGREES = 180.0 / np.pi
PERCENT = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """T ticks of D joints, in the order of time. What the servos do not report is NaN."""

    joints: tuple[str, ...]
    grippers: tuple[str, ...]
    rate_hz: float
    tick: npt.NDArray[np.int64]  # [T] place on the bridge's time grid; jumps where ticks were late
    t: Array  # [T] s
    commanded: Array  # [T, D] degrees, a gripper %
    measured: Array  # [T, D]
    load: Array  # [T, D] -1..1 of full duty or torque
    current: Array  # [T, D] A
    temperature: Array  # [T, D] degrees Celsius
    voltage: Array  # [T, D] V
    fresh: npt.NDArray[np.bool_]  # [T, D] answered in this tick
    errors: npt.NDArray[np.int64]  # [T, D] as the servo sends them
    late_ticks: npt.NDArray[np.int64]  # [T] missed so far
    alarms: tuple[str, ...]  # [D] "" or the last one seen, in words

    def unit(self, joint: int) -> str:
        """Of `commanded` and `measured` of that joint."""
        return "%" if self.joints[joint] in self.grippers else "deg"

    def during(self, begin: int, end: int) -> slice:
        """The rows of the ticks `begin` <= tick < `end`."""
        first, last = np.searchsorted(self.tick, (begin, end))
        return slice(int(first), int(last))


def shown(joints: Sequence[str], grippers: Sequence[str]) -> Array:
    """[D] what rad, or 0..1 of a gripper, is multiplied with."""
    return np.array([PERCENT if name in grippers else DEGREES for name in joints])


def collect(info: Info, statuses: Sequence[Status]) -> Series:
    """The Series of `statuses`, oldest first. Raises CalibrationError where there is none."""
    if not statuses:
        raise CalibrationError(sentence("a check of the arm", expected="statuses of its bridge", got="none"))
    scale = shown(info.joints, info.grippers)

    def rows(name: str) -> Array:
        return np.array([getattr(status, name) for status in statuses], np.float64)

    alarms = [""] * len(info.joints)
    for status in statuses:
        alarms = [new or old for new, old in zip(status.alarms, alarms, strict=True)]
    return Series(
        joints=info.joints,
        grippers=info.grippers,
        rate_hz=info.rate_hz,
        tick=np.array([status.tick for status in statuses], np.int64),
        t=rows("t"),
        commanded=rows("commanded") * scale,
        measured=rows("measured") * scale,
        load=rows("load"),
        current=rows("current"),
        temperature=rows("temperature"),
        voltage=rows("voltage"),
        fresh=np.array([status.fresh for status in statuses], np.bool_),
        errors=np.array([status.servo_errors for status in statuses], np.int64),
        late_ticks=np.array([status.late_ticks for status in statuses], np.int64),
        alarms=tuple(alarms),
    )
