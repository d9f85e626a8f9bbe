"""A check as a PNG: for each joint, how far it was from its goal on the way there and back.

Takes a Series, marks and the judged Health. A good joint draws a flat line with a small bow at each end, its lag;
play and friction open it into a loop as high as what is lost. Knows no arm.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from calib.health import plan
from calib.health.levels import BAD, GOOD, WORN
from calib.health.measure import Mark
from calib.health.result import Health, JointHealth
from calib.health.series import Series

Array = npt.NDArray[np.float64]
WIDE, HIGH, TOP, COLUMNS = 380, 250, 70, 3  # pixels of a panel, of the head; panels side by side
GROUND, INK, DIM, FRAME = "#ffffff", "#1f2933", "#7b8794", "#cbd2d9"
COLOURS = {GOOD: "#2f855a", WORN: "#975a16", BAD: "#c53030"}
LEAST = 1.5  # deg or % up and down from the middle, so that noise looks like noise
MOVES = (plan.BELOW, plan.ABOVE, plan.ONWARD, plan.REVERSED)
RESTS = (plan.BELOW, plan.ABOVE)


def write_png(series: Series, marks: Sequence[Mark], health: Health, path: Path) -> None:
    """Draws every joint that was moved. Raises OSError."""
    panels = [(place, joint) for place, joint in enumerate(health.joints) if _rows(series, marks, place, MOVES).size]
    lines = max(1, -(-len(panels) // COLUMNS))
    image = Image.new("RGB", (WIDE * COLUMNS, TOP + HIGH * lines), GROUND)
    pen = ImageDraw.Draw(image)
    name = health.facts.id or health.facts.robot
    _write(pen, 20, 12, f"{name}: {health.verdict}   {health.facts.when.replace('T', ' ')}", 20)
    words = "measured minus goal, over the goal's way; dots: at rest, where a loop's height is its backlash"
    _write(pen, 20, 42, words, 13, DIM)
    for number, (place, joint) in enumerate(panels):
        corner = (WIDE * (number % COLUMNS), TOP + HIGH * (number // COLUMNS))
        way, off = _path(series, marks, place, MOVES)
        _panel(pen, corner, (way, off), _title(joint), _verdict(health, joint))
        _dots(pen, corner, _path(series, marks, place, RESTS), _scale(way, off))
    image.save(path)


def _rows(series: Series, marks: Sequence[Mark], place: int, kinds: Sequence[str]) -> npt.NDArray[np.intp]:
    found = [series.during(mark.begin, mark.end) for mark in marks if mark.joint == place and mark.kind in kinds]
    return np.concatenate([np.arange(row.start, row.stop) for row in found]) if found else np.array([], np.intp)


def _path(series: Series, marks: Sequence[Mark], place: int, kinds: Sequence[str]) -> tuple[Array, Array]:
    rows = _rows(series, marks, place, kinds)
    goal, measured = series.commanded[rows, place], series.measured[rows, place]
    middle = np.median(series.commanded[_rows(series, marks, place, RESTS), place]) if rows.size else 0.0
    return goal - middle, measured - goal


def _scale(way: Array, off: Array) -> tuple[float, float]:
    """Pixels per deg or %, across and up."""
    across = max(1.0, float(np.abs(way[np.isfinite(way)]).max(initial=1.0)))
    up = max(LEAST, float(np.abs(off).max(initial=LEAST)))
    return (WIDE - 90) / 2 / across, (HIGH - 80) / 2 / up


def _panel(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], path: tuple[Array, Array], title: str, verdict: str
) -> None:
    left, top = corner
    scale = _scale(*path)
    middle = (left + WIDE / 2 + 10, top + 30 + (HIGH - 60) / 2)
    pen.rectangle((left + 45, top + 30, left + WIDE - 15, top + HIGH - 30), outline=FRAME)
    pen.line((left + 45, middle[1], left + WIDE - 15, middle[1]), fill=FRAME)
    _write(pen, left + 45, top + 6, title, 14, COLOURS[verdict])
    for tick in (-1, 1):
        _write(pen, left + 8, middle[1] - tick * scale[1] - 8, f"{tick:+d}", 12, DIM)
        pen.line((left + 40, middle[1] - tick * scale[1], left + 45, middle[1] - tick * scale[1]), fill=DIM)
    _write(pen, left + 45, top + HIGH - 26, f"{-path[0].max():.1f}", 12, DIM)
    _write(pen, left + WIDE - 45, top + HIGH - 26, f"{path[0].max():+.1f}", 12, DIM)
    points = [(middle[0] + x * scale[0], middle[1] - y * scale[1]) for x, y in zip(*path, strict=True)]
    pen.line(points, fill=COLOURS[verdict], width=2)


def _dots(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], path: tuple[Array, Array], scale: tuple[float, float]
) -> None:
    middle = (corner[0] + WIDE / 2 + 10, corner[1] + 30 + (HIGH - 60) / 2)
    for x, y in zip(*path, strict=True):
        at = (middle[0] + x * scale[0], middle[1] - y * scale[1])
        pen.ellipse((at[0] - 4, at[1] - 4, at[0] + 4, at[1] + 4), fill=INK)


def _title(joint: JointHealth) -> str:
    unit = "%" if joint.unit == "%" else " deg"
    known = [f"{word} {value:.1f}{unit}" for word, value in _told(joint) if value is not None]
    return ", ".join([joint.joint, *known])


def _told(joint: JointHealth) -> tuple[tuple[str, float | None], ...]:
    return ("backlash", joint.backlash), ("dead band", joint.dead_band)


def _verdict(health: Health, joint: JointHealth) -> str:
    """Of what the picture shows."""
    keys = ("backlash", "dead_band", "followed", "error", "lag_ms")
    found = {item.verdict for item in health.findings if item.joint == joint.joint and item.quantity in keys}
    return BAD if BAD in found else WORN if WORN in found else GOOD


def _write(pen: ImageDraw.ImageDraw, x: float, y: float, text: str, size: int, colour: str = INK) -> None:
    pen.text((x, y), text, fill=colour, font=ImageFont.load_default(size))
