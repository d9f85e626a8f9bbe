"""Power modes of a Jetson: which one it is in, and which others it has. Pure: texts in, data out.

`nvpmodel` keeps the number of its mode in /var/lib/nvpmodel/status and the modes in /etc/nvpmodel.conf, and prints
both with -q. Their numbers differ from board to board: on an Orin Nano Super 2 is the fastest, on an AGX Orin 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

UNLIMITED = "MAXN"  # how the mode without a limit of power is called: MAXN, MAXN_SUPER


@dataclass(frozen=True, slots=True)
class PowerMode:
    """`number` -1: not said."""

    number: int
    name: str  # "" where only the number is known
    others: tuple[str, ...] = ()  # names of all modes of this board

    @property
    def text(self) -> str:
        """`25W (mode 1)`."""
        number = f"mode {self.number}" if self.number >= 0 else ""
        return f"{self.name} ({number})" if self.name and number else self.name or number

    @property
    def unlimited(self) -> bool:
        """Whether it is the mode without a limit."""
        return self.name.startswith(UNLIMITED)


def parse_modes(conf: str) -> dict[int, str]:
    """Number -> name, of /etc/nvpmodel.conf (`< POWER_MODEL ID=2 NAME=MAXN_SUPER >`)."""
    rows = re.findall(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", conf, re.MULTILINE)
    return {int(number): name for number, name in rows}


def parse_status(status: str, conf: str) -> PowerMode | None:
    """Of /var/lib/nvpmodel/status (`pmode:0002`) with the names of /etc/nvpmodel.conf; None: it says nothing."""
    match = re.search(r"pmode:(\d+)", status)
    if match is None:
        return None
    modes = parse_modes(conf)
    return PowerMode(int(match[1]), modes.get(int(match[1]), ""), tuple(modes.values()))


def parse_query(answer: str, conf: str = "") -> PowerMode | None:
    """Of what `nvpmodel -q` prints: `NV Power Mode: 25W`, and its number on the next line."""
    match = re.search(r"NV Power Mode:\s*(\S+)\s*(?:^(\d+)\s*$)?", answer, re.MULTILINE)
    if match is None:
        return None
    return PowerMode(int(match[2]) if match[2] else -1, match[1], tuple(parse_modes(conf).values()))


def fastest(modes: dict[int, str]) -> tuple[int, str] | None:
    """The mode without a limit, if the board has one."""
    return next(((number, name) for number, name in modes.items() if name.startswith(UNLIMITED)), None)
