"""What `armside find-port` found, in words or as JSON. Reads who holds a port; opens none."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from armside.calib_target import Target
    from calib.ports import Port
    from calib.setup.probe import Probed

NOTHING = """no adapter that an arm could hang on
  - is the USB cable plugged in, and does it carry data? some only charge
  - is the board's power on? some boards show up only then
  - armside doctor looks at permissions (the group dialout) and at ModemManager, which takes ports away"""


@dataclass(frozen=True, slots=True)
class Answer:
    """All of it. `port` None: there is no single one."""

    how: str  # "adapter", "servos", "unplugged"
    ports: tuple[Port, ...]
    port: Port | None
    count: int  # ports that it could be
    probed: tuple[Probed, ...] = ()
    saved: str = ""  # what was written into the profile


def show(answer: Answer, target: Target, as_json: bool) -> None:
    """On stdout."""
    if as_json:
        print(json.dumps(data_of(answer), indent=1))
        return
    for port in answer.ports:
        print("\n".join(_lines(port, answer)))
    print(("\n" if answer.ports else "") + _verdict(answer, target))
    if answer.saved:
        print(answer.saved)


def data_of(answer: Answer) -> dict[str, Any]:
    """For programs."""
    probed = {one.port.device: one for one in answer.probed}
    return {
        "port": answer.port.name if answer.port else None,
        "how": answer.how,
        "ports": [
            {
                "device": port.device,
                "stable": port.stable,
                "can": port.can,
                "up": port.up,
                "usb": None if port.usb is None else {
                    "vendor": port.usb.vendor, "product": port.usb.product,
                    "serial": port.usb.serial, "name": port.usb.name, "socket": port.usb.socket,
                },
                "adapter": port.adapter.name if port.adapter else None,
                "held_by": _holders(port),
                "servos": [
                    {"id": servo.id, "baud": servo.baud, "model": servo.model, "firmware": servo.firmware}
                    for servo in probed[port.device].servos
                ] if port.device in probed else None,
                "says": probed[port.device].text if port.device in probed else None,
            }
            for port in answer.ports
        ],
        "saved": answer.saved,
    }  # fmt: skip


def _lines(port: Port, answer: Answer) -> list[str]:
    from calib.ports import lasting

    usb = port.usb
    label = port.adapter.name if port.adapter else (usb.name if usb and usb.name else "no known adapter")
    ident = f" ({usb.vendor}:{usb.product}{f', serial {usb.serial}' if usb.serial else ''})" if usb else ""
    state = "" if not port.can else ", up" if port.up else ", down: sudo ip link set it up (armside doctor)"
    lines = [f"{port.device}: {label}{ident}{state}"]
    if port.likely:
        lines.append(f"  {port.stable or port.device}: {lasting(port)}")
    if not port.can and not os.access(port.device, os.R_OK | os.W_OK):
        lines.append("  this user may not open it: sudo usermod -aG dialout $USER, then log out and in")
    lines += [f"  in use: {holder}" for holder in _holders(port)]
    lines += [f"  {one.text}" for one in answer.probed if one.port == port]
    return lines


def _holders(port: Port) -> list[str]:
    """Bridges of this user, and other programs."""
    from firmware_bridge.registry import all_running
    from firmware_bridge.sts.line import holders

    real = os.path.realpath(port.device)
    bridges = [row.id for row in all_running() if os.path.realpath(row.port) == real or row.port == port.device]
    named = [f"the bridge of {name} (armside bridge end {name})" for name in bridges]
    return named or ([] if port.can else holders(port.device))


def _verdict(answer: Answer, target: Target) -> str:
    if answer.port is not None:
        name = answer.port.name
        arm = target.id or f"{target.robot.name} --id NAME --port {name}"
        after = (
            "" if answer.saved else f"\nnext: armside setup-motors --robot {arm}, or armside calibrate --robot {arm}"
        )
        return f"the arm's port is {name}{after}"
    if not answer.count and answer.how == "servos" and answer.probed:
        return "no servo answered: check the arm's power supply, and the cable between the board and the first motor"
    if not answer.count:
        return NOTHING
    do = "armside find-port --unplug" if answer.how == "servos" else "armside find-port --probe, or --unplug"
    return f"it could be one of {answer.count}: {do} tells which"
