"""The last lines of a terminal, written over again and again without flicker: no line is empty in between.

Takes what rich can print; each picture is one write that erases only what the new one leaves over. Knows no view.
"""

from __future__ import annotations

import contextlib

from rich.console import Console, RenderableType

HIDE, SEEN = "\x1b[?25l", "\x1b[?25h"  # the cursor
REST_OF_LINE, REST = "\x1b[K", "\x1b[J"  # erase it


class LiveArea:
    """`draw` as often as you like, `end` erases it. A terminal that went away is no error here."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines = 0  # on the screen now
        self._size = console.size

    @property
    def drawn(self) -> bool:
        """Something is there."""
        return self._lines > 0

    @property
    def resized(self) -> bool:
        """The terminal has another size than at the last `draw`, and has broken its lines anew."""
        return self.drawn and self._console.size != self._size

    def draw(self, picture: RenderableType) -> None:
        """In place of the last picture; what a low terminal has no room for is cut off below."""
        self._size = self._console.size
        with self._console.capture() as captured:
            self._console.print(picture, width=self._size.width - 1)  # REST_OF_LINE erases a last column
        lines = captured.get().splitlines()[: self._size.height - 1]
        start = HIDE if not self.drawn else f"\x1b[{self._lines}A\r"
        self._write(start + "".join(f"{line}{REST_OF_LINE}\n" for line in lines) + REST)
        self._lines = len(lines)

    def end(self) -> None:
        """Erased, the cursor where the area began."""
        if self.drawn:
            self._write(f"\x1b[{self._lines}A\r{REST}{SEEN}")
        self._lines = 0

    def clear(self) -> None:
        """After a resize nobody knows what stands where: the whole screen is erased."""
        self._write("\x1b[H\x1b[2J")
        self._lines = 0

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._console.file.write(text)
            self._console.file.flush()
