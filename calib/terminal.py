"""The person at this terminal: questions answered by single keys, a live screen, Enter, r and q while it goes on.

Implements calib.person.Person over stdin and stdout. The terminal is as it was when the block ends, however it ends;
q, Escape, Ctrl-D, a wish to stop and a terminal that went away are Cancelled, at the next `ask` or `hear`.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.text import Text

from calib.keys import GONE, single_keys, split, typed
from calib.live_area import LiveArea
from calib.person import AGAIN, CANCEL, DONE, LiveView, Question
from calib.screen import Screen
from policy_spec.errors import Cancelled

SHOW_S = 1 / 15  # between two pictures of the live screen
LOOK_S = 0.1  # between two looks at the wish, while a question waits
HEARD = {"\r": DONE, "\n": DONE, "r": AGAIN}
OUT = ("q", "\x1b", "\x04")
KEPT = 40  # told lines that are written again when the window changes its size


class Wish(Protocol):
    """Somebody outside wants an end: a signal."""

    @property
    def asked(self) -> int: ...


class Terminal:
    """A context manager; one at a time. `wish`: signals that its caller counts; without, they stay Python's."""

    alone = False

    def __init__(self, wish: Wish | None = None, console: Console | None = None) -> None:
        self._wish = wish
        self._console = console or Console(highlight=False)
        self._keys = contextlib.ExitStack()
        self._live = LiveArea(self._console)
        self._view: LiveView | None = None  # what should be on the screen
        self._shown: LiveView | None = None  # what is
        self._at = 0.0  # when it was put there
        self._told: list[Text] = []

    def __enter__(self) -> Terminal:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a poor locale costs a letter, not the procedure
        self._keys.enter_context(single_keys())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end_live()
        finally:
            self._keys.close()

    def tell(self, text: str) -> None:
        """Stays readable; what was live ends."""
        self._end_live()
        self._print(Text(text))

    def ask(self, question: Question) -> str:
        """The option whose key is pressed. Keys pressed before it was asked answer nothing."""
        self._end_live()
        self._drop_typed()
        keys = letters(question)
        if question.drawing:
            self._print(Text(question.drawing))
        self._print(Text(question.text, style="bold"))
        self._print(_choices(question, keys))
        while True:
            for key in self._typed(LOOK_S):
                answer = question.usual if key in ("\r", "\n") else keys.get(key.lower())
                if answer is not None:
                    self._print(Text(f"  {answer}", style="green"))
                    return answer

    def show(self, view: LiveView) -> None:
        """Draws at most 15 times a second; the newest view is drawn by the next `hear` at the latest."""
        if self._view is None:
            self._drop_typed()
        self._view = view
        self._draw()

    def hear(self) -> str:
        """The last of what was pressed."""
        words = [HEARD[key] for key in self._typed(0.0) if key in HEARD]
        self._draw()
        return words[-1] if words else ""

    def _typed(self, wait_s: float) -> list[str]:
        """Keys. Raises Cancelled."""
        text = typed(wait_s)
        keys = split(text or "")
        if text is GONE or (self._wish is not None and self._wish.asked) or any(key in OUT for key in keys):
            self._end_live()
            raise Cancelled("the terminal went away: cancelled" if text is GONE else "cancelled")
        return keys

    def _drop_typed(self) -> None:
        """What was typed before it could be meant; a wish to leave always counts."""
        self._typed(0.0)

    def _draw(self) -> None:
        resized = self._live.resized
        if self._view is None or (self._view == self._shown and not resized):
            return
        if self._console.is_dumb_terminal:  # which cannot write a line twice: it is told what to do, once each
            if self._shown is None or self._shown.todo != self._view.todo:
                self._print(Text(self._view.todo))
            self._shown = self._view
            return
        if self._live.drawn and time.monotonic() - self._at < SHOW_S:
            return
        if resized:
            self._live.clear()
            self._write(*self._told)
        self._live.draw(Screen(self._view))
        self._shown, self._at = self._view, time.monotonic()

    def _end_live(self) -> None:
        self._view = self._shown = None
        self._live.end()

    def _print(self, text: Text) -> None:
        self._told = [*self._told[1 - KEPT :], text]
        self._write(text)

    def _write(self, *texts: Text) -> None:
        with contextlib.suppress(OSError):  # the terminal went away: `hear` and `ask` say so
            for text in texts:
                self._console.print(text)


def letters(question: Question) -> dict[str, str]:
    """key -> option: the first letter of each that no other has and that does not mean to cancel."""
    keys: dict[str, str] = {}
    for option in question.options:
        free = [letter for letter in option.lower() if letter.isalnum() and letter not in keys and letter not in OUT]
        if free:
            keys[free[0]] = option
    return keys


def _choices(question: Question, keys: dict[str, str]) -> Text:
    """What can be pressed."""
    text = Text("  ")
    by_option = {option: key for key, option in keys.items()}
    ordered = [question.usual, *(option for option in question.options if option != question.usual)]
    for option in ordered:
        if option == question.usual:
            text.append(" Enter ", style="reverse")
            text.append(" or ", style="dim")
        text.append(f" {by_option.get(option, '')} ", style="reverse")
        text.append(f" {option}   ")
    if CANCEL not in question.options:
        text.append(" q ", style="reverse")
        text.append(f" {CANCEL}", style="dim")
    return text
