"""Which port is the arm's: the one that goes when its cable is pulled and comes when it is put back.

Takes a Person, and a function that looks at the ports; gives a Port. Several things may come and go at once;
only what went and came back counts. Opens nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from calib.person import YES, LiveView, Person, Question
from calib.ports import Port
from firmware_bridge.errors import PortError, PortMissing, sentence

SETTLE_S = 0.7  # udev makes the stable names a moment after the port itself; a hub's ports come one by one
LOOK_S = 0.1
WAIT_S = 60.0
TITLE = "Which port is the arm's?"


@dataclass(frozen=True, slots=True)
class Watch:
    """How to look, and for how long."""

    look: Callable[[], tuple[Port, ...]]
    wait_s: float = WAIT_S
    settle_s: float = SETTLE_S


def by_unplugging(person: Person, watch: Watch) -> Port:
    """The port that left and came back. Raises PortMissing, PortError, Cancelled."""
    before = watch.look()
    gone: dict[tuple[str, ...], Port] = {}
    if before:
        text = f"{_count(before)}. Pull the USB cable of the arm, and only that one, then press Enter."
        person.ask(Question("unplug", text, options=(YES,)))
        left = _await(person, watch, "pull the USB cable of the arm", lambda now: bool(missing(before, now)))
        gone = missing(before, left)
        person.tell(f"gone: {_names(gone.values())}")
    else:
        left = before
        person.tell("no port is there yet")
    person.ask(Question("replug", "Plug the cable in again, then press Enter.", options=(YES,)))
    back = _await(person, watch, "plug the cable in again", lambda now: bool(_returned(gone, left, now)))
    found = _returned(gone, left, back)
    if len(found) > 1:
        do = "do it again with that cable alone; or armside find-port --probe asks the servos"
        raise PortError(sentence("several ports left and came back", expected="one", got=_names(found), do=do))
    return found[0]


def missing(before: Iterable[Port], now: Iterable[Port]) -> dict[tuple[str, ...], Port]:
    """What was there before and is not now, by what tells it again."""
    there = {port.same for port in now}
    return {port.same: port for port in before if port.same not in there}


def _returned(gone: dict[tuple[str, ...], Port], left: Sequence[Port], now: Sequence[Port]) -> list[Port]:
    """What has come back; without anything gone, what is new."""
    back = [port for port in now if port.same in gone]
    if back:
        return back
    there = {port.same for port in left}
    new = [port for port in now if port.same not in there]
    # An adapter without a serial number that was put into another socket.
    kinds = {(port.usb.vendor, port.usb.product) for port in gone.values() if port.usb}
    return [port for port in new if port.usb and (port.usb.vendor, port.usb.product) in kinds] if gone else new


def _await(person: Person, watch: Watch, todo: str, holds: Callable[[tuple[Port, ...]], bool]) -> tuple[Port, ...]:
    """The ports as soon as it is so and nothing has changed for a moment. Raises PortMissing."""
    give_up = time.monotonic() + watch.wait_s
    now = watch.look()
    since = time.monotonic()
    while not (holds(now) and time.monotonic() - since >= watch.settle_s):
        left_s = give_up - time.monotonic()
        if left_s <= 0.0:
            do = "another cable, another socket; some cables only charge. armside doctor tells more"
            what = f"nothing happened in {watch.wait_s:.0f} s: {todo}"
            raise PortMissing(sentence(what, expected="a port that goes and comes", got=_count(now), do=do))
        message = f"{_count(now)}; waiting {left_s:.0f} s more"
        person.show(LiveView(TITLE, todo, (), keys=(("q", "cancel"),), message=message))
        person.hear()
        time.sleep(LOOK_S)
        newest = watch.look()
        if newest != now:
            now, since = newest, time.monotonic()
    return now


def _count(ports: Sequence[Port]) -> str:
    return f"{len(ports)} port{'' if len(ports) == 1 else 's'}: {_names(ports)}" if ports else "no port"


def _names(ports: Iterable[Port]) -> str:
    return ", ".join(port.device for port in ports)
