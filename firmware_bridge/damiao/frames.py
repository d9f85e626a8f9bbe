"""Damiao frames as data: every frame the bridge sends or understands, built and read here. Pure.

Takes and gives SI numbers (rad, rad/s, N m) and eight data bytes. `make_*` builds, `parse_*` reads, for
both sides of the wire. A number outside its range is clamped to it, as the motor's own scaling would.
Knows nothing of buses, time or joints. Sources: Damiao's manual as summarised by i2rt and LeRobot.

    MIT command, arbitration id = motor id      feedback, arbitration id = the motor's MST_ID
    D0-1 position, D2-D3h velocity,             D0 error << 4 | id, D1-2 position, D3-D4h velocity,
    D3l-D4 kp, D5-D6h kd, D6l-D7 torque         D4l-D5 torque, D6 MOS and D7 rotor temperature
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

KP_MAX = 500.0  # N m/rad, full scale of 12 bits
KD_MAX = 5.0  # N m s/rad
REGISTER_ID = 0x7FF  # arbitration id of register frames and of refresh
READ, WRITE, SAVE, REFRESH = 0x33, 0x55, 0xAA, 0xCC
ENABLE, DISABLE, SET_ZERO, CLEAR = 0xFC, 0xFD, 0xFE, 0xFB
WORDS = {ENABLE: "enable", DISABLE: "disable", SET_ZERO: "zero", CLEAR: "clear"}
_HEAD = b"\xff" * 7


@dataclass(frozen=True, slots=True)
class Frame:
    """One classic CAN frame with an 11-bit id."""

    id: int
    data: bytes  # up to 8 bytes


@dataclass(frozen=True, slots=True)
class Ranges:
    """Full scales of one motor's MIT frames: its PMAX, VMAX, TMAX registers."""

    position: float  # rad, +-
    velocity: float  # rad/s, +-
    torque: float  # N m, +-


@dataclass(frozen=True, slots=True)
class Mit:
    """What one motor is told: torque = kp (position - p) + kd (velocity - v) + torque."""

    position: float  # rad
    velocity: float  # rad/s
    kp: float  # N m/rad
    kd: float  # N m s/rad
    torque: float  # N m


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one motor says."""

    id: int  # low four bits of the motor's id
    error: int  # nibble, see nibbles.py: 0 disabled, 1 enabled
    position: float  # rad
    velocity: float  # rad/s
    torque: float  # N m
    mos: int  # degrees Celsius, the power stage
    rotor: int  # degrees Celsius, the winding


@dataclass(frozen=True, slots=True)
class RegisterFrame:
    """A request to, or an answer from, a motor's memory."""

    id: int
    action: int  # READ, WRITE, SAVE or REFRESH
    register: int
    data: bytes  # 4 bytes, little endian


def make_mit(motor: int, command: Mit, ranges: Ranges) -> Frame:
    """A MIT command."""
    p = _encode(command.position, -ranges.position, ranges.position, 16)
    v = _encode(command.velocity, -ranges.velocity, ranges.velocity, 12)
    kp = _encode(command.kp, 0.0, KP_MAX, 12)
    kd = _encode(command.kd, 0.0, KD_MAX, 12)
    t = _encode(command.torque, -ranges.torque, ranges.torque, 12)
    return Frame(motor, (p << 48 | v << 36 | kp << 24 | kd << 12 | t).to_bytes(8, "big"))


def parse_mit(data: bytes, ranges: Ranges) -> Mit:
    """The command in eight bytes, as a motor reads them."""
    bits = int.from_bytes(data, "big")
    return Mit(
        _decode(bits >> 48, -ranges.position, ranges.position, 16),
        _decode(bits >> 36 & 0xFFF, -ranges.velocity, ranges.velocity, 12),
        _decode(bits >> 24 & 0xFFF, 0.0, KP_MAX, 12),
        _decode(bits >> 12 & 0xFFF, 0.0, KD_MAX, 12),
        _decode(bits & 0xFFF, -ranges.torque, ranges.torque, 12),
    )


def make_feedback(master: int, feedback: Feedback, ranges: Ranges) -> Frame:
    """A feedback frame, as a motor whose MST_ID is `master` sends it."""
    p = _encode(feedback.position, -ranges.position, ranges.position, 16)
    v = _encode(feedback.velocity, -ranges.velocity, ranges.velocity, 12)
    t = _encode(feedback.torque, -ranges.torque, ranges.torque, 12)
    head = (feedback.error & 0xF) << 4 | feedback.id & 0xF
    body = (head << 40 | p << 24 | v << 12 | t).to_bytes(6, "big")
    return Frame(master, body + bytes((feedback.mos & 0xFF, feedback.rotor & 0xFF)))


def parse_feedback(data: bytes, ranges: Ranges) -> Feedback | None:
    """The feedback in eight bytes; None for another length."""
    if len(data) != 8:
        return None
    bits = int.from_bytes(data[:6], "big")
    return Feedback(
        bits >> 40 & 0xF,
        bits >> 44,
        _decode(bits >> 24 & 0xFFFF, -ranges.position, ranges.position, 16),
        _decode(bits >> 12 & 0xFFF, -ranges.velocity, ranges.velocity, 12),
        _decode(bits & 0xFFF, -ranges.torque, ranges.torque, 12),
        data[6],
        data[7],
    )


def make_word(motor: int, word: int) -> Frame:
    """ENABLE, DISABLE, SET_ZERO or CLEAR."""
    return Frame(motor, _HEAD + bytes((word,)))


def parse_word(data: bytes) -> int | None:
    """The word in eight bytes, or None: they are a command."""
    return data[7] if len(data) == 8 and data[:7] == _HEAD and data[7] in WORDS else None


def make_register_read(motor: int, register: int) -> Frame:
    return _register(motor, READ, register, bytes(4))


def make_register_write(motor: int, register: int, data: bytes) -> Frame:
    """Writes until the next power-off; `make_register_save` makes it last."""
    return _register(motor, WRITE, register, data)


def make_register_save(motor: int, register: int) -> Frame:
    """Saves what was just written. Never send it for a register that was not (i2rt's notes: others revert)."""
    return _register(motor, SAVE, register, bytes(4))


def make_refresh(motor: int) -> Frame:
    """Asks for feedback and commands nothing."""
    return _register(motor, REFRESH, 0, bytes(4))


def parse_register(data: bytes) -> RegisterFrame | None:
    """A request or an answer of four (SAVE) to eight bytes; None for anything else."""
    if len(data) < 4 or data[2] not in (READ, WRITE, SAVE, REFRESH):
        return None
    return RegisterFrame(data[0] | data[1] << 8, data[2], data[3], data[4:8].ljust(4, b"\0"))


def _register(motor: int, action: int, register: int, data: bytes) -> Frame:
    return Frame(REGISTER_ID, struct.pack("<HBB4s", motor, action, register, data))


def _encode(value: float, low: float, high: float, bits: int) -> int:
    top = (1 << bits) - 1
    # Cut, not rounded, as i2rt and the motors' own examples do; the tiny sum keeps what was decoded the same.
    return min(top, max(0, int((value - low) * top / (high - low) + 1e-6)))


def _decode(raw: int, low: float, high: float, bits: int) -> float:
    return raw * (high - low) / ((1 << bits) - 1) + low
