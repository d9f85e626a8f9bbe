"""The motors of one robot on its buses: requests out, newest feedback in, registers read. Adds the clock.

Motors are numbered in joint order over all buses; requests to two buses are sent to both before either is
waited for. Angles are the motors' own. A bus that goes away silences its motors (`lost`); PortLost is
raised when the last one is gone. Knows nothing of joints, torque or when to move.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from firmware_bridge.damiao.frames import (
    READ,
    REGISTER_ID,
    Feedback,
    Frame,
    Ranges,
    make_register_read,
    parse_feedback,
    parse_register,
)
from firmware_bridge.damiao.owed import UNKNOWN, Owed
from firmware_bridge.damiao.registers import REGISTERS
from firmware_bridge.damiao.wire import Wire
from firmware_bridge.errors import PortLost


@dataclass(frozen=True, slots=True)
class Address:
    """Where a motor is and how its frames are scaled."""

    bus: int
    id: int
    master: int  # arbitration id of its feedback
    ranges: Ranges


@dataclass(slots=True)
class _Asking:
    """A register being read."""

    name: str
    values: dict[int, float]


class Chain:
    """All motors. One thread owns it."""

    def __init__(self, wires: Sequence[Wire], addresses: Sequence[Address]) -> None:
        self.wires = tuple(wires)
        self.addresses = tuple(addresses)
        self.owed = Owed(len(addresses))
        self.latest: list[Feedback | None] = [None] * len(addresses)
        self.lost: dict[int, PortLost] = {}  # by bus
        self._masters = {(row.bus, row.master): index for index, row in enumerate(addresses)}
        self._ids = {(row.bus, row.id): index for index, row in enumerate(addresses)}
        self._asking: _Asking | None = None
        self.missed = [0] * len(addresses)  # requests so far that were not answered in time
        self._heard = [0] * len(addresses)  # answers so far
        self._posted: dict[int, int] = {}  # whom the newest round asked, and what they had answered before

    def post(self, frames: Mapping[int, Frame], force: bool = False) -> None:
        """One request to each motor of `frames`; each answers with feedback.

        A motor whose answer could not be told from a late one is left out, unless `force`. A bus whose way
        out is full is left out for the rest of this round. Raises PortLost.
        """
        self._drain()  # what came meanwhile, while this process was stopped, answers no request of now
        now = time.monotonic()
        full: set[int] = set()
        self._posted = {}
        for index, frame in frames.items():
            bus = self.addresses[index].bus
            may_ask = self.owed.may_ask(index, now)
            if bus in full or not (may_ask or force):
                self.owed.unsent(index)
            elif self._guarded(bus, lambda wire, frame=frame: wire.send(frame)):  # type: ignore[misc]
                self.owed.asked(index, now)
                self._posted[index] = self._heard[index]
            else:
                full.add(bus)
                self.owed.doubtful(index, now)

    def collect(self, patience_s: float) -> None:
        """Take all that came; wait up to `patience_s` for answers, whatever they are worth. Raises PortLost."""
        until = time.monotonic() + patience_s
        while True:
            self._drain()
            now = time.monotonic()
            waiting = self._waiting()
            if waiting is None:
                return
            if now >= until:
                self._miss()
                self.owed.give_up(now)
                return
            bus = self.addresses[waiting].bus
            if bus in self.lost:
                self._miss()
                self.owed.give_up(now)
                return
            self._guarded(bus, lambda wire: wire.wait(until))

    def read_register(self, name: str, motors: Iterable[int], patience_s: float) -> dict[int, float]:
        """What those of `motors` that answer within `patience_s` hold in register `name`. Raises PortLost."""
        wanted = set(motors)
        number = REGISTERS[name].number
        self._asking = asking = _Asking(name, {})
        try:
            for index in sorted(wanted):
                row = self.addresses[index]
                frame = make_register_read(row.id, number)
                self._guarded(row.bus, lambda wire, frame=frame: wire.send(frame))  # type: ignore[misc]
            until = time.monotonic() + patience_s
            while time.monotonic() < until:
                self._drain()
                missing = wanted - set(asking.values)
                if not missing:
                    break
                self._guarded(self.addresses[min(missing)].bus, lambda wire: wire.wait(until))
        finally:
            self._asking = None
        return {index: value for index, value in asking.values.items() if index in wanted}

    def fresh(self, motor: int) -> bool:
        """Whether the newest request to `motor` was answered."""
        return self.latest[motor] is not None and self.owed.fresh(motor)

    def inherit(self) -> None:
        """A predecessor may have asked: its answers are not for us."""
        for index in range(len(self.addresses)):
            self.owed.doubtful(index, time.monotonic(), UNKNOWN)

    def listen(self, seconds: float) -> tuple[int, ...]:
        """Motors that somebody else made talk within `seconds`, nothing being asked. Raises PortLost."""
        before = list(self.latest)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._drain()
            time.sleep(0.002)
        return tuple(index for index, row in enumerate(self.latest) if row is not before[index])

    def close(self) -> None:
        for wire in self.wires:
            wire.close()

    def _waiting(self) -> int | None:
        """A motor whose answer may still come; in quarantine any answer will do."""
        silent = (index for index, before in self._posted.items() if self._heard[index] == before)
        return next(silent, self.owed.waiting())

    def _miss(self) -> None:
        for index, before in self._posted.items():
            self.missed[index] += self._heard[index] == before
        self._posted = {}  # counted once

    def _guarded(self, bus: int, work: Callable[[Wire], bool | None]) -> bool:
        """`work` on a bus that may be gone. Raises PortLost when no bus is left."""
        if bus in self.lost:
            return False
        try:
            return bool(work(self.wires[bus]))
        except PortLost as error:
            self.lost[bus] = error
            if len(self.lost) == len(self.wires):
                raise
            return False

    def _drain(self) -> None:
        for bus in range(len(self.wires)):
            self._guarded(bus, lambda wire, bus=bus: self._take_all(wire, bus))  # type: ignore[misc]
        if len(self.lost) == len(self.wires):
            raise next(iter(self.lost.values()))

    def _take_all(self, wire: Wire, bus: int) -> None:
        for frame in wire.drain():
            self._take(wire, bus, frame)

    def _take(self, wire: Wire, bus: int, frame: Frame) -> None:
        if self._asking is not None and self._take_register(bus, frame):
            return
        index = self._masters.get((bus, frame.id))
        if index is None:
            wire.counts.strange += 1
            return
        row = self.addresses[index]
        feedback = parse_feedback(frame.data, row.ranges)
        if feedback is None or feedback.id != row.id & 0xF:
            wire.counts.broken += 1
            return
        self.latest[index] = feedback
        self._heard[index] += 1
        self.owed.came(index, time.monotonic())

    def _take_register(self, bus: int, frame: Frame) -> bool:
        """Whether `frame` answers the register being read; by whatever arbitration id it comes.

        Feedback looks the same only from a disabled motor at -12.48 rad, far outside every joint.
        """
        asking = self._asking
        answer = parse_register(frame.data)
        if asking is None or answer is None or len(frame.data) != 8 or answer.action != READ:
            return False
        register = REGISTERS[asking.name]
        index = self._ids.get((bus, answer.id))
        if index is None or answer.register != register.number:
            return False
        if frame.id != REGISTER_ID and frame.id == self.addresses[index].id:
            return False  # somebody's command
        asking.values[index] = register.decode(answer.data)
        return True
