"""Virtual motors on one CAN bus: frames in, answers out, a journal, and faults to switch on.

`VirtualChannel` is pure but for the lock of the arm: given frames and the time, it gives what is to be
sent and when. `serve` carries it over any python-can bus (virtual_slcan.py over a pty). The journal keeps
what reached the motors: enable, disable, zero, clear, writes, and every MIT command.
"""

from __future__ import annotations

import collections
import heapq
import itertools
import struct
import threading
import time
from dataclasses import dataclass, field

import can

from firmware_bridge.damiao.frames import (
    READ,
    REFRESH,
    REGISTER_ID,
    SAVE,
    WORDS,
    WRITE,
    Frame,
    RegisterFrame,
    make_feedback,
    parse_register,
    parse_word,
)
from firmware_bridge.damiao.virtual_arm import VirtualArm
from firmware_bridge.damiao.virtual_motor import VirtualMotor
from firmware_bridge.priority import favour

JOURNAL = 20_000
IDLE_S = 0.02  # time passes at least so often: watchdogs bite without frames


@dataclass(slots=True)
class Faults:
    """Of one motor. Counts run down to 0."""

    silent: bool = False  # hears, and does not answer
    deaf: bool = False  # its cable is cut: neither hears nor answers
    late_s: float = 0.0
    late: int = 0  # answers that come late_s late
    drop: int = 0  # answers that get lost
    answers_on_7ff: bool = False  # register answers come under 0x7FF; not over udp_multicast, where they echo


@dataclass(frozen=True, slots=True)
class Row:
    """What reached a motor."""

    t: float  # s, monotonic
    motor: int  # its place in joint order
    what: str  # "mit", "enable", "disable", "zero", "clear", "write", "save"
    data: bytes
    joint: float  # where the joint stood, rad or 0..1


@dataclass(order=True, slots=True)
class Outgoing:
    """A frame and when it is to leave."""

    at: float
    number: int
    frame: Frame = field(compare=False)


class VirtualChannel:
    """The motors of one bus of a virtual arm."""

    def __init__(self, arm: VirtualArm, bus: int) -> None:
        self.arm = arm
        self.journal: collections.deque[Row] = collections.deque(maxlen=JOURNAL)
        self.frames: collections.Counter[str] = collections.Counter()
        self._motors = arm.on_bus(bus)
        self.faults = {index: Faults() for index, _ in self._motors}
        self._numbers = itertools.count()

    def feed(self, frame: Frame, now: float) -> list[Outgoing]:
        """What the motors answer to `frame`."""
        with self.arm.lock:
            self.arm.advance(now)
            for index, motor in self._motors:
                if not self.faults[index].deaf and _is_for(motor, frame):
                    return self._answer(index, self._work(index, motor, frame, now), now)
        self.frames["strange"] += 1
        return []

    def pass_time(self, now: float) -> None:
        with self.arm.lock:
            self.arm.advance(now)

    def _work(self, index: int, motor: VirtualMotor, frame: Frame, now: float) -> Frame | None:
        master = motor.master  # before a write may change it
        if frame.id == REGISTER_ID:
            request = parse_register(frame.data)
            assert request is not None
            return self._work_register(index, motor, request, now)
        word = parse_word(frame.data)
        if word is not None:
            self._note(now, index, WORDS[word], frame.data)
            motor.obey(word, now)
        else:
            self._note(now, index, "mit", frame.data)
            motor.follow(frame.data, now)
        return make_feedback(master, motor.feedback(), motor.ranges)

    def _work_register(self, index: int, motor: VirtualMotor, request: RegisterFrame, now: float) -> Frame | None:
        if request.action == REFRESH:
            self.frames["refresh"] += 1
            return make_feedback(motor.master, motor.feedback(), motor.ranges)
        master = REGISTER_ID if self.faults[index].answers_on_7ff else motor.master
        head = struct.pack("<HBB", motor.id, request.action, request.register)
        if request.action == SAVE:
            self._note(now, index, "save", bytes((request.register,)))
            motor.save(request.register)
            return Frame(master, head)  # a short frame, as i2rt saw
        if request.action == WRITE:
            self._note(now, index, "write", bytes((request.register,)) + request.data)
            data = motor.write(request.register, request.data)
        else:
            self.frames["read"] += 1
            data = motor.read(request.register)
        return None if data is None else Frame(master, head + data)

    def _note(self, now: float, index: int, what: str, data: bytes) -> None:
        self.frames[what] += 1
        self.journal.append(Row(now, index, what, data, float(self.arm.joints()[index])))

    def _answer(self, index: int, frame: Frame | None, now: float) -> list[Outgoing]:
        faults = self.faults[index]
        if frame is None or faults.silent:
            return []
        if faults.drop:
            faults.drop -= 1
            return []
        late = 0.0
        if faults.late:
            faults.late -= 1
            late = faults.late_s
        return [Outgoing(now + late, next(self._numbers), frame)]


def _is_for(motor: VirtualMotor, frame: Frame) -> bool:
    if frame.id == REGISTER_ID:
        request = parse_register(frame.data)
        return request is not None and request.id == motor.id and request.action in (READ, WRITE, SAVE, REFRESH)
    return frame.id == motor.id and len(frame.data) == 8


class VirtualCan:
    """Serves a channel on a python-can bus, which it owns. A context manager runs it in a thread."""

    def __init__(self, channel: VirtualChannel, bus: can.BusABC) -> None:
        self.channel = channel
        self.bus = bus
        self._queue: list[Outgoing] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        """Serve until `stop`."""
        favour()
        while not self._ending.is_set():
            wait = min(IDLE_S, self._queue[0].at - time.monotonic()) if self._queue else IDLE_S
            message = self.bus.recv(max(0.0, wait))
            now = time.monotonic()
            if message is not None:
                for out in self.channel.feed(Frame(message.arbitration_id, bytes(message.data)), now):
                    heapq.heappush(self._queue, out)
            else:
                self.channel.pass_time(now)
            while self._queue and self._queue[0].at <= time.monotonic():
                frame = heapq.heappop(self._queue).frame
                self.bus.send(can.Message(arbitration_id=frame.id, data=frame.data, is_extended_id=False))

    def start(self) -> VirtualCan:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()
        self.bus.shutdown()

    def __enter__(self) -> VirtualCan:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
