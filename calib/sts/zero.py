"""From a finished sweep to a joint's calibration: where its zero is, its range, and a Homing_Offset that fits both.

Takes unwrapped shaft ticks of one joint (lowest, highest, and where it stood in the pose that was asked for), gives
LeRobot's row and how sure it is. The offset is chosen last, so that the range lies inside 0..4095 and no sweep can
cross the wrap, whatever the servo's offset was before and however its horn is mounted. Pure.

    half-turn    the pose reads 2047, as LeRobot does it; the range as it was swept, zero is its middle
    mechanical   the two stops tell the zero of the arm's model twice; the mean counts, the range is cut even about it
    pose         the pose's known angle tells the zero; the range is cut even about it

A gripper's range is what was swept, its low end is closed. A joint that turns freely has the whole turn, and its zero
in the middle from the pose, in every mode: as LeRobot does it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from calib.sts.circular import nearest
from firmware_bridge.kinematics.so101 import ELBOW_MIDDLE
from firmware_bridge.sts.calibration import MAX_OFFSET, MAX_TICK, JointCalibration
from firmware_bridge.sts.registers import TICKS_PER_TURN
from firmware_bridge.sts.travel import DEGREES_PER_TICK, TRAVEL

MIDDLE = 2047  # ticks, int(4095 / 2): what LeRobot lets the pose read
HALF_TURN = TICKS_PER_TURN // 2
# The pose that is asked for, in degrees of our joints: upper arm upright, forearm level, which is 5 degrees below our
# elbow's zero; gripper level with it, jaws one above the other, closed.
POSE: Mapping[str, float] = {
    "shoulder_pan": 0.0,
    "shoulder_lift": 0.0,
    "elbow_flex": -math.degrees(ELBOW_MIDDLE),
    "wrist_flex": 0.0,
    "wrist_roll": 0.0,
    "gripper": 0.0,
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One joint, in shaft ticks; low and high unwrapped, the pose within any turn."""

    id: int
    low: float
    high: float
    pose: float | None = None


@dataclass(frozen=True, slots=True)
class Zeroed:
    """One joint's calibration, and how it came about."""

    calibration: JointCalibration
    zero: float  # shaft ticks of the joint's zero; of a gripper: of its closed end
    doubt_deg: float = 0.0  # how far what tells the zero is apart: the two stops, or the pose and the sweep's middle
    note: str = ""

    @property
    def horn_deg(self) -> float:
        """How far the zero sits off the middle of the servo: its horn's position, -180..180."""
        return (nearest(self.zero, HALF_TURN) - HALF_TURN) * DEGREES_PER_TICK


def zeroed(mode: str, joint: str, seen: Measured, gripper: bool = False) -> Zeroed:
    """The calibration of one joint by `mode`: a key of MODES."""
    if TRAVEL[joint].free:
        return _free(joint, seen)
    return (_GRIPPER if gripper else MODES)[mode](joint, seen)


def fitting_offset(raw: float, tick: int = MIDDLE) -> int:
    """The Homing_Offset with which the shaft at `raw` reads `tick`; one tick beside it where no offset can do it."""
    offset = round(nearest(raw - tick, 0.0))
    return max(-MAX_OFFSET, min(MAX_OFFSET, offset))  # half a turn is 2048, one more than the register holds


def _row(seen: Measured, offset: int, low: float, high: float) -> JointCalibration:
    """The range low..high (shaft ticks) as the host will read it."""
    shift = nearest(low - offset, (MAX_TICK - (high - low)) / 2) - low
    ends = (round(low + shift), round(high + shift))
    return JointCalibration(seen.id, 0, offset, max(0, ends[0]), min(MAX_TICK, ends[1]))


def _fits(offset: int, low: float, high: float) -> bool:
    start = (low - offset) % TICKS_PER_TURN
    return round(start) >= 0 and round(start + high - low) <= MAX_TICK


def _free(joint: str, seen: Measured) -> Zeroed:
    assert seen.pose is not None
    zero = seen.pose - POSE[joint] / DEGREES_PER_TICK
    return Zeroed(JointCalibration(seen.id, 0, fitting_offset(zero), 0, MAX_TICK), zero)


def _half_turn(joint: str, seen: Measured) -> Zeroed:
    assert seen.pose is not None
    middle = (seen.low + seen.high) / 2
    pose = nearest(seen.pose, middle)
    offset = fitting_offset(pose)
    note = ""
    if not _fits(offset, seen.low, seen.high):
        offset = fitting_offset(middle)
        note = "its sweep would cross the end of the ticks, so that the sweep's middle reads 2047, not the pose"
    return Zeroed(_row(seen, offset, seen.low, seen.high), middle, (pose - middle) * DEGREES_PER_TICK, note)


def _half_turn_gripper(joint: str, seen: Measured) -> Zeroed:
    row = _half_turn(joint, seen)
    return Zeroed(row.calibration, seen.low, 0.0, row.note)


def _mechanical(joint: str, seen: Measured) -> Zeroed:
    travel = TRAVEL[joint]
    by_low = seen.low - travel.lower / DEGREES_PER_TICK
    by_high = seen.high - travel.upper / DEGREES_PER_TICK
    return _even(seen, (by_low + by_high) / 2, (by_high - by_low) * DEGREES_PER_TICK)


def _pose(joint: str, seen: Measured) -> Zeroed:
    assert seen.pose is not None
    travel = TRAVEL[joint]
    zero = nearest(seen.pose - POSE[joint] / DEGREES_PER_TICK, (seen.low + seen.high) / 2)
    by_stops = (seen.low + seen.high) / 2 - (travel.lower + travel.upper) / 2 / DEGREES_PER_TICK
    return _even(seen, zero, (zero - by_stops) * DEGREES_PER_TICK)


def _even(seen: Measured, zero: float, doubt_deg: float) -> Zeroed:
    """A range with its middle, which is zero for everybody who reads it, at `zero`."""
    half = max(1.0, min(zero - seen.low, seen.high - zero, MIDDLE - 1))  # a slipping horn goes on; judge.py says so
    offset = fitting_offset(zero)
    at = nearest(zero - offset, MIDDLE)
    row = JointCalibration(seen.id, 0, offset, math.ceil(at - half), math.floor(at + half))
    return Zeroed(row, zero, doubt_deg)


def _swept_gripper(joint: str, seen: Measured) -> Zeroed:
    offset = fitting_offset((seen.low + seen.high) / 2)
    return Zeroed(_row(seen, offset, seen.low, seen.high), seen.low)


Way = Callable[[str, Measured], Zeroed]
MODES: Mapping[str, Way] = {"mechanical": _mechanical, "half-turn": _half_turn, "pose": _pose}
_GRIPPER: Mapping[str, Way] = {
    "mechanical": _swept_gripper,
    "half-turn": _half_turn_gripper,
    "pose": _swept_gripper,
}
