"""Who is on a serial bus: every servo, whatever its id and its baud rate.

Takes an AnyBaud, gives Servos. Only reads. A broadcast ping finds whoever is there; where answers collide, every id
is asked alone. Two servos with one id are found as scan.py does it. Knows no joints.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calib.setup.any_baud import USUAL, AnyBaud
from firmware_bridge.errors import PortError, PortLost
from firmware_bridge.sts import protocol
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.protocol import OVERHEAD, StatusParser
from firmware_bridge.sts.registers import EEPROM_SIZE, MODEL_STS3215, REGISTERS
from firmware_bridge.sts.scan import QUIET_S, scan

LISTEN_S = 0.04  # for the first byte: USB twice, an FTDI adapter's 16 ms, a return delay of 0.5 ms
NAMED_S = 0.022  # the same for one of many ids
ALL_IDS = range(protocol.MAX_ID + 1)
# Silent to a broadcast, they are asked by name at the usual speed: an adapter or a firmware may swallow broadcasts.
FEW_IDS = range(1, 7)
MODELS = {MODEL_STS3215: "STS3215", 2825: "STS3250", 11272: "SM8512BL", 1284: "SCS0009"}  # LeRobot's tables.py


@dataclass(frozen=True, slots=True)
class Servo:
    """One servo and its memory, as read."""

    id: int
    baud: int  # at which it answers
    eeprom: bytes  # registers 0..39

    def value(self, name: str) -> int:
        """A register of its EEPROM."""
        return REGISTERS[name].decode(self.eeprom[REGISTERS[name].address :])

    @property
    def model(self) -> int:
        return self.value("Model_Number")

    @property
    def model_name(self) -> str:
        return f"{MODELS.get(self.model, 'a model that is in no table')} ({self.model})"

    @property
    def firmware(self) -> str:
        """major.minor"""
        return f"{self.value('Firmware_Major_Version')}.{self.value('Firmware_Minor_Version')}"

    def __str__(self) -> str:
        speed = "" if self.baud == USUAL else f" at {self.baud} baud"
        return f"servo id {self.id}{speed}, {self.model_name}, firmware {self.firmware}"


@dataclass(frozen=True, slots=True)
class Found:
    """Who answered, and what could not be tried."""

    servos: tuple[Servo, ...]
    mute: tuple[int, ...] = ()  # baud rates that this adapter cannot do


def find_servos(port: AnyBaud, bauds: Sequence[int] | None = None, say: Callable[[str], None] | None = None) -> Found:
    """Everybody on the bus, over all of `bauds`, None: of the port's.

    Raises PortError, PortLost; ServoDuplicate for two servos with one id, CorruptAnswer for one that cannot be read.
    """
    servos: list[Servo] = []
    mute: list[int] = []
    for baud in port.bauds if bauds is None else bauds:
        try:
            bus = port.bus(baud)
        except PortLost:
            raise
        except PortError:
            if baud == USUAL:
                raise
            mute.append(baud)
            continue
        if ids := _heard(bus, say):
            servos += [read_servo(bus, servo, baud) for servo in scan(bus, ids)]
    if not servos:
        bus = port.bus(USUAL)
        if ids := tuple(servo for servo in FEW_IDS if _answers(bus, servo)):
            servos += [read_servo(bus, servo, USUAL) for servo in scan(bus, ids)]
    return Found(tuple(servos), tuple(mute))


def read_servo(bus: Bus, servo: int, baud: int) -> Servo:
    """A servo's memory. Raises NoAnswer, CorruptAnswer."""
    return Servo(servo, baud, bus.read_bytes(servo, 0, EEPROM_SIZE).data)


def _heard(bus: Bus, say: Callable[[str], None] | None) -> tuple[int, ...]:
    """The ids that answer at this speed."""
    frames, size = _broadcast(bus)
    if size != sum(frames.values()) * OVERHEAD:
        frames, size = _broadcast(bus)
    if size != sum(frames.values()) * OVERHEAD:  # not a glitch: answers on top of each other
        if say is not None:
            say("several servos answer at once: every id is asked alone, some seconds")
        return tuple(servo for servo in ALL_IDS if _answers(bus, servo))
    return tuple(sorted(frames))


def _broadcast(bus: Bus) -> tuple[collections.Counter[int], int]:
    """Intact answers to a broadcast ping by id, and how many bytes came in all."""
    return _hear(bus, protocol.make_ping(protocol.BROADCAST), ALL_IDS, LISTEN_S)


def _answers(bus: Bus, servo: int) -> bool:
    """Whether anything at all answers to that id; two servos with one id may answer in a mess."""
    return _hear(bus, protocol.make_ping(servo), (servo,), NAMED_S)[1] > 0


def _hear(bus: Bus, request: bytes, ids: Sequence[int], wait_s: float) -> tuple[collections.Counter[int], int]:
    bus.send(request)
    parser = StatusParser(ids, 0)
    frames: collections.Counter[int] = collections.Counter()
    size = 0
    deadline = bus.clock() + wait_s
    while data := bus.receive(deadline):
        frames.update(frame.servo for frame in parser.feed(data))
        size += len(data)
        deadline = bus.clock() + QUIET_S
    return frames, size
