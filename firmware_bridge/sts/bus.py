"""The servo bus: one owner, one request at a time, every answer matched or reported missing.

Takes a Line, gives bytes and error bytes per servo id. Input is flushed before each request; id, length
and checksum of every answer must fit; time is monotonic; retries are bounded; a silent servo does not
hide the others. Knows registers only as rows with an address; nothing of joints or radians.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from firmware_bridge.errors import CorruptAnswer, NoAnswer, ServoWrong, sentence
from firmware_bridge.sts import protocol
from firmware_bridge.sts.line import Line
from firmware_bridge.sts.protocol import StatusFrame, StatusParser
from firmware_bridge.sts.registers import REGISTERS, TORQUE_RECENTRE
from firmware_bridge.sts.stale import QUARANTINE_S, Ask, Debts

SETTLE_S = 0.03  # silence after which no late answer to a single request is expected any more
TORQUE_ADDRESS = REGISTERS["Torque_Enable"].address


@dataclass(slots=True)
class Counters:
    """What went over the bus and what went wrong; shown, never acted upon."""

    requests: int = 0
    retries: int = 0
    silent: int = 0  # answers that did not come within their deadline
    corrupt: int = 0  # frames with a wrong checksum
    stray_bytes: int = 0  # bytes found before a request, or between frames
    missed: collections.Counter[int] = field(default_factory=collections.Counter)  # servo -> silent or corrupt


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    """What one sync_read brought: a partial result is a result."""

    frames: Mapping[int, StatusFrame]
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait and how often to ask again."""

    reply_timeout_s: float = 0.02  # for all servos of a sync_read
    retries: int = 1
    unicast_timeout_s: float = 0.1  # for one servo alone: never asked within a tick


DEFAULT_PATIENCE = Patience()


class Bus:
    """A half-duplex bus of STS3215 servos on `line`; one thread owns it."""

    def __init__(
        self,
        line: Line,
        patience: Patience = DEFAULT_PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.line = line
        self.patience = patience
        self.clock = clock
        self.counters = Counters()
        self.echo = False  # the adapter sends our own bytes back
        self._echo_left = b""
        self._debts = Debts()
        self._last_asked: tuple[int, tuple[int, ...]] = (0, ())  # length, servos

    # -- one servo

    def ping(self, servo: int) -> StatusFrame | None:
        """The answer to a ping, None when the servo is silent."""
        try:
            return self.ask(servo, protocol.make_ping(servo), 0)
        except (NoAnswer, CorruptAnswer):
            return None

    def read_bytes(self, servo: int, address: int, length: int) -> StatusFrame:
        """`length` bytes from `address`. Raises NoAnswer or CorruptAnswer after the retries.

        As in sync_read, an answer to an earlier request never fits.
        """
        if not self._debts.ask(length, (servo,), self.clock()).servos:
            self.settle(QUARANTINE_S)  # owes an answer of every length: wait until the debts run out

        def request() -> tuple[bytes, int]:
            size = self._debts.ask(length, (servo,), self.clock()).length
            return protocol.make_read(servo, address, size), size

        frame = self._ask(servo, request)
        return StatusFrame(frame.servo, frame.error, frame.data[:length])

    def read(self, servo: int, name: str) -> int:
        """The value of the register `name`. Raises as read_bytes."""
        register = REGISTERS[name]
        return register.decode(self.read_bytes(servo, register.address, register.length).data)

    def write(self, servo: int, name: str, value: int) -> None:
        """Write the register `name`, acknowledged and read back. Raises ServoWrong when it did not keep."""
        register = REGISTERS[name]
        data = register.encode(value)
        _refuse_forbidden(register.address, data)
        self.ask(servo, protocol.make_write(servo, register.address, data), 0)
        kept = self.read(servo, name)
        if kept != value:
            what = f"servo {servo} did not keep {name}"
            raise ServoWrong(sentence(what, expected=value, got=kept, do="power-cycle the servo, try again"))

    def ask(self, servo: int, request: bytes, length: int) -> StatusFrame:
        """The one answer to `request`, `length` data bytes long. Raises NoAnswer or CorruptAnswer."""
        return self._ask(servo, lambda: (request, length))

    def _ask(self, servo: int, make: Callable[[], tuple[bytes, int]]) -> StatusFrame:
        corrupt = False
        tries = 1 + self.patience.retries
        for attempt in range(tries):
            if attempt:
                self.counters.retries += 1
                self.settle()
            request, length = make()
            parser = StatusParser((servo,), length)
            self._note_strays(self.send(request), length, (servo,))
            frames = self._collect(parser, 1, self.patience.unicast_timeout_s)
            if frames:
                self._debts.answered(length, (servo,), self.clock())
                return frames[0]
            self.counters.silent += 1
            self.counters.missed[servo] += 1
            self._debts.unanswered(length, (servo,), self.clock())
            corrupt = corrupt or bool(parser.garbage or parser.pending)
        self.settle()
        if corrupt:
            do = "check the cable, the baud rate, and that no two servos share an id"
            what = f"servo {servo} answers with corrupt bytes"
            raise CorruptAnswer(sentence(what, expected="an intact frame", got=f"none in {tries} tries", do=do))
        do = "check the servo's cable and the arm's power supply"
        raise NoAnswer(sentence(f"servo {servo} does not answer", got=f"silence to {tries} requests", do=do))

    # -- all servos

    def sync_write(self, name: str, values: Mapping[int, int]) -> None:
        """One frame for all; nobody answers."""
        register = REGISTERS[name]
        self.sync_write_bytes(register.address, {servo: register.encode(value) for servo, value in values.items()})

    def sync_write_bytes(self, address: int, rows: Mapping[int, bytes]) -> None:
        """Equally many bytes from `address` on into every servo of `rows`, in one frame; nobody answers."""
        for data in rows.values():
            _refuse_forbidden(address, data)
        self.send(protocol.make_sync_write(address, len(next(iter(rows.values()))), rows))
        if self.echo:  # take our echo off the line now, or the next answer would begin with it
            self._take_echo(self.clock() + self.patience.reply_timeout_s)

    def sync_read(self, address: int, length: int, servos: Sequence[int], retries: int | None = None) -> SyncAnswer:
        """`length` bytes or more from `address` of every servo in one request; the silent ones asked again.

        An answer to an earlier request is never taken for this one's (see stale.py), even if it comes
        after the flush: its length differs.
        """
        frames: dict[int, StatusFrame] = {}
        left = tuple(servos)
        for attempt in range(1 + (self.patience.retries if retries is None else retries)):
            ask = self._debts.ask(length, left, self.clock())
            if not ask.servos:
                break
            self.counters.retries += attempt > 0
            frames.update(self._sync_once(address, ask))
            left = tuple(servo for servo in servos if servo not in frames)
            if not left:
                break
        return SyncAnswer(frames, left)

    def _sync_once(self, address: int, ask: Ask) -> dict[int, StatusFrame]:
        stray = self.send(protocol.make_sync_read(address, ask.length, ask.servos))
        self._note_strays(stray, ask.length, ask.servos)
        parser = StatusParser(ask.servos, ask.length)
        timeout_s = self.patience.reply_timeout_s
        frames = {frame.servo: frame for frame in self._collect(parser, len(ask.servos), timeout_s)}
        self._debts.answered(ask.length, frames, self.clock())
        if len(frames) < len(ask.servos):
            missing = [servo for servo in ask.servos if servo not in frames]
            self.counters.silent += len(missing)
            self.counters.missed.update(missing)
            self._debts.unanswered(ask.length, missing, self.clock())
        return frames

    def _note_strays(self, stray: int, length: int, servos: tuple[int, ...]) -> None:
        if stray:  # the last request was answered more than once: more of that may still come
            self._debts.unanswered(*self._last_asked, now=self.clock())
        self._last_asked = (length, servos)

    # -- bytes

    def send(self, request: bytes) -> int:
        """Flush the input, then send; returns how many stray bytes were waiting."""
        stray = self.line.flush_input()
        self.counters.stray_bytes += stray
        self.counters.requests += 1
        self.line.send(request)
        self._echo_left = request if self.echo else b""
        return stray

    def receive(self, deadline: float) -> bytes:
        """What arrives next without the echo of our own request; b"" at the deadline."""
        while True:
            data = self.line.receive(deadline)
            if not data or not self._echo_left:
                return data
            same = min(len(data), len(self._echo_left))
            if data[:same] != self._echo_left[:same]:  # a collision: the parser finds its way
                self._echo_left = b""
                return data
            self._echo_left, data = self._echo_left[same:], data[same:]
            if data:
                return data

    def _take_echo(self, deadline: float) -> None:
        """Until the echo is off the line, and no longer: nothing else is coming."""
        while self._echo_left and (data := self.line.receive(deadline)):
            fits = self._echo_left.startswith(data)
            self._echo_left = self._echo_left[len(data) :] if fits else b""

    def settle(self, quiet_s: float = SETTLE_S) -> None:
        """Wait until the line was silent for `quiet_s`, so that no late answer meets the next request."""
        self._echo_left = b""
        give_up = self.clock() + 10 * quiet_s
        while self.clock() < give_up and self.line.receive(self.clock() + quiet_s):
            pass

    def close(self) -> None:
        self.line.close()

    def _collect(self, parser: StatusParser, count: int, timeout_s: float) -> list[StatusFrame]:
        deadline = self.clock() + timeout_s
        frames: list[StatusFrame] = []
        seen: set[int] = set()
        while len(seen) < count:
            data = self.receive(deadline)
            if not data:
                break
            for frame in parser.feed(data):
                frames.append(frame)
                seen.add(frame.servo)
        self.counters.corrupt += parser.corrupt
        self.counters.stray_bytes += parser.garbage
        return frames


def _refuse_forbidden(address: int, data: bytes) -> None:
    at = TORQUE_ADDRESS - address
    if 0 <= at < len(data) and data[at] == TORQUE_RECENTRE:
        do = "write Homing_Offset through the calibration instead"
        raise ServoWrong(
            sentence(f"Torque_Enable = {TORQUE_RECENTRE} would move the arm's zero", expected="0, 1, 2", do=do)
        )
