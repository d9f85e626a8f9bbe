"""Can an SO arm have this calibration, and can it stand where it stands? In numbers, with the likely cause.

Takes a Calibration and ticks, gives Problems for people. Expected ways and tolerances: travel.py. Pure: connecting
(arm.py), `armside calibrate` and `armside calibrate --check` ask it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from firmware_bridge.sts.calibration import MAX_TICK, Calibration, JointCalibration
from firmware_bridge.sts.registers import TICKS_PER_TURN
from firmware_bridge.sts.travel import DEGREES_PER_TICK, TRAVEL, Travel

OUTSIDE_DEG = 8.0  # a limp arm hangs a little beyond a range that was swept gently
WHOLE_TURN = 0.9  # of a turn: no hand sweeps that between two stops
OTHERS_DEG = 20.0  # a width so near another joint's way is probably that joint's


@dataclass(frozen=True, slots=True)
class Problem:
    """One joint's numbers that cannot be right."""

    joint: str
    what: str  # "range 0..4095 is 360 degrees wide"
    expected: str  # "170 to 245 degrees"
    cause: str

    def __str__(self) -> str:
        return f"{self.joint}: {self.what}, expected {self.expected}: {self.cause}"


def problems(calibration: Calibration, grippers: Sequence[str] = ("gripper",)) -> tuple[Problem, ...]:
    """What no such arm can have; () when all is well. Joints that turn freely are exempt."""
    found = []
    for name, row in calibration.joints:
        travel = TRAVEL.get(name)
        if travel is None or travel.free:
            continue
        width = (row.range_max - row.range_min) * DEGREES_PER_TICK
        if not travel.narrowest <= width <= travel.widest:
            what = f"range {row.range_min}..{row.range_max} is {width:.0f} degrees wide"
            found.append(Problem(name, what, wanted(travel), width_cause(name, width, row)))
        if name in grippers and row.drive_mode:
            cause = "the gripper the wrong way round: open and closed would be exchanged"
            found.append(Problem(name, "drive_mode 1", "drive_mode 0", cause))
    return tuple(found)


def wanted(travel: Travel) -> str:
    """The widths that are accepted, for people."""
    return f"{travel.narrowest:.0f} to {travel.widest:.0f} degrees"


def width_cause(name: str, width: float, row: JointCalibration | None = None) -> str:
    """The likely cause of a range `width` degrees wide that `name` cannot have."""
    travel = TRAVEL[name]
    wrapped = row is not None and (row.range_min == 0 or row.range_max == MAX_TICK)
    if width >= WHOLE_TURN * 360.0 or (wrapped and width > travel.widest):
        return "swept across the end of the ticks (4095 to 0), or the horn slips on its shaft; calibrate again"
    other = _like(name, width)
    if width > travel.widest:
        if other:
            return f"as wide as {other}: the motors of {name} and {other} may be in each other's place (ids)"
        return "the horn slips on its shaft, a stop is missing, or the motor is in the wrong place"
    short = f"swept too little: from one stop to the other it is {travel.width:.0f} degrees"
    return f"{short}; or its motor is in the place of {other} (ids)" if other else short


def standing(ticks: Mapping[str, int], calibration: Calibration) -> tuple[Problem, ...]:
    """Joints far outside their own range; `ticks`: joint -> Present_Position."""
    found = []
    for name, row in calibration.joints:
        if name not in ticks or TRAVEL.get(name, Travel(0.0, 0.0, free=True)).free:
            continue
        away = outside_deg(ticks[name], row)
        if away > OUTSIDE_DEG:
            what = f"stands at {ticks[name]}, {away:.0f} degrees outside its range"
            expected = f"{row.range_min}..{row.range_max}"
            cause = "the horn was taken off and refitted, or a motor exchanged, after calibrating; calibrate again"
            found.append(Problem(name, what, expected, cause))
    return tuple(found)


def outside_deg(ticks: int, row: JointCalibration) -> float:
    """How far outside its range, the shorter way round; 0 inside."""
    if row.range_min <= ticks <= row.range_max:
        return 0.0
    below, above = (row.range_min - ticks) % TICKS_PER_TURN, (ticks - row.range_max) % TICKS_PER_TURN
    return min(below, above) * DEGREES_PER_TICK


def text(found: Iterable[Problem]) -> str:
    """All of them in one line."""
    return "; ".join(map(str, found))


def _like(name: str, width: float) -> str:
    """The joint that a width is nearest to, where that is another kind of width than `name`'s own."""
    rows = {joint: travel.width for joint, travel in TRAVEL.items() if not travel.free}
    near = min(rows, key=lambda joint: abs(rows[joint] - width))
    differs = abs(rows[near] - rows[name]) > OTHERS_DEG
    return near if near != name and differs and abs(rows[near] - width) <= OTHERS_DEG else ""
