"""Finding out who is on a bus: an echoing adapter, servos that answer, ids used twice.

Takes a Bus, gives ids. For connecting only: it waits for silence, which a tick must never do.
"""

from __future__ import annotations

from collections.abc import Iterable

from firmware_bridge.errors import ServoDuplicate, sentence
from firmware_bridge.sts import protocol
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.protocol import StatusParser
from firmware_bridge.sts.registers import TELEMETRY_ADDRESS, TELEMETRY_LENGTH

ECHO_PROBE_ID = protocol.MAX_ID  # LeRobot scans ids up to 0xFC, so nobody lives here
QUIET_S = 0.02  # longer than an FTDI adapter keeps bytes back (16 ms)
DUPLICATE_VERDICT = 2  # odd answers in a row; one alone may be a glitch of the line


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

    Two servos answer a ping at once with equal bytes, which looks like one servo. So a block that differs
    between any two servos (position, load, voltage) is read as well: there the two collide.
    """
    found = []
    for servo in servos:
        if bus.ping(servo) is None and not _hear_out(bus, servo, protocol.make_ping(servo), 0)[1]:
            continue
        found.append(servo)
        request = protocol.make_read(servo, TELEMETRY_ADDRESS, TELEMETRY_LENGTH)
        clean = (1, TELEMETRY_LENGTH + protocol.OVERHEAD)
        heard: list[tuple[int, int]] = []
        while len(heard) < DUPLICATE_VERDICT:
            result = _hear_out(bus, servo, request, TELEMETRY_LENGTH)
            if result == clean or not result[1]:
                break
            heard.append(result)
        else:
            raise ServoDuplicate(
                sentence(
                    f"more than one servo answers to id {servo}",
                    expected=f"1 intact frame of {clean[1]} bytes to each request",
                    got="; ".join(f"{frames} intact in {size} bytes" for frames, size in heard),
                    do=f"connect the servos of id {servo} one at a time and give one another id; "
                    "if only one has it, check its cable",
                )
            )
    return tuple(found)


def _hear_out(bus: Bus, servo: int, request: bytes, length: int) -> tuple[int, int]:
    """(intact frames, bytes) that come until the line is silent."""
    bus.send(request)
    parser = StatusParser((servo,), length)
    frames, size = 0, 0
    deadline = bus.clock() + bus.patience.unicast_timeout_s
    while data := bus.receive(deadline):
        frames += len(parser.feed(data))
        size += len(data)
        deadline = bus.clock() + QUIET_S
    return frames, size
