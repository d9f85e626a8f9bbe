"""A calibration as a table for people: what the servos held, what they are to hold, and how sure its numbers are.

Takes rows of numbers, gives lines of text. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calib.sts.zero import Zeroed
from firmware_bridge.sts.travel import DEGREES_PER_TICK

HEADS = ("joint", "offset", "min", "max", "degrees", "horn", "zero")


@dataclass(frozen=True, slots=True)
class Held:
    """What one servo holds now, ticks."""

    offset: int
    low: int
    high: int


def table(rows: Mapping[str, Zeroed], held: Mapping[str, Held], grippers: Sequence[str]) -> tuple[str, ...]:
    """A head and a line for each joint: now -> new; a gripper's horn has no middle to be off."""
    cells = [HEADS, *(_cells(joint, row, held[joint], joint in grippers) for joint, row in rows.items())]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADS))]
    return tuple(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _cells(joint: str, row: Zeroed, held: Held, gripper: bool) -> tuple[str, ...]:
    new = row.calibration
    width = (new.range_max - new.range_min) * DEGREES_PER_TICK
    return (
        joint,
        _change(held.offset, new.homing_offset),
        _change(held.low, new.range_min),
        _change(held.high, new.range_max),
        f"{width:.0f}",
        "" if gripper else f"{row.horn_deg:+.0f}",
        f"+-{abs(row.doubt_deg) / 2:.1f}",
    )


def _change(old: int, new: int) -> str:
    return f"{new}" if old == new else f"{old} -> {new}"
