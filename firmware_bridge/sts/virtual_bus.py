"""Virtual servos on one bus: host bytes in, status bytes and their times out, faults on request.

Pure: time is passed in; whoever owns it (a pty, a test) carries the bytes. Keeps a journal of every
write, so that a test can say what reached the servos and in which order.
"""

from __future__ import annotations

import collections
import functools
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from firmware_bridge.sts import protocol
from firmware_bridge.sts.protocol import BROADCAST, HEADER, OVERHEAD, checksum, make_frame
from firmware_bridge.sts.registers import EEPROM_SIZE, REGISTERS
from firmware_bridge.sts.virtual_servo import VirtualServo, touches_goal
from firmware_bridge.sts.virtual_world import World

JOURNAL = 20_000  # writes kept
BITS_PER_BYTE = 10  # on the wire
RETURN_DELAY = REGISTERS["Return_Delay_Time"].address
EEPROM_START = REGISTERS["ID"].address  # before it nothing can be written
DELAY_UNIT_S = 2e-6


@dataclass(slots=True)
class Faults:
    """What goes wrong with one servo's answers; counts run out by themselves."""

    silent: bool = False  # from now on
    late_s: float = 0.0
    late: int = 0  # answers still to be late
    drop: int = 0  # answers still to be lost
    corrupt: int = 0  # answers still to carry a wrong checksum
    again: int = 0  # answers still to be sent twice
    again_s: float = 0.0  # the second so much later
    deaf: int = 0  # instructions still to be missed: not done, not answered
    duplicate: bool = False  # a second servo with the same id and another position answers at the same time
    twin_every: int = 0  # an all but equal second servo: only every so many answers differ


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
        self._faults = {servo: Faults() for servo in servos}
        self.echo = False
        self.wire_s = 0.0  # each answer arrives that much later, as on a real wire
        self.baud = 0  # bytes take their time at this rate; 0: no time at all
        self.sag_v = 0.0  # lost in the cables while all motors pull fully
        self.journal: collections.deque[Written] = collections.deque(maxlen=JOURNAL)
        self.frames: collections.Counter[str] = collections.Counter()
        self.now = -math.inf
        self._on_stored: Callable[[], None] | None = None  # after each write that stays in an EEPROM
        self._pending = b""
        self._later: list[tuple[float, Callable[[float], None]]] = []
        self._free_at = 0.0  # s, when the wire is free for the next answer
        self._twin_answers = 0
        self._awake: list[VirtualServo] = []  # who hears the frame that is being served

    @property
    def faults(self) -> dict[int, Faults]:
        """What goes wrong, by the servos' present ids; servos that share one: see faults_of."""
        return {servo.servo: faults for servo, faults in self._faults.items()}

    def faults_of(self, servo: VirtualServo) -> Faults:
        return self._faults[servo]

    def attach(self, servos: Collection[VirtualServo], now: float) -> None:
        """Only these are on the cable: the others lose their power, those that come get it anew."""
        for servo in self.servos:
            if servo in servos and not servo.plugged:
                servo.restart(now)
            elif servo not in servos and servo.plugged:
                servo.unplug()

    def power_cycle(self, now: float, silent_s: float = 0.0) -> None:
        """Every servo on the cable starts anew, limp and for a while silent."""
        for servo in self.servos:
            if servo.plugged:
                servo.restart(now, silent_s)

    def after_writes(self, count: int, what: Callable[[], None]) -> None:
        """`what` runs once, after `count` more EEPROM writes have been stored, before the last one's answer leaves."""
        left = count

        def stored() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._on_stored = None
                what()

        self._on_stored = stored

    def advance(self, now: float) -> None:
        """Let time pass without a request."""
        elapsed = max(0.0, now - self.now) if math.isfinite(self.now) else 0.0
        self.now = max(self.now, now)
        motions = self.world.advance(now, [servo.drive for servo in self.servos])
        sag = 10.0 * self.sag_v * sum(abs(motion.load) for motion in motions) / len(motions) if self.sag_v else 0.0
        for servo, motion in zip(self.servos, motions, strict=True):
            servo.body.sag = sag
            servo.tick(motion, elapsed)
        if self._later:
            self._happen(now)

    def later(self, at: float, what: Callable[[float], None]) -> None:
        """`what(at)` happens when time has come to `at` (s)."""
        self._later.append((at, what))

    def brown_out(self, volts: float = 3.5, sag_s: float = 0.2, silent_s: float = 0.3) -> None:
        """The supply sags for a while; then every servo restarts, limp and for a while silent."""
        was = [servo.voltage for servo in self.servos]

        def over(at: float) -> None:
            for servo, voltage in zip(self.servos, was, strict=True):
                servo.voltage = voltage
            self.power_cycle(at, silent_s)

        for servo in self.servos:
            servo.voltage = 10.0 * volts
        self.later(self.now + sag_s, over)

    def feed(self, data: bytes, now: float, speed: int = 0) -> list[Outgoing]:
        """Take host bytes (any cut), let the servos act, return what they answer.

        `speed`: the host's baud rate, which only servos of that rate hear; 0: unknown, all hear.
        """
        byte_s = BITS_PER_BYTE / self.baud if self.baud else 0.0
        out = [Outgoing(now + len(data) * byte_s, data)] if self.echo else []
        self._pending += data
        while (frame := self._next_frame()) is not None:
            self.advance(now)
            self._free_at = now + len(frame) * byte_s
            self._awake = [servo for servo in self.servos if self._hears(servo, now, speed)]
            out += self._serve(frame[2], frame[4], frame[5:-1], now)
        return out

    def _hears(self, servo: VirtualServo, now: float, speed: int) -> bool:
        faults = self._faults[servo]
        if faults.silent or now < servo.dark_until or speed not in (0, servo.baud):
            return False
        faults.deaf, missed = max(0, faults.deaf - 1), faults.deaf > 0
        return not missed

    def _happen(self, now: float) -> None:
        due = sorted((item for item in self._later if item[0] <= now), key=lambda item: item[0])
        self._later = [item for item in self._later if item[0] > now]
        for at, what in due:
            what(at)

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
        return [servo for servo in self._awake if target in (servo.servo, BROADCAST)]

    def _ping(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        return self._answers([(servo, b"") for servo in self._addressed(target)])

    def _read(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        if target == BROADCAST or len(params) != 2:
            return []
        return self._answers([(servo, servo.read(*params)) for servo in self._addressed(target)])

    def _write(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        self.frames["goal"] += touches_goal(params[0], len(params) - 1)
        answering = []
        for servo in self._addressed(target):
            acknowledged = servo.get("Response_Status_Level") and target != BROADCAST
            starts = servo.starts
            self._store(servo, params[0], params[1:], now)
            # What happened when it was stored may have cost it its power or its voice.
            if acknowledged and servo.starts == starts and not self._faults[servo].silent:
                answering.append((servo, b""))
        return self._answers(answering, target)

    def _reg_write(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        for servo in self._addressed(target):
            servo.registered = params
        return [] if target == BROADCAST else self._ping(target, b"", now)

    def _action(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        for servo in self._addressed(target):
            waiting, servo.registered = servo.registered, b""
            if waiting:
                self._store(servo, waiting[0], waiting[1:], now)
        return [] if target == BROADCAST else self._ping(target, b"", now)

    def _sync_read(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        address, length, wanted = params[0], params[1], params[2:]
        asked = [servo for number in wanted for servo in self._awake if servo.servo == number]
        return self._answers([(servo, servo.read(address, length)) for servo in asked])

    def _sync_write(self, target: int, params: bytes, now: float) -> list[Outgoing]:
        address, length = params[0], params[1]
        for at in range(2, len(params), length + 1):
            for servo in [item for item in self._awake if item.servo == params[at]]:
                self._store(servo, address, params[at + 1 : at + 1 + length], now)
        self.frames["goal"] += touches_goal(address, length)
        return []

    def _store(self, servo: VirtualServo, address: int, data: bytes, now: float) -> None:
        self.journal.append(Written(now, servo.servo, address, data, round(servo.position)))
        stays = servo.write(address, data) and address + len(data) > EEPROM_START and address < EEPROM_SIZE
        if stays and self._on_stored is not None:
            self._on_stored()

    # -- answers

    def _answers(self, answering: Iterable[tuple[VirtualServo, bytes]], name: int = BROADCAST) -> list[Outgoing]:
        """One after another, servos of one id at once. `name`: the id that a renamed servo still answers as."""
        together: dict[int, list[tuple[VirtualServo, bytes]]] = {}
        for servo, data in answering:
            number = servo.servo if name == BROADCAST or servo.renamed_at_once else name
            together.setdefault(number, []).append((servo, data))
        return [out for number, group in together.items() for out in self._answer(number, group)]

    def _answer(self, number: int, group: Sequence[tuple[VirtualServo, bytes]]) -> list[Outgoing]:
        frames = [(servo, self._frame(number, servo, data)) for servo, data in group]
        spoken = [(servo, frame) for servo, frame in frames if frame]
        if not spoken:
            return []
        return self._send(spoken[0][0], functools.reduce(_collide, [frame for _, frame in spoken]))

    def _frame(self, number: int, servo: VirtualServo, data: bytes) -> bytes:
        faults = self._faults[servo]
        if faults.drop > 0:
            faults.drop -= 1
            return b""
        frame = make_frame(number, servo.status, data)
        if faults.corrupt > 0:
            faults.corrupt -= 1
            frame = frame[:-1] + bytes((frame[-1] ^ 0x55,))
        self._twin_answers += faults.twin_every > 0
        if faults.duplicate or (faults.twin_every and self._twin_answers % faults.twin_every == 0):
            frame = _collide(frame, make_frame(number, servo.status, _twin(data)))
        return frame

    def _send(self, servo: VirtualServo, frame: bytes) -> list[Outgoing]:
        faults = self._faults[servo]
        at = self._free_at + servo.memory[RETURN_DELAY] * DELAY_UNIT_S
        if self.baud:
            at += len(frame) * BITS_PER_BYTE / self.baud
        self._free_at = at
        at += self.wire_s
        if faults.again > 0:
            faults.again -= 1
            return [Outgoing(at, frame), Outgoing(at + faults.again_s, frame)]
        if faults.late > 0:
            faults.late -= 1
            at += faults.late_s
        return [Outgoing(at, frame)]


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
