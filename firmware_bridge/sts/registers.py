"""The STS3215's memory as a table, and the numbers in it: little-endian, some with a sign bit.

Addresses, lengths, sign bits and defaults: LeRobot `motors/feetech/tables.py` and the vendor's memory
table; where they differ the row says so. Knows nothing of buses, joints or calibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from firmware_bridge.errors import ServoWrong, sentence

TICKS_PER_TURN = 4096
EEPROM_SIZE = 40
MODEL_STS3215 = 777
TORQUE_RECENTRE = 128  # written to Torque_Enable it redefines the present position as 2048: forbidden
MULTI_TURN_BIT = 0x10  # of Phase: the angle counts on beyond a turn
CURRENT_UNIT_A = 0.0065
VOLTAGE_UNIT_V = 0.1
LOAD_UNIT = 0.001  # of the full duty

OVERLOAD = 32
# Bits of the error byte in each status, and of Status (65), Unloading_Condition (19) and LED_Alarm (20).
ERROR_BITS = {
    1: "voltage outside its limits",
    2: "angle sensor",
    4: "over-temperature",
    8: "over-current",
    32: "overload",
}

FATAL_ERRORS = 2 | 4 | 8 | OVERLOAD  # sensor, temperature, current, overload: that servo no longer follows

Access = Literal["r", "rw"]
Area = Literal["eeprom", "sram"]


@dataclass(frozen=True, slots=True)
class Register:
    """One row: where a value lives and how its bytes read."""

    name: str
    address: int
    length: int  # bytes
    default: int
    unit: str
    access: Access = "rw"
    sign_bit: int | None = None  # sign-magnitude: this bit set means negative

    @property
    def area(self) -> Area:
        return "eeprom" if self.address < EEPROM_SIZE else "sram"

    def encode(self, value: int) -> bytes:
        """`value` as this register's bytes. Raises ServoWrong when it does not fit."""
        bits = self.sign_bit if self.sign_bit is not None else 8 * self.length
        lowest = 1 - (1 << bits) if self.sign_bit is not None else 0
        if not lowest <= value < 1 << bits:
            wanted = f"{lowest}..{(1 << bits) - 1}"
            raise ServoWrong(sentence(f"a value for register {self.name}", expected=wanted, got=value))
        raw = value if value >= 0 else -value | 1 << bits
        return raw.to_bytes(self.length, "little")

    def decode(self, data: bytes) -> int:
        """The value in this register's bytes."""
        raw = int.from_bytes(data[: self.length], "little")
        if self.sign_bit is None:
            return raw
        magnitude = raw & ((1 << self.sign_bit) - 1)
        return -magnitude if raw >> self.sign_bit & 1 else magnitude


_ROWS = (
    Register("Firmware_Major_Version", 0, 1, 3, "", "r"),
    Register("Firmware_Minor_Version", 1, 1, 6, "", "r"),
    Register("Model_Number", 3, 2, MODEL_STS3215, "", "r"),
    Register("ID", 5, 1, 1, ""),
    Register("Baud_Rate", 6, 1, 0, "code; never write 5..7, tables disagree about them"),
    Register("Return_Delay_Time", 7, 1, 0, "2 us"),
    Register("Response_Status_Level", 8, 1, 1, "0 = only READ and PING are answered"),
    Register("Min_Position_Limit", 9, 2, 0, "ticks"),
    Register("Max_Position_Limit", 11, 2, 4095, "ticks"),
    Register("Max_Temperature_Limit", 13, 1, 70, "degrees Celsius"),
    Register("Max_Voltage_Limit", 14, 1, 80, "0.1 V"),
    Register("Min_Voltage_Limit", 15, 1, 40, "0.1 V"),
    Register("Max_Torque_Limit", 16, 2, 1000, "0.1 %; copied to Torque_Limit at power-on"),
    Register("Phase", 18, 1, 12, "bits; 4 = multi-turn angle feedback"),
    Register("Unloading_Condition", 19, 1, 44, "error bits that drop the torque"),
    Register("LED_Alarm_Condition", 20, 1, 47, "error bits"),
    Register("P_Coefficient", 21, 1, 32, ""),
    Register("D_Coefficient", 22, 1, 32, ""),
    Register("I_Coefficient", 23, 1, 0, ""),
    Register("Minimum_Startup_Force", 24, 2, 16, "0.1 %; vendor: one byte, 25 is the integral limit"),
    Register("CW_Dead_Zone", 26, 1, 1, "ticks"),
    Register("CCW_Dead_Zone", 27, 1, 1, "ticks"),
    Register("Protection_Current", 28, 2, 500, "6.5 mA"),
    Register("Angular_Resolution", 30, 1, 1, ""),
    Register("Homing_Offset", 31, 2, 0, "ticks; present = actual - offset", sign_bit=11),
    Register("Operating_Mode", 33, 1, 0, "0 position, 1 velocity, 2 PWM, 3 step"),
    Register("Protective_Torque", 34, 1, 20, "% held after an overload"),
    Register("Protection_Time", 35, 1, 200, "10 ms"),
    Register("Overload_Torque", 36, 1, 80, "%"),
    Register("Velocity_P", 37, 1, 10, ""),
    Register("Over_Current_Protection_Time", 38, 1, 200, "10 ms"),
    Register("Velocity_I", 39, 1, 10, ""),
    Register("Torque_Enable", 40, 1, 0, "0 off, 1 on, 2 damping; 128 is forbidden"),
    Register("Acceleration", 41, 1, 0, "100 ticks/s^2; 0 = as fast as it can"),
    Register("Goal_Position", 42, 2, 0, "ticks", sign_bit=15),
    Register("Goal_Time", 44, 2, 0, "PWM in mode 2"),
    Register("Goal_Velocity", 46, 2, 0, "ticks/s; 0 = as fast as it can", sign_bit=15),
    Register("Torque_Limit", 48, 2, 1000, "0.1 %"),
    Register("Lock", 55, 1, 1, "0 = EEPROM writes persist"),
    Register("Present_Position", 56, 2, 0, "ticks", "r", 15),
    Register("Present_Velocity", 58, 2, 0, "ticks/s", "r", 15),
    Register("Present_Load", 60, 2, 0, "0.1 % duty", "r", 10),
    Register("Present_Voltage", 62, 1, 0, "0.1 V", "r"),
    Register("Present_Temperature", 63, 1, 0, "degrees Celsius", "r"),
    Register("Async_Write_Flag", 64, 1, 0, "", "r"),
    Register("Status", 65, 1, 0, "error bits", "r"),
    Register("Moving", 66, 1, 0, "", "r"),
    Register("Target_Position", 67, 2, 0, "ticks, vendor's tables", "r"),
    Register("Present_Current", 69, 2, 0, "6.5 mA; sign as in the vendor's C++ SDK", "r", 15),
    Register("Goal_Position_2", 71, 2, 0, "ticks", "r"),
    Register("Maximum_Velocity_Limit", 84, 1, 0, "50 ticks/s; 0 = none"),
    Register("Maximum_Acceleration", 85, 1, 0, "100 ticks/s^2"),
)
REGISTERS = {row.name: row for row in _ROWS}

# One request per tick: what the host has written (40..55) and everything that is measured (56..70).
TELEMETRY_ADDRESS = 40
TELEMETRY_LENGTH = 31


def error_text(bits: int) -> str:
    """The names of the error bits that are set, "none" without any."""
    names = [name for bit, name in ERROR_BITS.items() if bits & bit]
    rest = bits & ~sum(ERROR_BITS)
    return ", ".join(names + ([f"unknown bits {rest:#x}"] if rest else [])) or "none"
