"""Virtual servos on one bus: host bytes in, status bytes and their times out, faults on request.

Pure: time is passed in; whoever owns it (a pty, a test) carries the bytes. Keeps a journal of every
write, so that a test can say what reached the servos and in which order.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from firmware_bridge.sts import protocol
from firmware_bridge.sts.protocol import BROADCAST, HEADER, OVERHEAD, checksum, make_frame
from firmware_bridge.sts.virtual_servo import VirtualServo, touches_goal
from firmware_bridge.sts.virtual_world import World

JOURNAL = 20_000  # writes kept


@dataclass(slots=True)
class Faults:
    """What goes wrong with one servo's answers; counts run out by themselves."""

    silent: bool = False  # from now on
    late_s: float = 0.0
    late: int = 0  # answers still to be late
    drop: int = 0  # answers still to be lost
    corrupt: int = 0  # answers still to carry a wrong checksum
    duplicate: bool = False  # a second servo with the same id answers at the same time


@dataclass(frozen=True, slots=True)
class Written:
    """One row of the journal."""

    t: float
    servo: int
    address: int
    data: bytes
    position: int  # ticks at that moment


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Bytes that leave the servos at `at` (s)."""

    at: float
    data: bytes


class VirtualBus:
    """Servos, their world, and the wire between them and a host."""

    def __init__(self, servos: Sequence[VirtualServo], world: World) -> None:
        self.servos = list(servos)
        self.world = world
        self.faults = {servo.servo: Faults() for servo in servos}
        self.echo = False
        self.wire_s = 0.0  # each answer arrives that much later, as on a real wire
        self.journal: collections.deque[Written] = collections.deque(maxlen=JOURNAL)
        self.frames: collections.Counter[str] = collections.Counter()
        self._pending = b""
        self._registered: dict[int, bytes] = {}  # servo -> parameters of a REG_WRITE that waits

    def advance(self, now: float) -> None:
        """Let time pass without a request."""
        motions = self.world.advance(now, [servo.drive for servo in self.servos])
        for servo, motion in zip(self.servos, motions, strict=True):
            servo.tick(motion)

    def feed(self, data: bytes, now: float) -> list[Outgoing]:
        """Take host bytes (any cut), let the servos act, return what they answer."""
        out = [Outgoing(now, data)] if self.echo else []
        self._pending += data
        while (frame := self._next_frame()) is not None:
            self.advance(now)
            out += self._serve(frame[2], frame[4], frame[5:-1], now)
        return out

    def _next_frame(self) -> bytes | None:
        while True:
            start = self._pending.find(HEADER)
            if start < 0 or len(self._pending) - start < 4:
                return None
            self._pending = self._pending[start:]
            size = self._pending[3] + 4
            if self._pending[2] == 0xFF or size < OVERHEAD:
                self._pending = self._pending[1:]
                continue
            if len(self._pending) < size:
                return None
            frame = self._pending[:size]
            if checksum(frame[2:-1]) != frame[-1]:
                self.frames["garbled"] += 1
                self._pending = self._pending[1:]
                continue
            self._pending = self._pending[size:]
            return frame

    # -- instructions

    def _serve(self, target: int, instruction: int, params: bytes, now: float) -> list[Outgoing]:
        handler = _INSTRUCTIONS.get(instruction)
        if handler is None:
            self.frames["unknown"] += 1
            return []
        name, fewest, act = handler
        if len(params) < fewest:
            self.frames["garbled"] += 1
            return []
        self.frames[name] += 1
        return act(self, target, params, now)

    def _addressed(self, target: int) -> list[VirtualServo]:
        return [servo for servo in self.servos if target in (servo.servo, BROADCAST)]

    def _ping(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        return [out for servo in self._addressed(target) for out in self._answer(servo, b"", now)]

    def _read(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        if target == BROADCAST or len(params) != 2:
            return []
        answers = [self._answer(servo, servo.read(*params), now) for servo in self._addressed(target)]
        return [out for answer in answers for out in answer]

    def _write(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        out = []
        self.frames["goal"] += touches_goal(params[0], len(params) - 1)
        for servo in self._addressed(target):
            acknowledged = servo.get("Response_Status_Level") and target != BROADCAST
            answer = self._answer(servo, b"", now) if acknowledged else []
            self._store(servo, params[0], params[1:], now)
            out += answer
        return out

    def _reg_write(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        for servo in self._addressed(target):
            self._registered[servo.servo] = params
        return [] if target == BROADCAST else self._ping(target, b"", now)

    def _action(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        for servo in self._addressed(target):
            waiting = self._registered.pop(servo.servo, None)
            if waiting:
                self._store(servo, waiting[0], waiting[1:], now)
        return [] if target == BROADCAST else self._ping(target, b"", now)

    def _sync_read(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        address, length, wanted = params[0], params[1], params[2:]
        by_id = {servo.servo: servo for servo in self.servos}
        asked = [by_id[servo] for servo in wanted if servo in by_id]
        answers = [self._answer(servo, servo.read(address, length), now) for servo in asked]
        return [out for answer in answers for out in answer]

    def _sync_write(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        address, length = params[0], params[1]
        by_id = {servo.servo: servo for servo in self.servos}
        for at in range(2, len(params), length + 1):
            servo = by_id.get(params[at])
            if servo is not None:
                self._store(servo, address, params[at + 1 : at + 1 + length], now)
        self.frames["goal"] += touches_goal(address, length)
        return []

    def _store(self, servo: VirtualServo, address: int, data: bytes, now: float) -> None:
        if self.faults[servo.servo].silent:  # its cable is out: it hears nothing either
            return
        self.journal.append(Written(now, servo.servo, address, data, round(servo.position)))
        before = servo.servo
        servo.write(address, data)
        if servo.servo != before:  # its ID was written
            self.faults[servo.servo] = self.faults.pop(before)

    # -- answers

    def _answer(self, servo: VirtualServo, data: bytes, now: float) -> list[Outgoing]:
        faults = self.faults[servo.servo]
        if faults.silent:
            return []
        if faults.drop > 0:
            faults.drop -= 1
            return []
        frame = make_frame(servo.servo, servo.status, data)
        if faults.corrupt > 0:
            faults.corrupt -= 1
            frame = frame[:-1] + bytes((frame[-1] ^ 0x55,))
        if faults.duplicate:
            frame = _collide(frame, make_frame(servo.servo, servo.status, _twin(data)))
        if faults.late > 0:
            faults.late -= 1
            return [Outgoing(now + self.wire_s + faults.late_s, frame)]
        return [Outgoing(now + self.wire_s, frame)]


_Act = Callable[[VirtualBus, int, bytes, float], list[Outgoing]]
# code -> name, fewest parameters, what is done
_INSTRUCTIONS: dict[int, tuple[str, int, _Act]] = {
    protocol.PING: ("ping", 0, VirtualBus._ping),
    protocol.READ: ("read", 2, VirtualBus._read),
    protocol.WRITE: ("write", 2, VirtualBus._write),
    protocol.REG_WRITE: ("reg_write", 2, VirtualBus._reg_write),
    protocol.ACTION: ("action", 0, VirtualBus._action),
    protocol.SYNC_READ: ("sync_read", 2, VirtualBus._sync_read),
    protocol.SYNC_WRITE: ("sync_write", 2, VirtualBus._sync_write),
}


def _twin(data: bytes) -> bytes:
    """What a second servo at another position would say; a ping's answer is the same."""
    return bytes((data[0] ^ 0x2A, *data[1:])) if data else data


def _collide(one: bytes, other: bytes) -> bytes:
    """Two drivers on one wire: low wins, bit by bit."""
    return bytes(a & b for a, b in zip(one, other, strict=True))
