"""Finding out who is on a bus: an echoing adapter, servos that answer, ids used twice.

Takes a Bus, gives ids. For connecting only: it waits for silence, which a tick must never do.

Two servos with one id answer together. Where their bytes differ they collide, and the frame breaks or more
bytes come than one frame has. Every servo is asked for all its memory (zero, limits, versions: as good as
unique on a calibrated arm) and twice for its noisy registers (position, load, voltage, current). What this
cannot find: twins whose every byte agrees in all three looks and whose clocks agree within half a bit over
a frame of 460 us. On a bench with simulated servos that happens; two real ones drift apart.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from firmware_bridge.errors import ServoDuplicate, sentence
from firmware_bridge.sts import protocol
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.protocol import StatusParser
from firmware_bridge.sts.registers import EEPROM_SIZE, TELEMETRY_ADDRESS, TELEMETRY_LENGTH

ECHO_PROBE_ID = protocol.MAX_ID  # LeRobot scans ids up to 0xFC, so nobody lives here
QUIET_S = 0.02  # longer than an FTDI adapter keeps bytes back (16 ms)
LOOKS = ((0, EEPROM_SIZE), (TELEMETRY_ADDRESS, TELEMETRY_LENGTH), (TELEMETRY_ADDRESS, TELEMETRY_LENGTH))
DUPLICATE_READS = 8  # of one servo alone, where a look was not clean
DUPLICATE_VERDICT = 2  # odd answers among them; one alone may be a glitch of the line


@dataclass(frozen=True, slots=True)
class Heard:
    """What came until the line was silent."""

    frames: collections.Counter[int]  # intact ones of each servo
    size: int  # bytes


def probe_echo(bus: Bus) -> bool:
    """Set and return `bus.echo`: whether the adapter sends our own bytes back. Moves nothing."""
    ping = protocol.make_ping(ECHO_PROBE_ID)
    bus.echo = False
    bus.send(ping)
    heard = b""
    deadline = bus.clock() + bus.patience.reply_timeout_s
    while len(heard) < len(ping) and (data := bus.receive(deadline)):
        heard += data
    bus.echo = heard.startswith(ping)
    return bus.echo


def scan(bus: Bus, servos: Iterable[int]) -> tuple[int, ...]:
    """Which of `servos` answer. Raises ServoDuplicate when two servos share an id.

    About 70 ms when all is well; only a bus that is not pays for asking every servo alone.
    """
    ids = tuple(servos)
    looks = [(_look(bus, address, length, ids), length) for address, length in LOOKS]
    if all(_clean(heard, ids, length) for heard, length in looks):
        return ids
    intact = {servo for heard, _ in looks for servo in heard.frames}
    plain = all(_clean(heard, sorted(intact), length) for heard, length in looks)  # only silence, no noise
    found = []
    for servo in ids:
        if servo not in intact and not _answers(bus, servo):
            continue
        found.append(servo)
        if not (plain and servo in intact):
            _refuse_duplicate(bus, servo)
    return tuple(found)


def _answers(bus: Bus, servo: int) -> bool:
    return bus.ping(servo) is not None or _hear_out(bus, protocol.make_ping(servo), (servo,), 0).size > 0


def _clean(heard: Heard, ids: Sequence[int], length: int) -> bool:
    """One intact frame of every servo and not a byte more."""
    return heard.frames == dict.fromkeys(ids, 1) and heard.size == len(ids) * (length + protocol.OVERHEAD)


def _refuse_duplicate(bus: Bus, servo: int) -> None:
    size = TELEMETRY_LENGTH + protocol.OVERHEAD
    odd = []
    for _ in range(DUPLICATE_READS):
        request = protocol.make_read(servo, TELEMETRY_ADDRESS, TELEMETRY_LENGTH)
        heard = _hear_out(bus, request, (servo,), TELEMETRY_LENGTH)
        if heard.size and not _clean(heard, (servo,), TELEMETRY_LENGTH):
            odd.append(heard)
        if len(odd) >= DUPLICATE_VERDICT:
            raise ServoDuplicate(
                sentence(
                    f"more than one servo answers to id {servo}",
                    expected=f"1 intact frame of {size} bytes to each request",
                    got="; ".join(f"{item.frames[servo]} intact in {item.size} bytes" for item in odd),
                    do=f"connect the servos of id {servo} one at a time and give one another id; "
                    "if only one has it, check its cable",
                )
            )


def _look(bus: Bus, address: int, length: int, ids: Sequence[int]) -> Heard:
    return _hear_out(bus, protocol.make_sync_read(address, length, ids), ids, length)


def _hear_out(bus: Bus, request: bytes, ids: Sequence[int], length: int) -> Heard:
    """Everything that comes until the line is silent."""
    bus.send(request)
    parser = StatusParser(ids, length)
    frames: collections.Counter[int] = collections.Counter()
    size = 0
    deadline = bus.clock() + bus.patience.unicast_timeout_s
    while data := bus.receive(deadline):
        frames.update(frame.servo for frame in parser.feed(data))
        size += len(data)
        deadline = bus.clock() + QUIET_S
    return Heard(frames, size)
