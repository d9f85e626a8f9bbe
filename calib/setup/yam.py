"""Who answers on a YAM's buses, and what to set with Damiao's tool. Only register reads are sent; nothing is written.

Takes a robot's row, its port and the gripper's type, gives a Survey. Ids of Damiao motors are set one at a time with
the maker's own tool over its serial adapter, which a CAN adapter cannot replace for a motor of unknown id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from firmware_bridge.damiao import grippers
from firmware_bridge.damiao.can_port import parse_port
from firmware_bridge.damiao.chain import Address, Chain
from firmware_bridge.damiao.checks import complaints
from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.damiao.registers import MASTER_OFFSET, NEEDED, TOLD
from firmware_bridge.damiao.robots import Motor, motors_of, servos_of
from firmware_bridge.damiao.wire import Wire
from firmware_bridge.errors import PortBusy, sentence
from firmware_bridge.robot import Robot

IDS = range(1, 16)  # feedback carries four bits of it
READ_TRIES = 3
PATIENCE_S = 0.03
LISTEN_S = 0.03


@dataclass(frozen=True, slots=True)
class Heard:
    """One motor that answers."""

    bus: int
    id: int
    values: Mapping[str, float]  # registers by name, those that answered

    @property
    def type(self) -> str:
        """By its gear ratio, "" where no type has it."""
        gear = self.values.get("Gr")
        return next((row.name for row in MOTORS.values() if row.gear is not None and row.gear == gear), "")

    def __str__(self) -> str:
        shown = ("MST_ID", "CTRL_MODE", "TIMEOUT", "PMAX", "VMAX", "TMAX")
        parts = [f"{name} {self.values[name]:g}" for name in shown if name in self.values]
        return f"id {self.id}, {self.type or 'type unknown'}: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Place:
    """One joint's motor as it should be, and who answers there."""

    joint: str
    bus: str  # "", "left", "right"
    motor: Motor
    heard: Heard | None
    wrong: tuple[str, ...]  # what to set; of a silent one nothing


@dataclass(frozen=True, slots=True)
class Survey:
    """Everybody."""

    places: tuple[Place, ...]
    strangers: tuple[Heard, ...]  # ids that no joint has

    @property
    def missing(self) -> tuple[Place, ...]:
        return tuple(place for place in self.places if place.heard is None)

    @property
    def good(self) -> bool:
        return not self.strangers and all(place.heard is not None and not place.wrong for place in self.places)

    def advice(self) -> Iterator[str]:
        """What to do, line by line."""
        if self.missing:
            names = ", ".join(f"{place.joint} ({place.motor.id})" for place in self.missing)
            first = self.missing[0].joint
            cause = (
                "check the power supply, CAN-H and CAN-L, the terminator, and that the interface runs at 1 Mbit/s"
                if len(self.missing) == len(self.places)
                else f"check the cable before {first}"
            )
            yield f"no answer from {names}: {cause}"
        for heard in self.strangers:
            fits = [place for place in self.missing if not heard.type or place.motor.type == heard.type]
            wanted = " or ".join(f"{place.joint}: ESC_ID {place.motor.id}, MST_ID {place.motor.id + MASTER_OFFSET}"
                                 for place in fits)  # fmt: skip
            what = (
                f"set, with Damiao's tool, one motor connected at a time: {wanted}" if fits else "no joint has that id"
            )
            yield f"{heard}: {what}"
        for place in self.places:
            yield from place.wrong


def survey(robot: Robot, port: str, gripper: str = "") -> Survey:
    """Reads every motor's registers. Raises PortError, ConfigError."""
    row = grippers.find(gripper or grippers.USUAL)
    wires: list[Wire] = []
    try:
        for spec in parse_port(port, servos_of(robot).buses):
            wires.append(Wire(spec))
        return judge(robot, motors_of(robot, row), _ask(wires, port))
    finally:
        for wire in wires:
            wire.close()


def judge(robot: Robot, motors: tuple[Motor, ...], heard: tuple[Heard, ...]) -> Survey:
    """Who is where. Pure."""
    by_place = {(one.bus, one.id): one for one in heard}
    places = []
    for joint, motor in zip(robot.joints, motors, strict=True):
        one = by_place.pop((motor.bus, motor.id), None)
        wrong = tuple(complaints(joint, motor, one.values)) if one is not None else ()
        places.append(Place(joint, servos_of(robot).buses[motor.bus], motor, one, wrong))
    return Survey(tuple(places), tuple(by_place.values()))


def _ask(wires: list[Wire], port: str) -> tuple[Heard, ...]:
    anything = next(iter(MOTORS.values())).ranges  # feedback is not decoded here
    addresses = [Address(bus, name, name + MASTER_OFFSET, anything) for bus in range(len(wires)) for name in IDS]
    chain = Chain(wires, addresses)
    if chain.listen(LISTEN_S):
        do = "stop the bridge or program that drives this arm"
        raise PortBusy(sentence(f"somebody else talks on {port}", expected="a quiet bus", got="answers", do=do))
    values: dict[int, dict[str, float]] = {}
    for _ in range(READ_TRIES):
        silent = set(range(len(addresses))) - set(values)
        for index, value in chain.read_register("ESC_ID", silent, PATIENCE_S).items():
            values[index] = {"ESC_ID": value}
    for name in (*NEEDED, *TOLD):
        missing = {index for index, row in values.items() if name not in row}
        for _ in range(READ_TRIES if name in NEEDED else 1):
            for index, value in chain.read_register(name, missing, PATIENCE_S).items():
                values[index][name] = value
                missing.discard(index)
            if not missing:
                break
    return tuple(Heard(addresses[i].bus, addresses[i].id, row) for i, row in sorted(values.items()))
