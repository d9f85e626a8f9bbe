"""A bridge's status as a table for people and as plain data for programs. Pure: takes Info and Status."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from firmware_bridge.client import Info, Status

MODE_STYLE = {
    **dict.fromkeys(("estop", "fault"), "bold white on red"),
    **dict.fromkeys(("ready", "parking", "lowering"), "cyan"),
    "running": "green",
    "paused": "yellow",
    "shadow": "magenta",
}
COLUMNS = ("joint", "measured", "commanded", "speed", "load", "current", "heat", "voltage", "servo")
DROPPED = ("voltage", "current", "load", "speed", "heat", "commanded")  # first to last, in a narrow terminal
WIDE = 10_000
CLAMPS_SHOWN = 6
ABSENT = "-"


def view(info: Info, status: Status | None, gone: str = "") -> RenderableType:
    """Everything about one bridge. `gone`: why it does not answer."""
    head = Text()
    head.append(f"{info.id}", style="bold")
    head.append(f"  {info.arm} on {info.port}{'' if info.live else '  (not live: reads only)'}  pid {info.pid}")
    if status is None:
        return Group(head, Text(gone or "no status yet", style="bold red"))
    # What is wrong stands above the table: a low terminal cuts the end off.
    return Group(head, mode_line(status), *troubles(info, status, gone), Fitting(info, status), *notes(status))


def mode_line(status: Status) -> Text:
    """Mode, torque and how punctual it is."""
    line = Text()
    line.append(f" {status.mode} ", style=MODE_STYLE.get(status.mode, ""))
    line.append(f"  torque {status.torque}", style="" if status.torque == "off" else "bold")
    late = f"  late now {1000 * status.lateness_s:.1f} ms, worst {1000 * status.worst_lateness_s:.1f} ms"
    line.append(f"  tick {status.tick}{late}, missed {status.late_ticks}", style="dim")
    return line


class Fitting:
    """The table with as many of its columns as the terminal is wide."""

    def __init__(self, info: Info, status: Status) -> None:
        self._facts = (info, status)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        for count in range(len(DROPPED) + 1):
            rows = table(*self._facts, DROPPED[:count])
            if Measurement.get(console, options.update(width=WIDE), rows).maximum <= options.max_width:
                break
        yield rows


def table(info: Info, status: Status, without: Sequence[str] = ()) -> Table:
    """A row for each joint; angles in degrees, a gripper in % of open."""
    rows = Table(box=None, pad_edge=False)
    shown = [place for place, name in enumerate(COLUMNS) if name not in without]
    for name in (COLUMNS[place] for place in shown):
        rows.add_column(name, justify="left" if name in ("joint", "servo") else "right", no_wrap=True)
    for place, joint in enumerate(info.joints):
        gripper = joint in info.grippers
        unit, scale = ("%", 100.0) if gripper else ("°", 180 / math.pi)
        alarm = "alarm" if status.alarms[place] else "" if status.fresh[place] else "silent"
        cells = (
            joint,
            number(status.measured[place] * scale, 1, unit),
            number(status.commanded[place] * scale, 1, unit),
            number(status.velocity[place] * scale, 0, f"{unit}/s"),
            number(status.load[place] * 100, 0, "%"),
            number(status.current[place], 2, " A"),
            number(status.temperature[place], 0, " °C"),
            number(status.voltage[place], 1, " V"),
            Text(alarm or "ok", style="bold red" if alarm else "green"),
        )
        rows.add_row(*(cells[place] for place in shown))
    return rows


def troubles(info: Info, status: Status, gone: str = "") -> list[Text]:
    """The fault, the way out of it, servos that say something else, and a bridge that does not answer."""
    lines = []
    if status.fault:
        lines.append(Text(status.fault, style="bold red"))
    if status.mode in ("estop", "fault"):
        lines.append(Text(f"when its space is clear: armside bridge rearm {info.id}", style="bold"))
    for joint, alarm in zip(info.joints, status.alarms, strict=True):
        if alarm and alarm not in status.fault:
            lines.append(Text(f"{joint}: {alarm}", style="bold red"))
    if gone:
        lines.append(Text(gone, style="bold red"))
    return lines


def notes(status: Status) -> list[Text]:
    """What has no column: clamps and notes."""
    lines = []
    if status.clamped_total:
        counts = sorted(status.clamp_counts, key=lambda item: -item[1])
        shown = ", ".join(f"{what} {count}" for what, count in counts[:CLAMPS_SHOWN])
        more = f" and {len(counts) - CLAMPS_SHOWN} more" if len(counts) > CLAMPS_SHOWN else ""
        lines.append(Text(f"limited in {status.clamped_total} ticks: {shown}{more}", style="yellow"))
    if status.note and not status.fault.startswith(status.note):  # what became the fault is said there
        lines.append(Text(status.note, style="yellow"))
    return lines


def number(value: float, digits: int, unit: str) -> str:
    """A reading; what the servo does not report is a dash."""
    if not math.isfinite(value):
        return ABSENT
    return f"{round(value, digits) + 0.0:.{digits}f}{unit}"  # + 0.0: no "-0.0"


def data(info: Info, status: Status | None, gone: str = "") -> dict[str, Any]:
    """The same for programs: SI units, what is not reported is null."""
    return {
        "info": plain(dataclasses.asdict(info)),
        "status": None if status is None else plain(dataclasses.asdict(status)),
        "gone": gone,
    }


def plain(value: Any) -> Any:
    """As JSON takes it: arrays as lists, NaN and infinity as null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
