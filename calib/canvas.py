"""Lines and words on a sheet of terminal cells: Unicode's braille dots, or plain ASCII where those cannot be shown.

Takes places in cells (column, row from the top, fractions allowed); gives lines of text. Pure; knows no arm.
"""

from __future__ import annotations

import math

BRAILLE = 0x2800
# Bits of a cell's eight dots, [row][column], as Unicode numbers them.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
# What Unicode draws and what stands for it in ASCII.
PLAIN = str.maketrans(
    {"●": "o", "◉": "@", "─": "-", "│": "|", "→": ">", "←": "<", "↑": "^", "↓": "v", "↗": "/", "↖": "\\", "↘": "\\"}
    | {"↙": "/", "°": " "}
)
SLOPES = "-/|\\"  # of a line in ASCII, each an eighth of a turn further


class Canvas:
    """`width` x `height` cells. Words stand over lines; what is outside is cut off."""

    def __init__(self, width: int, height: int, plain: bool = False) -> None:
        self.width, self.height, self.plain = width, height, plain
        self._dots = [[0] * width for _ in range(height)]
        self._text = [[""] * width for _ in range(height)]

    def dot(self, column: float, row: float, mark: str = ".") -> None:
        """One dot; `mark` is what ASCII shows."""
        if not (0 <= column < self.width and 0 <= row < self.height):
            return
        x, y = int(column), int(row)
        if self.plain:
            self._text[y][x] = self._text[y][x] or mark
        else:
            self._dots[y][x] |= DOTS[int((row - y) * 4)][int((column - x) * 2)]

    def line(self, start: tuple[float, float], end: tuple[float, float], every: int = 1) -> None:
        """A line; `every` 3 makes it a dotted one."""
        across, down = end[0] - start[0], end[1] - start[1]
        steps = max(1, math.ceil(max(abs(across) * 2, abs(down) * 4)))
        slope = SLOPES[round(math.atan2(-2 * down, across) / (math.pi / 4)) % 4]  # cells are twice as high as wide
        for step in range(0, steps + 1, every):
            self.dot(start[0] + across * step / steps, start[1] + down * step / steps, slope)

    def write(self, column: int, row: int, text: str) -> None:
        """Words, over whatever is there."""
        for place, letter in enumerate(text):
            if 0 <= column + place < self.width and 0 <= row < self.height:
                self._text[row][column + place] = letter

    def free(self, column: int, row: int, length: int) -> bool:
        """Nothing is drawn there, and it is on the sheet."""
        if not (0 <= row < self.height and column >= 0 and column + length <= self.width):
            return False
        span = range(column, column + length)
        return not any(self._dots[row][x] or self._text[row][x] for x in span)

    def lines(self) -> list[str]:
        """The sheet, as wide as asked, spaces included."""
        return [self._row(y) for y in range(self.height)]

    def _row(self, y: int) -> str:
        cells = zip(self._text[y], self._dots[y], strict=True)
        row = "".join(text or (chr(BRAILLE + dots) if dots else " ") for text, dots in cells)
        return row.translate(PLAIN) if self.plain else row
