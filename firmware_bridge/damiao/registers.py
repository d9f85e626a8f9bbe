"""A Damiao motor's registers as a table: number, name, kind. Pure data and two small functions.

Sources: LeRobot `motors/damiao/tables.py` and i2rt `motor_config_tool`, which agree on every number. Older
firmware answers 0xFFFFFFFF, a NaN, for registers that were never written: `decode` gives it as it is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

TIMEOUT_UNIT_S = 50e-6  # 8000 = 400 ms; one i2rt page says ms, its tools and LeRobot's say 50 us
MIT_MODE = 1
MODES = {1: "MIT", 2: "position and velocity", 3: "velocity", 4: "torque and position"}
MASTER_OFFSET = 16  # MST_ID of a YAM's motors: own id + 16 (i2rt's p16)


@dataclass(frozen=True, slots=True)
class Register:
    """One register."""

    number: int
    name: str
    kind: str  # struct code: "I" uint32, "f" float32
    writable: bool

    def decode(self, data: bytes) -> float:
        """The value in four bytes; whole numbers as float without loss."""
        return float(struct.unpack(f"<{self.kind}", data)[0])

    def encode(self, value: float) -> bytes:
        """Four bytes. Raises struct.error for a number that does not fit."""
        return struct.pack(f"<{self.kind}", int(value) if self.kind == "I" else value)


_ROWS = (
    (0, "UV_Value", "f", True),  # V, under-voltage
    (2, "OT_Value", "f", True),  # degrees Celsius
    (3, "OC_Value", "f", True),  # part of the full current
    (6, "MAX_SPD", "f", True),
    (7, "MST_ID", "I", True),  # arbitration id of its feedback
    (8, "ESC_ID", "I", True),  # its own id
    (9, "TIMEOUT", "I", True),  # 50 us each; 0 = no watchdog
    (10, "CTRL_MODE", "I", True),
    (13, "hw_ver", "I", False),
    (14, "sw_ver", "I", False),
    (15, "SN", "I", False),
    (20, "Gr", "f", False),  # gear ratio: tells the motor types apart
    (21, "PMAX", "f", True),  # rad
    (22, "VMAX", "f", True),  # rad/s
    (23, "TMAX", "f", True),  # N m
    (29, "OV_Value", "f", True),  # V, over-voltage
    (35, "can_br", "I", True),  # 4 = 1 Mbit/s
)
REGISTERS = {name: Register(number, name, kind, writable) for number, name, kind, writable in _ROWS}
BY_NUMBER = {register.number: register for register in REGISTERS.values()}
NEEDED = ("ESC_ID", "MST_ID", "CTRL_MODE", "TIMEOUT", "PMAX", "VMAX", "TMAX")  # read at connect, refused without
TOLD = ("Gr", "sw_ver", "SN")  # read at connect, used where they answer
