"""What a person saw in a terminal as a picture: the cells of tests/terminals.py, drawn one by one. Uses Pillow.

Braille dots and block lines are drawn here, because fonts leave gaps between them; letters are DejaVu Sans Mono's.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from calib.canvas import DOTS
from tests.terminals import Cell, Cells

FONTS = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono{}.ttf"  # Debian's fonts-dejavu-core
SIZE, CELL = 30, (18, 36)  # px
HEAD, EDGE = 56, 16  # px: the bar with the command, the rim
PAPER, INK, BAR, DIM = "#1e2329", "#d7dde4", "#2b323a", 0.55
COLOURS = ("#111418", "#e5534b", "#57ab5a", "#d4a72c", "#539bf5", "#b083f0", "#39c5cf", "#d7dde4")
LINES = {"━": (1.0, 5), "─": (1.0, 2), "┄": (0.5, 3)}  # share of the cell, px


def write_png(cells: Cells, title: str, path: Path, start: str = "") -> None:
    """The screen from the first line that begins with `start` to its last, at half of what is drawn: smooth edges."""
    written = [index for index, line in enumerate(cells.lines) if line]
    first = next(index for index in written if cells.lines[index].startswith(start))
    rows = cells.rows[first : written[-1] + 1]
    width = max(len(title) + 8, *(len(line) for line in cells.lines))
    size = (width * CELL[0] + 2 * EDGE, len(rows) * CELL[1] + HEAD + EDGE)
    image = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, size[0], HEAD - 10), fill=BAR)
    pen.text((EDGE, 8), f"$ {title}", fill=INK, font=_font(True))
    for y, row in enumerate(rows):
        for x, cell in enumerate(row[:width]):
            _cell(pen, cell, (EDGE + x * CELL[0], HEAD + y * CELL[1]))
    image.resize((size[0] // 2, size[1] // 2), Image.Resampling.LANCZOS).quantize(96, Image.Quantize.FASTOCTREE).save(
        path, optimize=True
    )


def _cell(pen: ImageDraw.ImageDraw, cell: Cell, corner: tuple[int, int]) -> None:
    style, (x, y) = cell.style, corner
    ink = INK if style.ink is None else COLOURS[style.ink % 8]
    paper = PAPER if style.paper is None else COLOURS[style.paper % 8]
    if style.dim:
        ink = _mix(ink, paper, DIM)
    if style.reverse:
        ink, paper = paper, ink
    if paper != PAPER:
        pen.rectangle((x, y, x + CELL[0] - 1, y + CELL[1] - 1), fill=paper)
    dots = ord(cell.letter) - 0x2800
    if 0 < dots < 256:
        for row, bits in enumerate(DOTS):
            for column, bit in enumerate(bits):
                if dots & bit:
                    middle = (x + CELL[0] * (column + 0.5) / 2, y + CELL[1] * (row + 0.5) / 4)
                    pen.ellipse((middle[0] - 3.5, middle[1] - 3.5, middle[0] + 3.5, middle[1] + 3.5), fill=ink)
    elif cell.letter in LINES:
        share, thick = LINES[cell.letter]
        pen.rectangle((x, y + (CELL[1] - thick) / 2, x + CELL[0] * share - 1, y + (CELL[1] + thick) / 2), fill=ink)
    elif cell.letter == "●" or cell.letter == "◉":
        radius = 7 if cell.letter == "●" else 9
        middle = (x + CELL[0] / 2, y + CELL[1] / 2)
        box = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
        pen.ellipse(box, fill=COLOURS[3] if cell.letter == "◉" else ink)
    elif cell.letter.strip():
        pen.text((x, y), cell.letter, fill=ink, font=_font(style.bold))


def _mix(one: str, other: str, share: float) -> str:
    parts = [round(int(one[i : i + 2], 16) * share + int(other[i : i + 2], 16) * (1 - share)) for i in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)


def _font(bold: bool) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS.format("-Bold" if bold else ""), SIZE)
