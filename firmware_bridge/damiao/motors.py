"""Types of Damiao motors: the full scales that their MIT frames must have. Data only.

Each motor's own PMAX, VMAX and TMAX registers are read at connect and must equal its row: a wrong TMAX
scales every torque. Rows follow i2rt, whose YAM arms these are; `note` says where LeRobot disagrees.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_bridge.damiao.frames import Ranges


@dataclass(frozen=True, slots=True)
class MotorType:
    """One type."""

    name: str
    ranges: Ranges
    gear: float | None = None  # its Gr register, where known
    inertia: float = 0.02  # kg m^2 at the output, of the virtual one
    note: str = ""


_ROWS = (
    MotorType("DM4310", Ranges(12.5, 30.0, 10.0), 10.0, 0.02, "LeRobot agrees; its 48 V type has VMAX 50"),
    MotorType("DM4340", Ranges(12.5, 10.0, 28.0), 40.0, 0.15, "LeRobot: VMAX 8 at 24 V, 10 at 48 V"),
    MotorType("DM3507", Ranges(12.5, 50.0, 5.0), 7.0, 0.005, "LeRobot: VMAX 30, TMAX 10"),
    MotorType("DM6248", Ranges(12.5, 20.0, 120.0), None, 0.3, "not in LeRobot"),
    MotorType("DM8009", Ranges(12.5, 45.0, 54.0), None, 0.2, "LeRobot agrees"),
    MotorType("DMH6215MIT", Ranges(12.5, 45.0, 10.0), None, 0.02, "LeRobot's DMH6215 agrees"),
)
MOTORS = {row.name: row for row in _ROWS}
