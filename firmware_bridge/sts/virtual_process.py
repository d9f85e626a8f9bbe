"""Virtual servos as a process: `python -m firmware_bridge.sts.virtual_process --robot so101`.

Prints one JSON line with the pty's path, then serves until its stdin ends (its parent died or closed
it) or SIGTERM. Each stdin line is a JSON order for tests and demos, answered by one JSON line:

    {"do": "fault", "servo": 3, "late_s": 0.06, "late": 1}     fields of virtual_bus.Faults
    {"do": "fault", "echo": true}
    {"do": "set", "servo": 3, "temperature": 80, "status": 32}  voltage, temperature, status, heating (degrees/s)
    {"do": "write", "servo": 3, "name": "Torque_Enable", "value": 0}
    {"do": "place", "servo": 3, "ticks": 2100}                  as the host sees them
    {"do": "block", "servo": 3, "ticks": 2100}                  an obstacle; without ticks: gone
    {"do": "reboot", "servo": 3, "silent_s": 0.3}               SRAM has its defaults, limp
    {"do": "power_cycle", "silent_s": 0.3}                      every servo, a latched overload included
    {"do": "brownout", "volts": 3.5, "sag_s": 0.2, "silent_s": 0.3}
    {"do": "unplug"}, {"do": "replug"}                          the pty; answered with its path
    {"do": "report"}                                            frames, registers, journal

With `--link PATH` that path always leads to the present pty, and is gone while unplugged.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from firmware_bridge import robots
from firmware_bridge.sts import calibration as calibrations
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_arm import make_bus
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_port import VirtualPort
from firmware_bridge.sts.virtual_servo import VirtualServo
from firmware_bridge.sts.virtual_world import FirstOrderWorld

SHOWN = ("Torque_Enable", "Goal_Position", "Present_Position", "Lock", "P_Coefficient", "Homing_Offset")


def main() -> int:
    options = _options()
    robot = robots.find(options.robot)
    calibration = (
        calibrations.load(options.calibration, robot.joints) if options.calibration else shipped_calibration(robot)
    )
    bus = make_bus(robot, calibration)
    bus.wire_s = options.wire_ms / 1000.0
    port = VirtualPort(bus, options.link)
    bus.baud = options.baud
    # Ctrl-C in the terminal is for whoever runs the arm; servos go when their owner goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    thread = threading.Thread(target=port.run, daemon=True)
    thread.start()
    with contextlib.suppress(BrokenPipeError):  # our owner was stopped meanwhile: stdin ends too
        os.write(sys.stdout.fileno(), json.dumps({"port": options.link or port.path}).encode() + b"\n")
    for line in sys.stdin:
        print(json.dumps(obey_line(port, line)), flush=True)
    port.unplug()  # takes the link away
    return 0


def obey_line(port: VirtualPort, line: str) -> dict[str, Any]:
    """Do the order in `line`, to the cable or to the servos on it."""
    order = json.loads(line)
    if order.get("do") == "unplug":
        port.unplug()
        return {"ok": True}
    if order.get("do") == "replug":
        return {"port": port.replug()}
    with port.lock:
        port.bus.advance(time.monotonic())
        return obey(port.bus, order)


def obey(bus: VirtualBus, order: dict[str, Any]) -> dict[str, Any]:
    """Do one order; an order that cannot be done is answered with {"error": ...}."""
    try:
        return _ORDERS[order.pop("do")](bus, **order)
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        return {"error": f"{type(error).__name__}: {error}", "orders": sorted([*_ORDERS, "unplug", "replug"])}


def _servo(bus: VirtualBus, servo: int) -> VirtualServo:
    return next(item for item in bus.servos if item.servo == servo)


def _fault(bus: VirtualBus, servo: int | None = None, **fields: Any) -> dict[str, Any]:
    target: Any = bus if servo is None else bus.faults[servo]
    for name, value in fields.items():
        if not hasattr(target, name):
            raise AttributeError(f"no fault named {name}")
        setattr(target, name, value)
    return {"ok": True}


def _set(bus: VirtualBus, servo: int, **fields: int) -> dict[str, Any]:
    for name, value in fields.items():
        setattr(_servo(bus, servo), name, value)
    return {"ok": True}


def _write(bus: VirtualBus, servo: int, name: str, value: int) -> dict[str, Any]:
    register = REGISTERS[name]
    _servo(bus, servo).write(register.address, register.encode(value))
    return {"ok": True}


def _place(bus: VirtualBus, servo: int, ticks: int) -> dict[str, Any]:
    target = _servo(bus, servo)
    _first_order(bus).place(bus.servos.index(target), ticks + target.get("Homing_Offset"))
    return {"ok": True}


def _block(bus: VirtualBus, servo: int, ticks: int | None = None) -> dict[str, Any]:
    target = _servo(bus, servo)
    shaft = None if ticks is None else ticks + target.get("Homing_Offset")
    _first_order(bus).block(bus.servos.index(target), shaft)
    return {"ok": True}


def _reboot(bus: VirtualBus, servo: int, silent_s: float = 0.0) -> dict[str, Any]:
    _servo(bus, servo).restart(bus.now, silent_s)
    return {"ok": True}


def _power_cycle(bus: VirtualBus, silent_s: float = 0.0) -> dict[str, Any]:
    for servo in bus.servos:
        servo.restart(bus.now, silent_s)
    return {"ok": True}


def _brownout(bus: VirtualBus, **fields: float) -> dict[str, Any]:
    bus.brown_out(**fields)
    return {"ok": True}


def _first_order(bus: VirtualBus) -> FirstOrderWorld:
    if not isinstance(bus.world, FirstOrderWorld):
        raise TypeError("this world's shafts cannot be moved by hand")
    return bus.world


def _report(bus: VirtualBus) -> dict[str, Any]:
    return {
        "frames": dict(bus.frames),
        "servos": {item.servo: {name: item.get(name) for name in SHOWN} for item in bus.servos},
        "journal": [[row.t, row.servo, row.address, list(row.data), row.position] for row in bus.journal],
    }


_ORDERS: dict[str, Callable[..., dict[str, Any]]] = {
    "fault": _fault,
    "set": _set,
    "write": _write,
    "place": _place,
    "block": _block,
    "reboot": _reboot,
    "power_cycle": _power_cycle,
    "brownout": _brownout,
    "report": _report,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="firmware_bridge.sts.virtual_process", description=__doc__.split("\n")[0])
    parser.add_argument("--robot", required=True)
    parser.add_argument("--calibration", default="", help="LeRobot file to put into the servos' memory")
    parser.add_argument("--wire-ms", type=float, default=0.0, help="how long each answer takes on the wire")
    parser.add_argument("--baud", type=int, default=0, help="bytes take their time at this rate; 0: none")
    parser.add_argument("--link", default="", help="a symbolic link that follows the pty over unplug and replug")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
