"""A virtual STS3215: its memory and what the firmware does with it. Pure: time and motion are passed in.

Takes instructions as register reads and writes, gives bytes and what its motor wants (Drive). Kept true
to the real one where it surprises: EEPROM writes vanish at power-off while Lock is 1; a goal outside the
EEPROM limits is clamped inside while the register keeps the host's value; a goal write turns the torque
on again (lerobot #3585); Torque_Enable = 128 redefines the present position. Knows nothing of frames.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from firmware_bridge.sts.registers import (
    CURRENT_UNIT_A,
    EEPROM_SIZE,
    LOAD_UNIT,
    MULTI_TURN_BIT,
    REGISTERS,
    TICKS_PER_TURN,
    TORQUE_RECENTRE,
    Register,
)
from firmware_bridge.sts.virtual_world import Drive, Motion

MEMORY_SIZE = 128
TOP_SPEED = 3550.0  # ticks/s: 52 rpm, the 7.4 V servo without load
TOP_ACCELERATION = 25400.0  # ticks/s^2: register value 254
STALL_CURRENT_A = 2.4
PRESENT = struct.Struct("<HHHBBBBBHH")  # registers 56..70
GOAL = REGISTERS["Goal_Position"].address
_READ_ONLY = frozenset(
    address
    for row in REGISTERS.values()
    if row.access == "r"
    for address in range(row.address, row.address + row.length)
)


class VirtualServo:
    """One servo. `tick` first, then `read` and `write`; `drive` says what its motor wants."""

    def __init__(self, servo: int, eeprom: Mapping[str, int], position: float) -> None:
        """`eeprom`: register names to values, beside the defaults; `position`: shaft ticks."""
        self.eeprom = bytearray(EEPROM_SIZE)
        for name, row in REGISTERS.items():
            if row.area == "eeprom":
                _store(self.eeprom, row, eeprom.get(name, servo if name == "ID" else row.default))
        self.memory = bytearray(MEMORY_SIZE)
        self.motion = Motion(position, 0.0, 0.0)
        self.voltage = 74  # 0.1 V
        self.temperature = 31  # degrees Celsius
        self.status = 0  # error bits
        self._target = position
        self.power_on()

    # -- what the world and the tests see

    def get(self, name: str) -> int:
        """The value of a register, as a host would read it."""
        row = REGISTERS[name]
        return row.decode(bytes(self.memory[row.address : row.address + row.length]))

    @property
    def servo(self) -> int:
        return self.memory[REGISTERS["ID"].address]

    @property
    def drive(self) -> Drive:
        speed = abs(self.get("Goal_Velocity")) or TOP_SPEED
        acceleration = 100.0 * self.memory[REGISTERS["Acceleration"].address] or TOP_ACCELERATION
        effort = self.get("Torque_Limit") / 1000.0
        if self.status & self.memory[REGISTERS["Unloading_Condition"].address]:
            effort = min(effort, self.memory[REGISTERS["Protective_Torque"].address] / 100.0)
        torque = self.memory[REGISTERS["Torque_Enable"].address] == 1
        return Drive(torque, self._target, min(speed, TOP_SPEED), acceleration, effort)

    @property
    def position(self) -> float:
        """Ticks as the host sees them: shaft minus Homing_Offset, wrapped unless Phase bit 4 is set."""
        seen = self.motion.position - self.get("Homing_Offset")
        return seen if self.get("Phase") & MULTI_TURN_BIT else seen % TICKS_PER_TURN

    def power_on(self) -> None:
        """Also a reboot: what was written while Lock was 1 is gone, SRAM has its defaults."""
        self.memory[:] = bytes(MEMORY_SIZE)
        self.memory[:EEPROM_SIZE] = self.eeprom
        for row in REGISTERS.values():
            if row.area == "sram":
                _store(self.memory, row, row.default)
        _store(self.memory, REGISTERS["Torque_Limit"], self.get("Max_Torque_Limit"))
        self.status = 0
        self.tick(self.motion)
        _store(self.memory, REGISTERS["Goal_Position"], round(self.position))

    def tick(self, motion: Motion) -> None:
        """Take what the sensors see and refresh registers 56..70."""
        self.motion = motion
        position = round(self.position)
        PRESENT.pack_into(
            self.memory,
            REGISTERS["Present_Position"].address,
            _signed(position, 15),
            _signed(round(motion.velocity), 15),
            _signed(round(motion.load / LOAD_UNIT), 10),
            self.voltage,
            self.temperature,
            0,
            self.status,
            abs(motion.velocity) > 1.0,
            max(0, self.get("Goal_Position")) & 0xFFFF,
            _signed(round(motion.load * STALL_CURRENT_A / CURRENT_UNIT_A), 15),
        )

    # -- what the host does

    def read(self, address: int, length: int) -> bytes:
        return bytes(self.memory[address : address + length])

    def write(self, address: int, data: bytes) -> None:
        """Store what may be written, and do what the firmware does on top."""
        persists = self.memory[REGISTERS["Lock"].address] == 0
        for index, value in enumerate(data, start=address):
            if index >= MEMORY_SIZE or index in _READ_ONLY:
                continue
            if index == REGISTERS["Torque_Enable"].address and value == TORQUE_RECENTRE:
                self._recentre(persists)
                continue
            self.memory[index] = value
            if persists and index < EEPROM_SIZE:
                self.eeprom[index] = value
        torque = REGISTERS["Torque_Enable"].address
        if address <= torque < address + len(data) and self.memory[torque] == 1:
            self._follow_goal()
        if touches_goal(address, len(data)):
            self.memory[torque] = 1  # lerobot #3585
            self._follow_goal()

    def _follow_goal(self) -> None:
        goal = self.get("Goal_Position")
        low, high = self.get("Min_Position_Limit"), self.get("Max_Position_Limit")
        if (low, high) != (0, 0):  # both zero: multi-turn, no limits
            goal = max(low, min(high, goal))
        self._target = self.motion.position + goal - self.position

    def _recentre(self, persists: bool) -> None:
        row = REGISTERS["Homing_Offset"]
        offset = max(-2047, min(2047, round(self.motion.position) - 2048))
        _store(self.memory, row, offset)
        if persists:
            _store(self.eeprom, row, offset)


def touches_goal(address: int, length: int) -> bool:
    """Whether a write of `length` bytes at `address` changes Goal_Position."""
    return address < GOAL + 2 and address + length > GOAL


def _store(memory: bytearray, row: Register, value: int) -> None:
    memory[row.address : row.address + row.length] = row.encode(value)


def _signed(value: int, bit: int) -> int:
    magnitude = min(abs(value), (1 << bit) - 1)
    return magnitude | 1 << bit if value < 0 else magnitude
