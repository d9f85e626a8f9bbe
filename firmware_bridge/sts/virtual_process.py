"""Virtual servos as a process: `python -m firmware_bridge.sts.virtual_process --robot so101`.

Prints one JSON line with the pty's path, then serves until its stdin ends (its parent died or closed
it) or SIGTERM. Each stdin line is a JSON order for tests and demos, answered by one JSON line:

    {"do": "fault", "servo": 3, "late_s": 0.06, "late": 1}     fields of virtual_bus.Faults
    {"do": "fault", "echo": true}
    {"do": "set", "servo": 3, "temperature": 80, "status": 32}  voltage, temperature, status
    {"do": "write", "servo": 3, "name": "Torque_Enable", "value": 0}
    {"do": "place", "servo": 3, "ticks": 2100}                  as the host sees them
    {"do": "reboot", "servo": 3}
    {"do": "report"}                                            frames, registers, journal
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
    port = VirtualPort(bus)
    # Ctrl-C in the terminal is for whoever runs the arm; servos go when their owner goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    thread = threading.Thread(target=port.run, daemon=True)
    thread.start()
    with contextlib.suppress(BrokenPipeError):  # our owner was stopped meanwhile: stdin ends too
        os.write(sys.stdout.fileno(), json.dumps({"port": port.path}).encode() + b"\n")
    for line in sys.stdin:
        with port.lock:
            answer = obey(port.bus, json.loads(line))
        print(json.dumps(answer), flush=True)
    return 0


def obey(bus: VirtualBus, order: dict[str, Any]) -> dict[str, Any]:
    """Do one order; an order that cannot be done is answered with {"error": ...}."""
    try:
        return _ORDERS[order.pop("do")](bus, **order)
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        return {"error": f"{type(error).__name__}: {error}", "orders": sorted(_ORDERS)}


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
    if not isinstance(bus.world, FirstOrderWorld):
        raise TypeError("this world's shafts cannot be placed by hand")
    target = _servo(bus, servo)
    bus.world.place(bus.servos.index(target), ticks + target.get("Homing_Offset"))
    return {"ok": True}


def _reboot(bus: VirtualBus, servo: int) -> dict[str, Any]:
    _servo(bus, servo).power_on()
    return {"ok": True}


def _report(bus: VirtualBus) -> dict[str, Any]:
    bus.advance(time.monotonic())
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
    "reboot": _reboot,
    "report": _report,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="firmware_bridge.sts.virtual_process", description=__doc__.split("\n")[0])
    parser.add_argument("--robot", required=True)
    parser.add_argument("--calibration", default="", help="LeRobot file to put into the servos' memory")
    parser.add_argument("--wire-ms", type=float, default=0.0, help="how long each answer takes on the wire")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
