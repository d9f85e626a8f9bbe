"""What language.py found, as a PNG: each joint's range in the policy's units, the arm's reach, a needle where it is.

Takes a Language and a path. Knows no arm and no terminal; language_text.py is the same in letters.
"""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from calib.language import INSIDE, UNKNOWN, Language, Row
from calib.language_text import AROUND, number, said

WIDTH, TOP, LINE = 1180, 84, 46  # pixels: the whole, above the first joint, for each joint
NAME, BAR, RIGHT = 20, 250, 860  # where names, the bar and the words begin
GROUND, INK, DIM = "#ffffff", "#1f2933", "#7b8794"
REACH, RANGE, GOOD, BAD, UNSURE = "#e4e7eb", "#9fb3c8", "#2f855a", "#c53030", "#975a16"
COLOURS = {INSIDE: GOOD, UNKNOWN: UNSURE}


def write_png(language: Language, path: Path, title: str) -> None:
    """Draws all joints below each other. Raises OSError."""
    image = Image.new("RGB", (WIDTH, TOP + LINE * len(language.rows) + 36), GROUND)
    pen = ImageDraw.Draw(image)
    _write(pen, NAME, 14, title or "does this arm speak the policy's language?", 20)
    key = "blue: the policy's range   grey: what the arm can do   needle: now"
    _write(pen, NAME, 46, f"frame {language.frame}   {key}", 14, DIM)
    for index, row in enumerate(language.rows):
        _row(pen, TOP + LINE * index, row)
    fits = "inside" if language.ok else "does not fit"
    _write(pen, NAME, image.height - 30, fits, 16, GOOD if language.ok else BAD)
    image.save(path)


def _row(pen: ImageDraw.ImageDraw, top: int, row: Row) -> None:
    colour = COLOURS.get(row.verdict, BAD)
    _write(pen, NAME, top + 10, row.joint, 16)
    _write(pen, RIGHT, top + 10, said(row)[:44], 14, colour)
    known = row.place.range
    if not known.known:
        _write(pen, BAR, top + 10, f"now {number(row.place.value)}", 14, DIM)
        return
    start, span = known.low - AROUND * known.width, (1 + 2 * AROUND) * known.width

    def x(value: float) -> float:
        return BAR + 60 + min(max((value - start) / span, 0.0), 1.0) * (RIGHT - BAR - 140)

    pen.rectangle((x(row.reach[0]), top + 16, x(row.reach[1]), top + 24), fill=REACH)
    pen.rectangle((x(known.low), top + 13, x(known.high), top + 27), fill=RANGE)
    _write(pen, BAR - 10, top + 11, number(known.low), 14, DIM)
    _write(pen, RIGHT - 70, top + 11, number(known.high), 14, DIM)
    if math.isfinite(row.place.value):
        at = x(row.place.value)
        pen.line((at, top + 6, at, top + 34), fill=colour, width=4)
        _write(pen, at + 6 if at < RIGHT - 160 else at - 48, top + 27, number(row.place.value), 13, colour)


def _write(pen: ImageDraw.ImageDraw, x: float, y: float, text: str, size: int, colour: str = INK) -> None:
    pen.text((x, y), text, fill=colour, font=ImageFont.load_default(size))
