"""Which ports there are, and what is plugged in there: serial ports and CAN interfaces by their USB adapters.

Takes the root of the kernel's files and patterns of device names, gives Ports. Opens and asks nothing, so it
disturbs nobody. Knows no servos.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from calib.adapters import Adapter, find

PATTERNS = ("/dev/ttyACM*", "/dev/ttyUSB*", "/dev/ttyCH343USB*")  # the last: WCH's own driver
CAN_TYPE = "280"  # ARPHRD_CAN in linux/if_arp.h
IFF_UP = 1


@dataclass(frozen=True, slots=True)
class Usb:
    """A USB device as sysfs shows it."""

    vendor: str
    product: str
    serial: str  # "" where the adapter has none
    name: str
    socket: str  # where it is plugged in, such as 1-2.4


@dataclass(frozen=True, slots=True)
class Port:
    """One port. `device` is what the kernel calls it now, `stable` what stays when it is plugged in again."""

    device: str  # /dev/ttyACM0, can0
    stable: str = ""  # /dev/serial/by-id/..., by-path where the adapter has no serial number
    usb: Usb | None = None
    can: bool = False  # a CAN interface
    up: bool = True  # of a CAN interface
    named: bool = False  # somebody asked for just this one

    @property
    def name(self) -> str:
        """What belongs into a profile."""
        return self.stable or self.device

    @property
    def adapter(self) -> Adapter | None:
        """The known adapter that it is."""
        return find(self.usb.vendor, self.usb.product) if self.usb else None

    @property
    def speaks_can(self) -> bool:
        """Motors on CAN may be behind it."""
        return self.can or (self.adapter is not None and self.adapter.can)

    @property
    def likely(self) -> bool:
        """An arm may hang on it: a known adapter, a CAN interface, or a port that was asked for."""
        return self.named or self.can or self.adapter is not None

    @property
    def same(self) -> tuple[str, ...]:
        """What tells the adapter again after it was unplugged, whatever the kernel calls it then."""
        usb = self.usb
        if usb is None:
            return (self.device,)
        return (usb.vendor, usb.product, usb.serial or usb.socket, "can" if self.can else "tty")


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look. `named`: the patterns were given by a person."""

    root: Path = Path("/")
    patterns: tuple[str, ...] = PATTERNS
    named: bool = False


def look(place: Place) -> tuple[Port, ...]:
    """Every port that is there now, serial ones first."""
    links = dict(_links(place.root))
    return tuple([*_serial(place, links), *_can(place.root)])


def lasting(port: Port) -> str:
    """Why its name stays, or does not, in a few words."""
    if "/by-id/" in port.stable:
        return "this name stays, whatever else is plugged in"
    if "/by-path/" in port.stable:
        return "the adapter has no serial number: this name stays while it is plugged into the same socket"
    if port.can:
        return "can0 and can1 may change places: armside bridge install"
    if port.usb is None:
        return "not a USB adapter"
    return "this name may change when something else is plugged in"


# -- inside


def _serial(place: Place, links: dict[str, list[str]]) -> Iterator[Port]:
    for pattern in place.patterns:
        for path in sorted(glob.glob(str(place.root / pattern.lstrip("/")))):
            device = "/" + os.path.relpath(path, place.root)
            real = os.path.realpath(path)
            usb = usb_of(place.root / "sys/class/tty" / Path(real).name / "device")
            stable = "" if place.named else _stable(links.get(real, []), usb)
            yield Port(device, stable, usb, named=place.named)


def _can(root: Path) -> Iterator[Port]:
    for folder in sorted((root / "sys/class/net").glob("*")):
        if _line(folder / "type") == CAN_TYPE:
            flags = _line(folder / "flags")
            up = bool(int(flags, 16) & IFF_UP) if flags.startswith("0x") else False
            yield Port(folder.name, "", usb_of(folder / "device"), can=True, up=up)


def usb_of(device: Path) -> Usb | None:
    """The USB device above a kernel device; None where there is none."""
    place = Path(os.path.realpath(device))
    for folder in (place, *place.parents):
        if (folder / "idVendor").is_file():
            vendor, product, serial, name = (
                _line(folder / key) for key in ("idVendor", "idProduct", "serial", "product")
            )
            return Usb(vendor, product, serial, name, folder.name)
    return None


def _links(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Real device -> the names that udev gave it, the best first: they are sorted, and id comes before path."""
    found: dict[str, list[str]] = {}
    for kind in ("by-id", "by-path"):
        for link in sorted((root / "dev/serial" / kind).glob("*")):
            found.setdefault(os.path.realpath(link), []).append("/" + os.path.relpath(link, root))
    return iter(found.items())


def _stable(names: list[str], usb: Usb | None) -> str:
    """Without a serial number two adapters share one by-id name, and it leads to whichever came last."""
    for name in names:
        if "/by-path/" in name or (usb is not None and usb.serial):
            return name
    return ""


def _line(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
