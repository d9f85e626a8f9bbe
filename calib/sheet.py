"""Pictures side by side with words under them, as one picture. PIL only; knows no cameras.

Takes rows of cells (a uint8 RGB array or None, and a few lines), gives a PIL image; `save` writes it whole.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

Picture = npt.NDArray[np.uint8]
CELL = (420, 315)  # pixels of a picture in the sheet
GAP, LINE = 14, 22
PAPER, INK, PALE, ALARM = (250, 250, 248), (25, 25, 25), (215, 215, 212), (170, 30, 30)
FONT_SIZE, HEAD_SIZE = 16, 20


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One picture and what stands under it. `alarm`: its first line is in red, and says so in words too."""

    picture: Picture | None
    lines: tuple[str, ...]
    alarm: bool = False


def sheet(rows: Sequence[Sequence[Cell]], title: str = "") -> Image.Image:
    """All cells, row by row."""
    columns = max((len(row) for row in rows), default=1)
    heights = [CELL[1] + LINE * max((len(cell.lines) for cell in row), default=0) + GAP for row in rows]
    top = GAP + (LINE + GAP if title else 0)
    paper = Image.new("RGB", (GAP + columns * (CELL[0] + GAP), top + sum(heights) + GAP), PAPER)
    pen = ImageDraw.Draw(paper)
    if title:
        pen.text((GAP, GAP), title, INK, ImageFont.load_default(HEAD_SIZE))
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            _draw(paper, pen, cell, (GAP + column * (CELL[0] + GAP), top))
        top += height
    return paper


def in_rows(cells: Sequence[Cell], columns: int = 3) -> list[Sequence[Cell]]:
    """A list of cells as rows of at most `columns`."""
    return [cells[start : start + columns] for start in range(0, len(cells), columns)]


def overlay(live: Picture, reference: Picture) -> Picture:
    """Both in one: the reference red, the live picture cyan; grey where they agree. In the live one's size."""
    height, width = live.shape[:2]
    ours = Image.fromarray(live).convert("L")
    theirs = Image.fromarray(reference).convert("L").resize((width, height))
    return np.asarray(Image.merge("RGB", (theirs, ours, ours)), np.uint8)


def save(image: Image.Image, path: Path) -> None:
    """Writes a PNG whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        image.save(half, "PNG")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def _draw(paper: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, at: tuple[int, int]) -> None:
    x, y = at
    pen.rectangle((x, y, x + CELL[0] - 1, y + CELL[1] - 1), PALE)
    if cell.picture is not None:
        small = ImageOps.contain(Image.fromarray(cell.picture), CELL)
        paper.paste(small, (x + (CELL[0] - small.width) // 2, y + (CELL[1] - small.height) // 2))
    font = ImageFont.load_default(FONT_SIZE)
    for number, line in enumerate(cell.lines):
        text = _fitting(pen, line, font)
        colour = ALARM if cell.alarm and number == 0 else INK
        pen.text((x, y + CELL[1] + 4 + number * LINE), text, colour, font)


def _fitting(pen: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    while pen.textlength(text, font) > CELL[0] and len(text) > 4:
        text = text[:-4] + "..."
    return text
