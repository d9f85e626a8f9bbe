"""Opens a CAN bus by the name of its port, through python-can. Gives a can.BusABC or an error that speaks.

    can0, socketcan:can0        a kernel interface             slcan:/dev/ttyACM0   a serial adapter
    gs_usb:0                    a candleLight adapter, by USB   virtual:NAME         within this process
    udp_multicast:239.74.163.2:PORT   between processes of this host, for virtual arms
    can0,can1   left=can0,right=can1   one for each arm of the robot

Knows nothing of frames or motors.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import can
import serial

from firmware_bridge.errors import ConfigError, PortBusy, PortError, PortLost, PortMissing, PortPermission, sentence

BITRATE = 1_000_000
SLCAN_BAUD = 2_000_000  # of the serial line, ignored by USB adapters
SLCAN_WAKE_S = 0.3  # an adapter that resets when opened
NETWORK = Path("/sys/class/net")
INTERFACES = ("socketcan", "gs_usb", "slcan", "virtual", "udp_multicast")


@dataclass(frozen=True, slots=True)
class Spec:
    """Which bus."""

    interface: str
    channel: str

    def __str__(self) -> str:
        return f"{self.interface}:{self.channel}"


def parse_port(port: str, buses: Sequence[str]) -> tuple[Spec, ...]:
    """The specs in `port`, one for each of the robot's `buses` ("" or "left", "right"). Raises ConfigError."""
    parts = [part.strip() for part in port.split(",")]
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    expected = "can0" if len(buses) == 1 else "can0,can1 or " + ",".join(f"{bus}=can{i}" for i, bus in enumerate(buses))
    do = "forms of one bus: can0, slcan:/dev/ttyACM0, gs_usb:0, udp_multicast:ADDRESS:PORT, virtual:NAME"
    if named:
        parts = [named.get(bus, "") for bus in buses] if set(named) == set(buses) and len(parts) == len(buses) else []
    if len(parts) != len(buses) or not all(parts) or len(set(parts)) != len(parts):
        raise ConfigError(sentence("port of the arm", expected=expected, got=port, do=do))
    return tuple(_parse_one(part, do) for part in parts)


def _parse_one(part: str, do: str) -> Spec:
    interface, colon, channel = part.partition(":")
    if not colon:
        interface, channel = ("slcan" if part.startswith("/dev/") else "socketcan"), part
    if interface not in INTERFACES or not channel:
        raise ConfigError(sentence("port of a CAN bus", expected=" or ".join(INTERFACES), got=part, do=do))
    if interface == "udp_multicast" and not channel.rpartition(":")[2].isdigit():
        raise ConfigError(sentence("port of a CAN bus", expected="udp_multicast:ADDRESS:PORT", got=part, do=do))
    if interface == "gs_usb" and not channel.isdigit():
        raise ConfigError(sentence("port of a CAN bus", expected="gs_usb:0, the adapter's number", got=part, do=do))
    return Spec(interface, channel)


def open_port(spec: Spec) -> can.BusABC:
    """The open bus. Raises PortMissing, PortPermission, PortBusy, PortLost."""
    if spec.interface == "socketcan":
        _check_network(spec.channel)
    try:
        return _OPENERS[spec.interface](spec.channel)
    except can.CanInterfaceNotImplementedError as error:
        do = 'install what python-can needs for it: pip install "python-can[gs-usb]"'
        raise PortMissing(sentence(f"{spec}: its driver is not installed", got=error, do=do)) from error
    except (can.CanError, OSError, ValueError) as error:
        raise _port_error(spec, error) from error


def _check_network(channel: str) -> None:
    do = f"sudo ip link set {channel} up type can bitrate {BITRATE}"
    if not (NETWORK / channel).exists():
        do = f"plug the adapter in, see `ip link`, then {do}"
        raise PortMissing(sentence(f"CAN interface {channel}", expected="an interface", got="none of that name", do=do))
    try:
        up = int((NETWORK / channel / "flags").read_text(), 16) & 1
    except (OSError, ValueError):
        return  # what is wrong with it shows when it is opened
    if not up:
        raise PortMissing(sentence(f"CAN interface {channel}", expected="up", got="down", do=do))


def _open_socketcan(channel: str) -> can.BusABC:
    return can.Bus(interface="socketcan", channel=channel)


def _open_gs_usb(channel: str) -> can.BusABC:
    return can.Bus(interface="gs_usb", channel=int(channel), bitrate=BITRATE)


def _open_slcan(channel: str) -> can.BusABC:
    pty = channel.startswith("/dev/pts/")
    bus: Any = can.Bus(
        interface="slcan",
        channel=channel,
        tty_baudrate=SLCAN_BAUD,
        bitrate=BITRATE,
        sleep_after_open=0.0 if pty else SLCAN_WAKE_S,
    )
    try:
        bus.serialPortOrig.exclusive = True  # a second program would steal frames
    except (OSError, ValueError):
        bus.shutdown()
        raise
    opened: can.BusABC = bus
    return opened


def _open_virtual(channel: str) -> can.BusABC:
    return can.Bus(interface="virtual", channel=channel)


def _open_udp(channel: str) -> can.BusABC:
    address, _, port = channel.rpartition(":")
    return can.Bus(interface="udp_multicast", channel=address, port=int(port), hop_limit=0, fd=False)


_OPENERS: dict[str, Callable[[str], can.BusABC]] = {
    "socketcan": _open_socketcan,
    "gs_usb": _open_gs_usb,
    "slcan": _open_slcan,
    "virtual": _open_virtual,
    "udp_multicast": _open_udp,
}
_MISSING = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EAFNOSUPPORT)
_BUSY = (errno.EBUSY, errno.EAGAIN, errno.EADDRINUSE)


def os_error(error: BaseException | None) -> OSError | None:
    """The system's error at the root of one of python-can's, if there is one."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _port_error(spec: Spec, error: Exception) -> PortError:
    root = os_error(error)
    number = root.errno if root is not None else None
    text = str(root or error)
    if number in (errno.EACCES, errno.EPERM) or "ermission denied" in text:
        do = "sudo usermod -aG dialout $USER, then log in again" if spec.interface == "slcan" else "check its udev rule"
        return PortPermission(sentence(f"{spec} may not be opened", got=text, do=do))
    if number in _BUSY or "exclusively lock" in text:
        return PortBusy(sentence(f"{spec} is busy", got=text, do="stop the program that has it"))
    if number in _MISSING or isinstance(error, can.CanInitializationError | ValueError):
        return PortMissing(sentence(f"{spec} cannot be opened", got=text, do="check the adapter, its cable and name"))
    return PortLost(sentence(f"{spec} cannot be opened", got=text, do="plug the adapter in again"))


def is_full(error: Exception) -> bool:
    """Whether sending failed because the way out is full (nobody acknowledges, or motors without power)."""
    root = os_error(error)
    if root is None:
        return True
    timed_out = isinstance(root, TimeoutError | serial.SerialTimeoutException)
    return timed_out or root.errno in (errno.ENOBUFS, errno.EAGAIN, errno.ETIMEDOUT)
