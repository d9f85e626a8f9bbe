"""Types of YAM grippers: their motor, gains and how motor angle, opening and force belong together. Pure.

A gripper is 0 (closed) to 1 (open), linear in the motor's angle between the two ends that calibration
found; that is the number which policies were trained on (i2rt's joint mapper). Numbers: i2rt's gripper
files. Knows nothing of buses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from firmware_bridge.errors import ConfigError, sentence

GRIP_N = 50.0  # i2rt's limit of the fingers' force
FRICTION_NM = 0.3  # what its own friction takes of the motor's torque (i2rt adds as much)
USUAL = "linear_4310"


@dataclass(frozen=True, slots=True)
class Gripper:
    """One type. `motor` "" = nothing to drive."""

    name: str
    motor: str = ""
    kp: float = 0.0  # N m/rad
    kd: float = 0.0  # N m s/rad
    stroke_m: float = 0.0  # opening of the fingers, closed to open
    stroke: float = 0.0  # rad of the motor, closed to open
    crank: tuple[float, float, float] | None = None  # rad: crank angle closed, open, and at motor angle 0
    opens: int = -1  # it opens towards smaller (-1) or larger (1) angles of the motor

    def grip_torque(self, motor_angle: float) -> float:
        """N m at the motor that press the fingers with GRIP_N at `motor_angle` rad, friction included."""
        if self.crank is None:
            return GRIP_N * self.stroke_m / self.stroke + FRICTION_NM
        closed, opened, zero = self.crank
        angle = min(opened, max(closed, zero - motor_angle))
        return GRIP_N * self._radius * math.sin(angle) + FRICTION_NM

    def gentle_torque(self, newtons: float) -> float:
        """N m at the motor that nowhere on its way press harder than `newtons`, friction included."""
        if self.crank is None:
            return newtons * self.stroke_m / self.stroke + FRICTION_NM
        closed, opened, _ = self.crank
        return newtons * self._radius * min(math.sin(closed), math.sin(opened)) + FRICTION_NM

    @property
    def steepest(self) -> float:
        """Opening in m per rad of the motor, where it is largest."""
        return self.stroke_m / self.stroke if self.crank is None else 2 * self._radius

    @property
    def _radius(self) -> float:
        """Of a crank, m."""
        assert self.crank is not None
        closed, opened, _ = self.crank
        return self.stroke_m / (2 * (math.cos(closed) - math.cos(opened)))  # one finger's part

    def opening_m(self, part: float) -> float:
        """Distance of the fingers in m at `part` 0..1 of the motor's way."""
        if self.crank is None:
            return self.stroke_m * part
        closed, opened, _ = self.crank
        angle = closed + part * (opened - closed)
        return self.stroke_m * (math.cos(closed) - math.cos(angle)) / (math.cos(closed) - math.cos(opened))


_CRANK = (math.radians(8.0), math.radians(170.0), 0.174)
_ROWS = (
    Gripper("linear_4310", "DM4310", 20.0, 0.5, 0.096, 6.57),
    Gripper("linear_3507", "DM3507", 10.0, 0.3, 0.096, 6.57),
    Gripper("crank_4310", "DM4310", 20.0, 0.5, 0.071, _CRANK[1] - _CRANK[0], _CRANK),
    Gripper("flexible_4310", "DM4310", 20.0, 0.5, 0.096, 6.57, opens=1),  # i2rt's motor_direction -1
    Gripper("yam_teaching_handle"),  # a passive encoder on CAN id 0x50E: a leader, nothing to drive
    Gripper("no_gripper"),
)
GRIPPERS = {row.name: row for row in _ROWS}


def find(name: str) -> Gripper:
    """The driven type `name`, "" = the usual one. Raises ConfigError."""
    gripper = GRIPPERS.get(name or USUAL)
    if gripper is None or not gripper.motor:
        driven = " or ".join(row.name for row in _ROWS if row.motor)
        do = "set the gripper that is mounted; an arm without a driven one is not a row of the table of arms"
        raise ConfigError(sentence("type of the gripper", expected=driven, got=name, do=do))
    return gripper
