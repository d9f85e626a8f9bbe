"""Virtual YAM motors as a process: `python -m firmware_bridge.damiao.virtual_process --robot bi-yam`.

Prints one JSON line with the port (two joined by a comma for two arms), then serves until its stdin ends
(its parent died or closed it) or SIGTERM. Buses are CAN over multicast within this host, or ptys that speak
slcan where multicast does not come through; `--link` chooses. Each stdin line is a JSON order for tests and
demos, answered by one JSON line:

    {"do": "fault", "motor": "joint_3", "late_s": 0.06, "late": 1}   fields of virtual_can.Faults
    {"do": "set", "motor": "joint_3", "mos": 120, "voltage": 10.0}    mos, rotor, voltage, nibble
    {"do": "write", "motor": "joint_3", "name": "TIMEOUT", "value": 0}
    {"do": "place", "motor": "joint_2", "joint": 1.2}                 rad, gripper 0..1
    {"do": "hand", "joints": {"joint_2": 0.4}, "speed": 3.0}          hands move it there and hold it; null lets go
    {"do": "stop", "motor": "gripper", "low": 0.4, "high": 1.0}       something is in its way
    {"do": "reboot", "motor": "joint_3"}
    {"do": "report"}                                                  frames, motors, journal
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import can

from firmware_bridge import robots
from firmware_bridge.damiao import calibration as calibrations
from firmware_bridge.damiao.can_port import Spec, open_port
from firmware_bridge.damiao.nibbles import meaning
from firmware_bridge.damiao.registers import REGISTERS, TIMEOUT_UNIT_S
from firmware_bridge.damiao.virtual_arm import VirtualArm
from firmware_bridge.damiao.virtual_can import VirtualCan, VirtualChannel
from firmware_bridge.damiao.virtual_motor import FRICTION
from firmware_bridge.damiao.virtual_slcan import VirtualSlcan
from firmware_bridge.errors import PortError
from firmware_bridge.priority import favour

GROUP = "239.74.163.2"
HEARD_S = 0.5
SETTABLE = ("mos", "rotor", "voltage", "nibble")
JOURNAL_ROWS = 4000  # newest rows of a report


class VirtualProcess:
    """A virtual arm and its channels, and orders to them."""

    def __init__(self, arm: VirtualArm) -> None:
        self.arm = arm
        self.channels = [VirtualChannel(arm, bus) for bus in range(arm.buses)]

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do one order; an order that cannot be done is answered with {"error": ...}."""
        orders: dict[str, Callable[..., dict[str, Any]]] = {
            "fault": self._fault,
            "set": self._set,
            "write": self._write,
            "place": self._place,
            "hand": self._hand,
            "stop": self._stop,
            "reboot": self._reboot,
            "report": self._report,
        }
        try:
            with self.arm.lock:
                return orders[order.pop("do")](**order)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            return {"error": f"{type(error).__name__}: {error}", "orders": sorted(orders)}

    def _index(self, motor: str) -> int:
        return self.arm.robot.joints.index(motor)

    def _fault(self, motor: str, **fields: Any) -> dict[str, Any]:
        index = self._index(motor)
        faults = next(channel.faults[index] for channel in self.channels if index in channel.faults)
        for name, value in fields.items():
            if not hasattr(faults, name):
                raise AttributeError(f"no fault named {name}")
            setattr(faults, name, value)
        return {"ok": True}

    def _set(self, motor: str, **fields: Any) -> dict[str, Any]:
        for name, value in fields.items():
            if name not in SETTABLE:
                raise AttributeError(f"{name} cannot be set; {', '.join(SETTABLE)} can")
            setattr(self.arm.motors[self._index(motor)], name, value)
        return {"ok": True}

    def _write(self, motor: str, name: str, value: float) -> dict[str, Any]:
        target = self.arm.motors[self._index(motor)]
        target.registers[REGISTERS[name].name] = target.saved[name] = float(value)
        return {"ok": True}

    def _place(self, motor: str, joint: float) -> dict[str, Any]:
        self.arm.place(self._index(motor), joint)
        return {"ok": True}

    def _hand(self, joints: dict[str, float | None], speed: float = 3.0) -> dict[str, Any]:
        self.arm.hand(joints, speed)
        return {"ok": True}

    def _stop(self, motor: str, low: float, high: float) -> dict[str, Any]:
        self.arm.stop(motor, low, high)
        return {"ok": True}

    def _reboot(self, motor: str) -> dict[str, Any]:
        self.arm.motors[self._index(motor)].reboot()
        return {"ok": True}

    def _report(self) -> dict[str, Any]:
        self.arm.advance(time.monotonic())
        frames: dict[str, int] = {}
        for channel in self.channels:
            for what, count in channel.frames.items():
                frames[what] = frames.get(what, 0) + count
        names = self.arm.robot.joints
        rows = sorted((row for channel in self.channels for row in channel.journal), key=lambda row: row.t)
        pose = self.arm.joints().tolist()
        motors = {
            name: {"nibble": motor.nibble, "says": meaning(motor.nibble), "joint": joint, "torque": motor.torque}
            for name, motor, joint in zip(names, self.arm.motors, pose, strict=True)
        }
        journal = [[row.t, names[row.motor], row.what, row.data.hex(), row.joint] for row in rows[-JOURNAL_ROWS:]]
        return {"now": time.monotonic(), "frames": frames, "motors": motors, "journal": journal}


def main() -> int:
    options = _options()
    robot = robots.find(options.robot)
    if options.calibration:
        calibration = calibrations.load(options.calibration, robot)
    else:
        calibration = calibrations.shipped(robot, options.gripper)
    process = VirtualProcess(VirtualArm(robot, calibration, reversed=options.reversed))
    for motor in process.arm.motors:
        motor.friction = options.friction
        motor.registers["TIMEOUT"] = motor.saved["TIMEOUT"] = round(options.timeout_ms / 1000.0 / TIMEOUT_UNIT_S)
    # Ctrl-C in the terminal is for whoever runs the arm; motors go when their owner goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    favour()
    port = ",".join(serve(process.channels, options.link))
    with contextlib.suppress(BrokenPipeError):  # our owner was stopped meanwhile: stdin ends too
        os.write(sys.stdout.fileno(), json.dumps({"port": port}).encode() + b"\n")
    for line in sys.stdin:
        print(json.dumps(process.obey(json.loads(line))), flush=True)
    return 0


def serve(channels: list[VirtualChannel], link: str) -> list[str]:
    """Start threads that serve `channels`; the ports where they are found."""
    if link in ("udp_multicast", "auto"):
        specs = free_ports(len(channels))
        if link == "udp_multicast" or all(comes_through(spec) for spec in specs):
            for channel, spec in zip(channels, specs, strict=True):
                VirtualCan(channel, open_port(spec)).start()
            return [str(spec) for spec in specs]
    return [f"slcan:{VirtualSlcan(channel).start().path}" for channel in channels]


def free_ports(count: int) -> list[Spec]:
    """Multicast buses that nobody else on this host uses."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)]
        for item in sockets:
            item.bind(("", 0))
        return [Spec("udp_multicast", f"{GROUP}:{item.getsockname()[1]}") for item in sockets]


def comes_through(spec: Spec) -> bool:
    """Whether a frame sent to `spec` is heard on this host: without any network route it is not."""
    try:
        with open_port(spec) as one, open_port(spec) as other:
            one.send(can.Message(arbitration_id=0x7F0, data=b"", is_extended_id=False))
            return other.recv(HEARD_S) is not None
    except (PortError, can.CanError, OSError):
        return False


def _options() -> argparse.Namespace:
    assert __doc__
    parser = argparse.ArgumentParser(prog="firmware_bridge.damiao.virtual_process", description=__doc__.split("\n")[0])
    parser.add_argument("--robot", required=True)
    parser.add_argument("--calibration", default="", help="the arm's file, see damiao/calibration.py")
    parser.add_argument("--gripper", default="", help="its type where no calibration says it")
    parser.add_argument("--timeout-ms", type=float, default=400.0, help="the motors' watchdog; 0 switches it off")
    parser.add_argument("--reversed", nargs="*", default=[], metavar="JOINT", help="their motors turn the other way")
    parser.add_argument("--friction", type=float, default=FRICTION, metavar="N M S/RAD", help="of each motor's gear")
    parser.add_argument("--link", default="auto", choices=("auto", "udp_multicast", "slcan"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
