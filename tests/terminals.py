"""A program in a real pseudo-terminal, and the screen that a person would see there: cells, not a stream of bytes.

`Program` runs it, types, resizes, hangs up; `Cells` is a small terminal that understands what Armside writes and
refuses what it does not know, so that no escape sequence passes unseen.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

DEADLINE_S = 60.0
TOKEN = re.compile(r"\x1b\[([0-?]*)([ -/]*[@-~])|\x1b(.)|(.)", re.DOTALL)
INCOMPLETE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*)?\Z")


@dataclass(frozen=True, slots=True)
class Style:
    """How a cell is written. Colours as numbers of the palette, None: the terminal's own."""

    ink: int | None = None
    paper: int | None = None
    bold: bool = False
    dim: bool = False
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    letter: str = " "
    style: Style = Style()


class Cells:
    """`height` lines of `width` cells; what scrolls off the top is in `gone`."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rows: list[list[Cell]] = [self._empty() for _ in range(height)]
        self.gone: list[str] = []
        self.x = self.y = 0
        self.cursor = True  # it is shown
        self.style = Style()
        self._rest = ""

    @property
    def lines(self) -> list[str]:
        """The screen as text, without spaces at the ends."""
        return ["".join(cell.letter for cell in row).rstrip() for row in self.rows]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def resize(self, width: int, height: int) -> None:
        """Lines keep their beginnings; a real terminal may break them anew."""
        self.width = width
        self.rows = [(row + self._empty())[:width] for row in self.rows]
        while len(self.rows) > height:
            self.gone.append("".join(cell.letter for cell in self.rows.pop(0)).rstrip())
            self.y = max(0, self.y - 1)
        self.rows += [self._empty() for _ in range(height - len(self.rows))]
        self.height, self.x = height, min(self.x, width - 1)

    def feed(self, text: str) -> None:
        """What a program wrote."""
        text = self._rest + text
        begun = INCOMPLETE.search(text)
        self._rest = text[begun.start() :] if begun else ""
        for numbers, final, short, letter in TOKEN.findall(text[: len(text) - len(self._rest)]):
            if letter:
                self._letter(letter)
            elif final:
                self._control(numbers, final)
            else:
                raise AssertionError(f"unknown: escape {short!r}")

    def _letter(self, letter: str) -> None:
        if letter == "\r":
            self.x = 0
        elif letter == "\n":
            self._down()
        elif letter >= " ":
            if self.x == self.width:
                self.x = 0
                self._down()
            self.rows[self.y][self.x] = Cell(letter, self.style)
            self.x += 1

    def _down(self) -> None:
        self.y += 1
        if self.y == self.height:
            self.gone.append("".join(cell.letter for cell in self.rows.pop(0)).rstrip())
            self.rows.append(self._empty())
            self.y -= 1

    def _control(self, numbers: str, final: str) -> None:
        first = int(numbers) if numbers.isdigit() else 0
        if final == "m":
            for number in numbers.split(";"):
                self._paint(int(number or 0))
        elif final == "A":
            self.y = max(0, self.y - (first or 1))
        elif final == "H" and not numbers:
            self.x = self.y = 0
        elif final == "K":
            start = 0 if first == 2 else min(self.x, self.width - 1)  # as xterm does after a full line
            self.rows[self.y][start:] = self._empty()[start:]
        elif final == "J":
            start = 0 if first == 2 else self.y
            if first != 2:
                self.rows[self.y][self.x :] = self._empty()[self.x :]
                start += 1
            self.rows[start:] = [self._empty() for _ in self.rows[start:]]
        elif final in "hl" and numbers == "?25":
            self.cursor = final == "h"
        else:
            raise AssertionError(f"unknown: {numbers!r} {final!r}")

    def _paint(self, number: int) -> None:
        flags = {1: {"bold": True}, 2: {"dim": True}, 7: {"reverse": True}, 22: {"bold": False, "dim": False}}
        if number == 0:
            self.style = Style()
        elif number in flags:
            self.style = replace(self.style, **flags[number])
        elif number == 27:
            self.style = replace(self.style, reverse=False)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            self.style = replace(self.style, ink=number % 10 + (8 if number >= 90 else 0))
        elif 40 <= number <= 47:
            self.style = replace(self.style, paper=number % 10)
        else:
            raise AssertionError(f"unknown colour: {number}")

    def _empty(self) -> list[Cell]:
        return [Cell()] * self.width


class Program:
    """A command whose stdin, stdout, stderr and controlling terminal are one pseudo-terminal."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, size: tuple[int, int] = (80, 24)
    ) -> None:
        self.cells = Cells(*size)
        self.ours, theirs = pty.openpty()
        self._set_size(*size)
        base = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        # Whoever leads a session and opens a terminal gets it as its own: Ctrl-C and hang-ups come from there.
        opened = ["sh", "-c", 'exec "$@" <>"$0" >&0 2>&0', os.ttyname(theirs)]
        self.process = subprocess.Popen(
            [*opened, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**base, "TERM": "xterm", **(env or {})},
            start_new_session=True,
        )
        self._theirs = theirs  # kept open until the program has it

    def read(self, wait_s: float = 0.0) -> bool:
        """What came is on the screen; whether something did."""
        if not select.select([self.ours], [], [], wait_s)[0]:
            return False
        data = b""
        with contextlib.suppress(OSError):  # EIO: nobody has it open any more
            data = os.read(self.ours, 65536)
            while select.select([self.ours], [], [], 0)[0] and (more := os.read(self.ours, 65536)):
                data += more
        self.cells.feed(data.decode(errors="replace"))
        return bool(data)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Until the screen has it."""
        deadline = time.monotonic() + DEADLINE_S
        while not (match := re.search(pattern, self.cells.text)):
            assert time.monotonic() < deadline, f"never {pattern!r} in\n{self.cells.text}"
            if not self.read(0.1) and self.process.poll() is not None and not self.read(0.0):
                assert re.search(pattern, self.cells.text), f"ended without {pattern!r}:\n{self.cells.text}"
        return match

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def resize(self, width: int, height: int) -> None:
        """The kernel tells the program, as when a window is dragged."""
        self.read()
        self.cells.resize(width, height)
        self._set_size(width, height)

    def cooked(self) -> bool:
        """The terminal is as a shell wants it: lines, echo, and a visible cursor."""
        flags = termios.tcgetattr(self.ours)[3]
        return bool(flags & termios.ICANON and flags & termios.ECHO) and self.cells.cursor

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self.ours)
        os.close(self._theirs)
        self.ours = -1

    def end(self) -> int:
        """Reads until it ends; its exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"never ended:\n{self.cells.text if self.ours >= 0 else ''}"
            if self.ours < 0 or not self.read(0.1):
                time.sleep(0.01)
        while self.ours >= 0 and self.read():
            pass
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.ours >= 0:
            self.hang_up()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set_size(self, width: int, height: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
