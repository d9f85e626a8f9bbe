"""The USB adapters that arms hang on, by vendor and product id. Data only; sources: docs/sources.md.

A chip's id says which adapter is plugged in, not what hangs on it: the same CH340 sits on Arduinos. So an id
makes a port a candidate, and only its servos' answers make it the arm's.
"""

from __future__ import annotations

from dataclasses import dataclass

TTY, NET = "tty", "net"


@dataclass(frozen=True, slots=True)
class Adapter:
    """One kind. `subsystem`: what the kernel makes of it, a serial port (tty) or a CAN interface (net)."""

    vendor: str  # four hex digits, as in lsusb
    product: str
    name: str
    subsystem: str = TTY
    can: bool = False  # motors on CAN behind it, be it a serial port (slcan) or an interface


ADAPTERS = (
    Adapter("1a86", "55d3", "CH343, the driver board of SO-100 and SO-101 (Waveshare and others)"),
    Adapter("1a86", "7523", "CH340, Feetech URT boards and others; no serial number"),
    Adapter("1a86", "55d4", "CH9102"),
    Adapter("10c4", "ea60", "CP210x, driver boards with an ESP32"),
    Adapter("0403", "6001", "FTDI FT232R"),
    Adapter("0403", "6014", "FTDI FT232H"),
    Adapter("0403", "6015", "FTDI FT230X and FT231X"),
    Adapter("16d0", "117e", "CANable with slcan firmware", TTY, can=True),
    Adapter("ad50", "60c4", "CANable with old slcan firmware", TTY, can=True),
    Adapter("1d50", "606f", "CANable and others with gs_usb firmware", NET, can=True),
    Adapter("1209", "2323", "candleLight", NET, can=True),
    Adapter("1cd2", "606f", "CES CANext FD", NET, can=True),
    Adapter("16d0", "10b8", "ABE CAN Debugger FD", NET, can=True),
    Adapter("16d0", "0f30", "Xylanta SAINT3", NET, can=True),
    Adapter("1209", "ca01", "CANnectivity", NET, can=True),
)
_BY_ID = {(row.vendor, row.product): row for row in ADAPTERS}


def find(vendor: str, product: str) -> Adapter | None:
    """The row of an id as sysfs writes it, None for one that is in no row."""
    return _BY_ID.get((vendor.lower(), product.lower()))
