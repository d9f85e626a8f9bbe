"""What hangs on a port: its servos are asked, and what they say is put into words.

Takes Ports, gives Probed. Only reads. Opening a port restarts an Arduino that happens to be behind it, so only known
adapters and ports that a person named are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calib.ports import Port
from calib.setup.any_baud import USUAL, AnyBaud
from calib.setup.chain import chain_of, silent_text
from calib.setup.servos import Servo, find_servos
from firmware_bridge.errors import BridgeError, ServoError
from firmware_bridge.robot import Robot
from firmware_bridge.sts.robots import servos_of

COUNTS = ("no servo", "one servo", "two servos", "three servos", "four servos", "five servos", "six servos")


@dataclass(frozen=True, slots=True)
class Probed:
    """One port's answer."""

    port: Port
    servos: tuple[Servo, ...] = ()
    text: str = ""
    arm: bool = False  # there are servos, whatever is wrong with them
    whole: bool = False  # all of the arm's ids, and nobody else


def probe(port: Port, robot: Robot, say: Callable[[str], None] | None = None) -> Probed:
    """Asks at every baud rate; an error becomes the text."""
    with AnyBaud(port.device) as line:
        try:
            servos = find_servos(line, say=say).servos
        except ServoError as error:  # they answer, but not as they should
            return Probed(port, (), str(error), arm=True)
        except BridgeError as error:
            return Probed(port, (), str(error))
    ids = servos_of(robot).ids
    whole = sorted(servo.id for servo in servos) == sorted(ids) and all(servo.baud == USUAL for servo in servos)
    return Probed(port, servos, words(servos, robot), bool(servos), whole)


def words(servos: Sequence[Servo], robot: Robot) -> str:
    """Who answered, and what that means. Pure."""
    row = servos_of(robot)
    if not servos:
        return "no servo answers: no arm, or its power is off"
    count = COUNTS[len(servos)] if len(servos) < len(COUNTS) else f"{len(servos)} servos"
    ids = [servo.id for servo in servos]
    named = f"id {ids[0]}" if len(ids) == 1 else f"ids {_span(ids)}"
    models = " and ".join(dict.fromkeys(servo.model_name for servo in servos))
    firmware = " and ".join(dict.fromkeys(servo.firmware for servo in servos))
    slow = [servo for servo in servos if servo.baud != USUAL]
    text = f"{count}, {named}, {models}, firmware {firmware}"
    if slow:
        text += "; " + ", ".join(f"id {servo.id} at {servo.baud} baud" for servo in slow)
    return f"{text}: {_meaning(ids, slow, row.ids, robot)}"


def _meaning(ids: Sequence[int], slow: Sequence[Servo], wanted: Sequence[int], robot: Robot) -> str:
    if sorted(ids) == sorted(wanted) and not slow:
        return "an SO arm with its ids set"
    if len(ids) == 1 and ids[0] == 1:
        return "a new motor, or a shoulder_pan: armside setup-motors"
    if len(ids) == 1:
        return "a single motor"
    missing, likely = silent_text(chain_of(robot.joints, tuple(wanted)), ids)
    if missing and set(ids) & set(wanted):
        return f"part of an SO arm; {missing}: {likely}"
    return "armside setup-motors gives them their ids" if slow or missing else "an SO arm and more"


def _span(ids: Sequence[int]) -> str:
    low, high = min(ids), max(ids)
    whole = list(ids) == list(range(low, high + 1))
    return f"{low} to {high}" if whole and len(ids) > 2 else ", ".join(map(str, ids))
