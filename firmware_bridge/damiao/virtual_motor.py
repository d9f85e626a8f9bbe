"""A virtual Damiao motor: its registers, its MIT controller and its shaft. Pure: time and load are passed in.

Takes frames' contents, gives feedback. Kept true to the real one where it matters: nothing moves before
ENABLE; an error nibble stays until CLEAR and its cause is gone; silence longer than TIMEOUT ends in error D
and a braked shaft; TIMEOUT 0 goes on with the last command for ever; a reboot forgets what was not saved
and which turn the shaft is in. Only ENABLE and MIT frames feed the watchdog (the pessimistic reading).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from firmware_bridge.damiao import nibbles
from firmware_bridge.damiao.frames import CLEAR, DISABLE, ENABLE, SET_ZERO, Feedback, Mit, Ranges, parse_mit
from firmware_bridge.damiao.motors import MotorType
from firmware_bridge.damiao.registers import BY_NUMBER, MASTER_OFFSET, MIT_MODE, REGISTERS, TIMEOUT_UNIT_S

STEP_S = 0.001
MAX_STEP_S = 2.0  # whoever sleeps longer finds a shaft that moved for so long only
FRICTION = 0.3  # N m s/rad of an idle gear, where nothing else is set
BRAKE = 8.0  # N m s/rad after a lost communication
CONTACT_NEAR, CONTACT_FAR = 0.05, 0.15  # rad: how near to rest the table carries the joint
IDLE = Mit(0.0, 0.0, 0.0, 0.0, 0.0)
DEFAULTS = {"UV_Value": 15.0, "OT_Value": 100.0, "OC_Value": 0.98, "MAX_SPD": 600.0, "TIMEOUT": 8000.0}
DEFAULTS |= {"CTRL_MODE": float(MIT_MODE), "hw_ver": 1.0, "sw_ver": 5013.0, "OV_Value": 32.0, "can_br": 4.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What the arm does to one shaft."""

    torque: float = 0.0  # N m that would hold it here
    rest: float = 0.0  # rad where the table or its own stop carries it
    low: float = -math.inf  # rad, hard stops
    high: float = math.inf


class VirtualMotor:
    """One motor. `advance` first, then frames."""

    def __init__(self, motor: int, kind: MotorType, serial: int = 0) -> None:
        ranges = kind.ranges
        values = {**DEFAULTS, "ESC_ID": float(motor), "MST_ID": float(motor + MASTER_OFFSET), "SN": float(serial)}
        values |= {"Gr": kind.gear or math.nan, "PMAX": ranges.position, "VMAX": ranges.velocity}
        self.kind = kind
        self.registers = {**values, "TMAX": ranges.torque}
        self.saved = dict(self.registers)
        self.shaft = 0.0  # rad, of the world: never wraps
        self.speed = 0.0  # rad/s
        self.torque = 0.0  # N m
        self.voltage = 24.0
        self.mos = self.rotor = 32  # degrees Celsius
        self.nibble = nibbles.DISABLED
        self.friction = FRICTION
        self.command = IDLE
        self.answers: set[int] = set(REGISTERS_ANSWERED)
        self._zero = 0.0  # shaft angle that reads as 0
        self._fed = 0.0
        self._now: float | None = None

    @property
    def id(self) -> int:
        return int(self.registers["ESC_ID"])

    @property
    def master(self) -> int:
        return int(self.registers["MST_ID"])

    @property
    def ranges(self) -> Ranges:
        return Ranges(*(self.registers[name] for name in ("PMAX", "VMAX", "TMAX")))

    @property
    def position(self) -> float:
        """As it reports it, rad."""
        return self.shaft - self._zero

    @property
    def enabled(self) -> bool:
        return self.nibble == nibbles.ENABLED

    def place(self, position: float) -> None:
        """Turn the shaft by hand to where it reads `position` rad."""
        self.shaft, self.speed = position + self._zero, 0.0

    def reboot(self) -> None:
        """Power off and on: disabled, unsaved registers gone, the angle within one turn."""
        self.registers = dict(self.saved)
        self.nibble, self.command = nibbles.DISABLED, IDLE
        turns = round(self.position / (2 * math.pi))
        self._zero += turns * 2 * math.pi

    # -- time

    def advance(self, now: float, load: Load) -> None:
        """Let time pass until `now`, s."""
        elapsed = 0.0 if self._now is None else min(MAX_STEP_S, max(0.0, now - self._now))
        self._now = now
        self._protect()
        timeout = self.registers["TIMEOUT"] * TIMEOUT_UNIT_S
        if self.enabled and timeout and now - self._fed > timeout:
            self._trip(nibbles.COMMUNICATION_LOST)
        steps = max(1, math.ceil(elapsed / STEP_S)) if elapsed else 0
        for _ in range(steps):
            self._step(elapsed / steps, load)

    def _protect(self) -> None:
        cause = self._cause()
        if cause and self.nibble < 8:
            self._trip(cause)

    def _cause(self) -> int:
        if self.mos > self.registers["OT_Value"]:
            return 0xB
        if self.rotor > self.registers["OT_Value"]:
            return 0xC
        if self.voltage > self.registers["OV_Value"]:
            return 0x8
        return 0x9 if self.voltage < self.registers["UV_Value"] else 0

    def _trip(self, nibble: int) -> None:
        self.nibble, self.command = nibble, IDLE

    def _step(self, dt: float, load: Load) -> None:
        command = self.command if self.enabled else IDLE
        brake = BRAKE if self.nibble == nibbles.COMMUNICATION_LOST else self.friction
        full = self.registers["TMAX"]
        pull = command.kp * (command.position - self.position) + command.kd * (command.velocity - self.speed)
        self.torque = max(-full, min(full, pull + command.torque))
        still = self.torque - command.kd * (0.0 - self.speed) if abs(self.torque) < full else self.torque
        damping = brake + (command.kd if abs(self.torque) < full else 0.0)
        net = _carried(still - load.torque, load, self.shaft)
        inertia = self.kind.inertia
        self.speed = (self.speed + dt / inertia * net) / (1.0 + dt / inertia * damping)
        self.shaft += self.speed * dt
        if not load.low <= self.shaft <= load.high:
            self.shaft, self.speed = max(load.low, min(load.high, self.shaft)), 0.0

    # -- frames

    def obey(self, word: int, now: float) -> None:
        """ENABLE, DISABLE, SET_ZERO or CLEAR."""
        if word == CLEAR and self.nibble >= 8:
            self.nibble = nibbles.DISABLED
            self._protect()
        elif word == ENABLE and self.nibble == nibbles.DISABLED:
            self.nibble, self.command, self._fed = nibbles.ENABLED, IDLE, now
        elif word == DISABLE and self.nibble < 8:
            self.nibble, self.command = nibbles.DISABLED, IDLE
        elif word == SET_ZERO and not self.enabled:
            self._zero = self.shaft

    def follow(self, data: bytes, now: float) -> None:
        """A MIT command; without effect while not enabled or in another mode."""
        if self.enabled and self.registers["CTRL_MODE"] == MIT_MODE:
            self.command, self._fed = parse_mit(data, self.ranges), now

    def feedback(self) -> Feedback:
        return Feedback(self.id & 0xF, self.nibble, self.position, self.speed, self.torque, self.mos, self.rotor)

    def read(self, number: int) -> bytes | None:
        """A register's four bytes, None where it does not answer."""
        register = BY_NUMBER.get(number)
        if register is None or number not in self.answers:
            return None
        return register.encode(self.registers[register.name])

    def write(self, number: int, data: bytes) -> bytes | None:
        register = BY_NUMBER.get(number)
        if register is not None and register.writable:
            self.registers[register.name] = register.decode(data)
        return self.read(number)

    def save(self, number: int) -> None:
        register = BY_NUMBER.get(number)
        if register is not None:
            self.saved[register.name] = self.registers[register.name]


REGISTERS_ANSWERED = tuple(register.number for register in REGISTERS.values())


def _carried(net: float, load: Load, shaft: float) -> float:
    """`net` N m less what the table carries: near its rest a limp joint is held up, never pushed."""
    away = abs(shaft - load.rest)
    part = max(0.0, min(1.0, (CONTACT_FAR - away) / (CONTACT_FAR - CONTACT_NEAR)))
    carried = part * abs(load.torque)
    if net * load.torque >= 0.0:  # not sinking
        return net
    return math.copysign(max(0.0, abs(net) - carried), net)
