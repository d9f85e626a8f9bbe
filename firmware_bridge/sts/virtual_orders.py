"""Orders to virtual servos in another process, as JSON: faults, hands, cables, power, and reports.

Takes a VirtualPort and one line per order, gives one answer per order:

    {"do": "fault", "servo": 3, "late_s": 0.06, "late": 1}     fields of virtual_bus.Faults
    {"do": "fault", "echo": true}
    {"do": "set", "servo": 3, "temperature": 80, "status": 32}  voltage, heating (degrees/s), renamed_at_once, bauds ...
    {"do": "write", "servo": 3, "name": "Torque_Enable", "value": 0}
    {"do": "place", "servo": 3, "ticks": 2100}                  as the host sees them
    {"do": "block", "servo": 3, "ticks": 2100}                  an obstacle; without ticks: gone
    {"do": "reboot", "servo": 3, "silent_s": 0.3}               SRAM has its defaults, limp
    {"do": "power_cycle", "silent_s": 0.3}                      every servo, a latched overload included
    {"do": "brownout", "volts": 3.5, "sag_s": 0.2, "silent_s": 0.3}
    {"do": "unplug"}, {"do": "replug"}                          the pty; answered with its path
    {"do": "after_writes", "count": 3, "then": {"do": "unplug"}}  when 3 more EEPROM writes are stored, unanswered
    {"do": "report"}                                            frames, registers, journal

and with a plant, by joint:

    {"do": "hand", "joints": {"elbow_flex": 40}, "speed": 600}  limp joints, degrees and degrees/s; answered at once
    {"do": "attach", "joints": ["gripper"]}                     only these are on the cable
    {"do": "lose", "joint": "gripper", "lost": true}            it answers nothing
    {"do": "stored"}                                            EEPROM as after a power cycle; degrees; hands at work
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_joints import JointedWorld
from firmware_bridge.sts.virtual_port import VirtualPort
from firmware_bridge.sts.virtual_servo import VirtualServo
from firmware_bridge.sts.virtual_world import FirstOrderWorld

SHOWN = ("Torque_Enable", "Goal_Position", "Present_Position", "Lock", "P_Coefficient", "Homing_Offset")
HAND_SPEED = 600.0  # degrees/s
Answer = dict[str, Any]


def obey_line(port: VirtualPort, line: str) -> Answer:
    """Do the order in `line`, to the cable or to the servos on it."""
    return obey(port, json.loads(line))


def obey(port: VirtualPort, order: Answer) -> Answer:
    """Do one order; an order that cannot be done is answered with {"error": ...}."""
    try:
        name = order.pop("do")
        if name in _CABLE:
            return _CABLE[name](port)
        with port.lock:
            port.bus.advance(max(time.monotonic(), port.bus.now))
            if name == "after_writes":
                return _after_writes(port, **order)
            return _ORDERS[name](port.bus, **order)
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        return {"error": f"{type(error).__name__}: {error}", "orders": sorted([*_ORDERS, *_CABLE, "after_writes"])}


def _unplug(port: VirtualPort) -> Answer:
    port.unplug()
    return {"ok": True}


def _replug(port: VirtualPort) -> Answer:
    return {"port": port.replug()}


def _after_writes(port: VirtualPort, count: int, then: Answer) -> Answer:
    if then["do"] not in {*_ORDERS, *_CABLE}:
        raise ValueError(f"no order named {then['do']}")

    def happen() -> None:
        obey(port, then)

    port.bus.after_writes(count, happen)
    return {"ok": True}


def _servo(bus: VirtualBus, servo: int) -> VirtualServo:
    return next(item for item in bus.servos if item.servo == servo)


def _fault(bus: VirtualBus, servo: int | None = None, **fields: Any) -> Answer:
    target: Any = bus if servo is None else bus.faults[servo]
    for name, value in fields.items():
        if not hasattr(target, name):
            raise AttributeError(f"no fault named {name}")
        setattr(target, name, value)
    return {"ok": True}


def _set(bus: VirtualBus, servo: int, **fields: int) -> Answer:
    for name, value in fields.items():
        setattr(_servo(bus, servo), name, value)
    return {"ok": True}


def _write(bus: VirtualBus, servo: int, name: str, value: int) -> Answer:
    register = REGISTERS[name]
    _servo(bus, servo).write(register.address, register.encode(value))
    return {"ok": True}


def _place(bus: VirtualBus, servo: int, ticks: int) -> Answer:
    target = _servo(bus, servo)
    _movable(bus).place(bus.servos.index(target), ticks + target.get("Homing_Offset"))
    return {"ok": True}


def _block(bus: VirtualBus, servo: int, ticks: int | None = None) -> Answer:
    target = _servo(bus, servo)
    shaft = None if ticks is None else ticks + target.get("Homing_Offset")
    _movable(bus).block(bus.servos.index(target), shaft)
    return {"ok": True}


def _reboot(bus: VirtualBus, servo: int, silent_s: float = 0.0) -> Answer:
    _servo(bus, servo).restart(bus.now, silent_s)
    return {"ok": True}


def _power_cycle(bus: VirtualBus, silent_s: float = 0.0) -> Answer:
    bus.power_cycle(bus.now, silent_s)
    return {"ok": True}


def _brownout(bus: VirtualBus, **fields: float) -> Answer:
    bus.brown_out(**fields)
    return {"ok": True}


def _movable(bus: VirtualBus) -> FirstOrderWorld | JointedWorld:
    if not isinstance(bus.world, (FirstOrderWorld, JointedWorld)):
        raise TypeError("this world's shafts cannot be moved by hand")
    return bus.world


def _jointed(bus: VirtualBus) -> JointedWorld:
    if not isinstance(bus.world, JointedWorld):
        raise TypeError("these servos sit on no joints: start the process with --plant")
    return bus.world


def _mounted(bus: VirtualBus, joint: str) -> VirtualServo:
    return bus.servos[_jointed(bus).index(joint)]


def _hand(bus: VirtualBus, joints: dict[str, float], speed: float = HAND_SPEED) -> Answer:
    _jointed(bus).hand(joints, speed)
    return {"ok": True}


def _attach(bus: VirtualBus, joints: Sequence[str]) -> Answer:
    bus.attach([_mounted(bus, joint) for joint in joints], bus.now)
    return {"ok": True}


def _lose(bus: VirtualBus, joint: str, lost: bool = True) -> Answer:
    bus.faults_of(_mounted(bus, joint)).silent = lost
    return {"ok": True}


def _stored(bus: VirtualBus) -> Answer:
    world = _jointed(bus)
    names = [joint.name for joint in world.joints]
    return {
        "stored": {name: servo.stored() for name, servo in zip(names, bus.servos, strict=True)},
        "angles": {name: world.angle(name) for name in names},
        "handled": world.handled,
    }


def _report(bus: VirtualBus) -> Answer:
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
    "hand": _hand,
    "attach": _attach,
    "lose": _lose,
    "stored": _stored,
}
_CABLE = {"unplug": _unplug, "replug": _replug}
