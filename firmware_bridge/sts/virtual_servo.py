"""A virtual STS3215: its memory and what the firmware does with it. Pure: time and motion are passed in.

Takes instructions as register reads and writes, gives bytes and what its motor wants (Drive). Kept true
to the real one where it surprises: EEPROM writes vanish at power-off while Lock is 1; a goal outside the
EEPROM limits is clamped inside while the register keeps the host's value; a goal write turns the torque
on again (lerobot #3585); Torque_Enable = 128 redefines the present position; overload, current, heat and
voltage drop the torque as virtual_protection.py says. Knows nothing of frames.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

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
from firmware_bridge.sts.virtual_protection import Body, Limits, Protection, effort_left
from firmware_bridge.sts.virtual_world import Drive, Motion

MEMORY_SIZE = 128
TOP_SPEED = 3550.0  # ticks/s: 52 rpm, the 7.4 V servo without load
TOP_ACCELERATION = 25400.0  # ticks/s^2: register value 254
STALL_CURRENT_A = 2.4
BAUDS = (1_000_000, 500_000, 250_000, 128_000, 115_200)  # by Baud_Rate's code
ODD_BAUDS = {  # codes 5..7, about which the tables disagree: a servo has one of the two, or none that a host can set
    "vendor": (*BAUDS, 76_800, 57_600, 38_400),
    "lerobot": (*BAUDS, 57_600, 38_400, 19_200),
}
PRESENT = struct.Struct("<HHHBBBBBHH")  # registers 56..70
EEPROM_ROWS = [row for row in REGISTERS.values() if row.area == "eeprom"]
GOAL = REGISTERS["Goal_Position"].address
_ID, _BAUD, _PHASE, _TORQUE, _ACCELERATION, _LOCK = (
    REGISTERS[name].address for name in ("ID", "Baud_Rate", "Phase", "Torque_Enable", "Acceleration", "Lock")
)
_LIMIT, _SPEED = REGISTERS["Torque_Limit"].address, REGISTERS["Goal_Velocity"].address
_PRESENT = REGISTERS["Present_Position"].address
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
        for row in EEPROM_ROWS:
            _store(self.eeprom, row, eeprom.get(row.name, servo if row.name == "ID" else row.default))
        self.memory = bytearray(MEMORY_SIZE)
        self.motion = Motion(position, 0.0, 0.0)
        self.body = Body()
        self.protection = Protection()
        self._bits = 0
        self.dark_until = -math.inf  # s; restarting: neither hears nor answers
        self.registered = b""  # parameters of a REG_WRITE that waits for its ACTION
        self.bauds: Sequence[int] = BAUDS
        self.renamed_at_once = False  # the answer to a write of ID comes from the new id: firmwares differ
        self.glitch: int | None = None  # ticks that the next reading of the position gives instead
        self.lock_stuck = False  # Lock stays 1, whatever is written
        self.starts = 0  # how often it was powered on
        self._target = position
        self.power_on()

    # -- what the world and the tests see

    def get(self, name: str) -> int:
        """The value of a register, as a host would read it."""
        row = REGISTERS[name]
        return row.decode(bytes(self.memory[row.address : row.address + row.length]))

    def stored(self) -> dict[str, int]:
        """EEPROM registers as they would be after a power cycle."""
        return {row.name: row.decode(bytes(self.eeprom[row.address :])) for row in EEPROM_ROWS}

    @property
    def servo(self) -> int:
        return self.memory[_ID]

    @property
    def baud(self) -> int:
        """Its speed on the wire; 0: one that no host can set."""
        code = self.memory[_BAUD]
        return self.bauds[code] if code < len(self.bauds) else 0

    @property
    def plugged(self) -> bool:
        """Whether it is on the cable at all."""
        return self.dark_until < math.inf

    @property
    def status(self) -> int:
        """Error bits now; setting them latches them, until power off or set again."""
        return self._bits

    @status.setter
    def status(self, bits: int) -> None:
        self.protection.latched = bits
        self._bits = bits | self.protection.now(self._limits, self.body)

    @property
    def voltage(self) -> float:
        """0.1 V"""
        return self.body.voltage

    @voltage.setter
    def voltage(self, value: float) -> None:
        self.body.voltage = value

    @property
    def temperature(self) -> float:
        """Degrees Celsius"""
        return self.body.temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self.body.temperature = value

    @property
    def heating(self) -> float:
        """Degrees per s at full load; 0: the temperature stays as it is set."""
        return self.body.heating

    @heating.setter
    def heating(self, value: float) -> None:
        self.body.heating = value

    @property
    def drive(self) -> Drive:
        effort = effort_left((self.memory[_LIMIT] | self.memory[_LIMIT + 1] << 8) / 1000.0, self._bits, self._limits)
        speed = (self.memory[_SPEED] | self.memory[_SPEED + 1] << 8) & 0x7FFF or TOP_SPEED
        acceleration = 100.0 * self.memory[_ACCELERATION] or TOP_ACCELERATION
        return Drive(self.memory[_TORQUE] == 1, self._target, min(speed, TOP_SPEED), acceleration, effort)

    @property
    def position(self) -> float:
        """Ticks as the host sees them: shaft minus Homing_Offset, wrapped unless Phase bit 4 is set."""
        seen = self.motion.position - self._offset
        return seen - self._turns if self.memory[_PHASE] & MULTI_TURN_BIT else seen % TICKS_PER_TURN

    @property
    def ticks(self) -> int:
        """`position` as the register says it: whole, and never 4096 in a single turn."""
        whole = round(self.position)
        return whole if self.memory[_PHASE] & MULTI_TURN_BIT else whole % TICKS_PER_TURN

    def power_on(self) -> None:
        """Also a restart: what was written while Lock was 1 is gone, SRAM has its defaults."""
        self.starts += 1
        self._turns = self.motion.position // TICKS_PER_TURN * TICKS_PER_TURN  # counted from power-on only
        self.memory[:] = bytes(MEMORY_SIZE)
        self.memory[:EEPROM_SIZE] = self.eeprom
        for row in REGISTERS.values():
            if row.area == "sram":
                _store(self.memory, row, row.default)
        _store(self.memory, REGISTERS["Torque_Limit"], self.get("Max_Torque_Limit"))
        self.protection = Protection()
        self.registered = b""
        self._learn()
        self.tick(self.motion)
        _store(self.memory, REGISTERS["Goal_Position"], self.ticks)

    def restart(self, now: float, silent_s: float = 0.0) -> None:
        """A reboot at `now`: silent for a while, limp, and then as after power-on."""
        self.power_on()
        self.dark_until = now + silent_s

    def unplug(self) -> None:
        """Off the cable: without power, deaf and mute, until a `restart`."""
        self.power_on()
        self.dark_until = math.inf

    def tick(self, motion: Motion, elapsed: float = 0.0) -> None:
        """Take what the sensors see after `elapsed` s and refresh registers 56..70."""
        self.motion = motion
        load = motion.load
        self._bits = self.protection.step(elapsed, abs(load), abs(load) * STALL_CURRENT_A, self._limits, self.body)
        memory = self.memory
        PRESENT.pack_into(
            memory,
            _PRESENT,
            _signed(self.ticks, 15),
            _signed(round(motion.velocity), 15),
            _signed(round(load / LOAD_UNIT), 10),
            max(0, round(self.body.supply)),
            min(255, round(self.body.temperature)),
            bool(self.registered),
            self._bits,
            abs(motion.velocity) > 1.0,
            memory[GOAL] | memory[GOAL + 1] << 8,
            _signed(round(load * STALL_CURRENT_A / CURRENT_UNIT_A), 15),
        )

    # -- what the host does

    def read(self, address: int, length: int) -> bytes:
        data = bytes(self.memory[address : address + length])
        if self.glitch is not None and address <= _PRESENT and address + length >= _PRESENT + 2:
            at, wrong, self.glitch = _PRESENT - address, REGISTERS["Present_Position"].encode(self.glitch), None
            return data[:at] + wrong + data[at + 2 :]
        return data

    def write(self, address: int, data: bytes) -> bool:
        """Store what may be written, and do what the firmware does on top; whether EEPROM bytes persist."""
        persists = self.memory[_LOCK] == 0
        for index, value in enumerate(data, start=address):
            if index >= MEMORY_SIZE or index in _READ_ONLY:
                continue
            if index == _TORQUE and value == TORQUE_RECENTRE:
                self._recentre(persists)
                continue
            if index == _LOCK and self.lock_stuck:
                continue
            self.memory[index] = value
            if persists and index < EEPROM_SIZE:
                self.eeprom[index] = value
        if address < EEPROM_SIZE:
            self._learn()
        torque = _TORQUE
        if address <= torque < address + len(data) and self.memory[torque] == 1:
            self._follow_goal()
        if touches_goal(address, len(data)):
            self.memory[torque] = 1  # lerobot #3585
            self._follow_goal()
        return persists

    def _learn(self) -> None:
        """What is looked up at each tick, from EEPROM registers that hardly ever change."""
        self._offset = self.get("Homing_Offset")
        self._limits = Limits(
            temperature=self.get("Max_Temperature_Limit"),
            voltage=(self.get("Min_Voltage_Limit"), self.get("Max_Voltage_Limit")),
            current_a=self.get("Protection_Current") * CURRENT_UNIT_A,
            current_s=self.get("Over_Current_Protection_Time") / 100.0,
            overload=self.get("Overload_Torque") / 100.0,
            overload_s=self.get("Protection_Time") / 100.0,
            protective=self.get("Protective_Torque") / 100.0,
            unloading=self.get("Unloading_Condition"),
        )

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
        self._learn()


def touches_goal(address: int, length: int) -> bool:
    """Whether a write of `length` bytes at `address` changes Goal_Position."""
    return address < GOAL + 2 and address + length > GOAL


def _store(memory: bytearray, row: Register, value: int) -> None:
    memory[row.address : row.address + row.length] = row.encode(value)


def _signed(value: int, bit: int) -> int:
    magnitude = min(abs(value), (1 << bit) - 1)
    return magnitude | 1 << bit if value < 0 else magnitude
