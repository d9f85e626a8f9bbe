"""STS3215 frames as pure bytes: what a host sends, and a parser for what servos answer.

`make_*` builds a frame and sends nothing. Knows nothing of ports, time or what a register means.
Layout (Waveshare "Communication Protocol User Manual-EN"): `FF FF ID LEN INSTRUCTION params CHECKSUM`,
a status carries its error byte in the instruction's place; words are little-endian.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

HEADER = b"\xff\xff"
BROADCAST = 0xFE
MAX_ID = 0xFD

PING, READ, WRITE, REG_WRITE, ACTION, RESET, SYNC_READ, SYNC_WRITE = 1, 2, 3, 4, 5, 6, 0x82, 0x83
OVERHEAD = 6  # bytes of a frame beside its parameters: header 2, id, length, instruction, checksum


def checksum(body: bytes) -> int:
    """Inverted low byte of the sum over id, length, instruction (or error) and parameters."""
    return ~sum(body) & 0xFF


def make_frame(servo: int, instruction: int, params: bytes = b"") -> bytes:
    """One frame; also builds a status when `instruction` is an error byte."""
    if not 0 <= servo <= BROADCAST or len(params) > 250:
        raise ValueError(f"servo id {servo} or {len(params)} parameters do not fit a frame")
    body = bytes((servo, len(params) + 2, instruction)) + params
    return HEADER + body + bytes((checksum(body),))


def make_ping(servo: int) -> bytes:
    return make_frame(servo, PING)


def make_read(servo: int, address: int, length: int) -> bytes:
    return make_frame(servo, READ, bytes((address, length)))


def make_write(servo: int, address: int, data: bytes) -> bytes:
    return make_frame(servo, WRITE, bytes((address,)) + data)


def make_reg_write(servo: int, address: int, data: bytes) -> bytes:
    """A write that waits in the servo until `make_action`."""
    return make_frame(servo, REG_WRITE, bytes((address,)) + data)


def make_action(servo: int = BROADCAST) -> bytes:
    return make_frame(servo, ACTION)


def make_sync_read(address: int, length: int, servos: Sequence[int]) -> bytes:
    """All `servos` answer, one after another in this order."""
    return make_frame(BROADCAST, SYNC_READ, bytes((address, length, *servos)))


def make_sync_write(address: int, length: int, rows: Mapping[int, bytes]) -> bytes:
    """`rows` maps a servo id to its `length` bytes; nobody answers."""
    if any(len(data) != length for data in rows.values()):
        raise ValueError(f"each row of a sync write has {length} bytes: {dict(rows)}")
    params = b"".join(bytes((servo,)) + data for servo, data in rows.items())
    return make_frame(BROADCAST, SYNC_WRITE, bytes((address, length)) + params)


@dataclass(frozen=True, slots=True)
class StatusFrame:
    """An intact answer of one servo."""

    servo: int
    error: int  # bits of registers.ERROR_BITS
    data: bytes


class StatusParser:
    """Cuts incoming bytes into intact status frames of the servos and size that were asked for.

    Anything else is skipped byte by byte until a frame fits again, and counted in `garbage` (bytes) and
    `corrupt` (frames of the right id and length with a wrong checksum). A frame of another length is
    never waited for: a false header inside noise cannot swallow the answer behind it.
    """

    def __init__(self, servos: Collection[int], length: int) -> None:
        """Frames of `servos` that carry exactly `length` data bytes."""
        self._servos = frozenset(servos)
        self._length = length
        self._size = length + OVERHEAD
        self._pending = b""
        self.garbage = 0
        self.corrupt = 0

    def feed(self, data: bytes) -> list[StatusFrame]:
        """The frames completed by `data`; an incomplete tail is kept for the next call."""
        buffer = self._pending + data
        frames: list[StatusFrame] = []
        at = 0
        while len(buffer) - at >= 4:
            if not self._fits(buffer, at):
                at += 1
                self.garbage += 1
                continue
            if len(buffer) - at < self._size:
                break
            body = buffer[at + 2 : at + self._size - 1]
            if checksum(body) != buffer[at + self._size - 1]:
                self.corrupt += 1
                self.garbage += 1
                at += 1
                continue
            frames.append(StatusFrame(body[0], body[2], body[3:]))
            at += self._size
        self._pending = buffer[at:]
        return frames

    @property
    def pending(self) -> int:
        """Bytes kept that do not make a frame yet."""
        return len(self._pending)

    def _fits(self, buffer: bytes, at: int) -> bool:
        return buffer.startswith(HEADER, at) and buffer[at + 2] in self._servos and buffer[at + 3] == self._length + 2
