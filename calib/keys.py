"""Single keys from the terminal that is this program's stdin: switched on for a block, read without waiting.

Knows no key's meaning. A terminal that went away types nothing, or says so where asked.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from types import FrameType

REST_S = 0.03  # in which what an arrow key sends after its escape is there
GONE = None  # what `typed` gives when nobody can type any more
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])|.", re.DOTALL)
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")


@contextlib.contextmanager
def single_keys() -> Iterator[None]:
    """Keys arrive one by one and unseen; Ctrl-C stays a signal. The terminal is as before after the block."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def again(_signal: int, _frame: FrameType | None) -> None:  # back from Ctrl-Z: the shell had set it its own way
        with contextlib.suppress(termios.error):
            tty.setcbreak(number, termios.TCSADRAIN)

    main = threading.current_thread() is threading.main_thread()
    resumed = signal.signal(signal.SIGCONT, again) if main else None
    try:
        tty.setcbreak(number, termios.TCSADRAIN)
        yield
    finally:
        if main:
            signal.signal(signal.SIGCONT, resumed)
        with contextlib.suppress(termios.error):  # the terminal went away
            termios.tcsetattr(number, termios.TCSADRAIN, before)


def typed(wait_s: float = 0.0) -> str | None:
    """What was typed since the last call, keys whole; GONE when the terminal is. Waits `wait_s` for the first."""
    number = sys.stdin.fileno()
    text = ""
    while select.select([number], [], [], REST_S if text else wait_s)[0]:
        try:
            more = os.read(number, 1024).decode(errors="ignore")
        except OSError:
            more = ""
        if not more:
            return text or GONE
        text += more
        if not _BEGUN.search(text):
            break
    return text


def split(text: str) -> list[str]:
    """The keys in what was typed: letters, and whole escape sequences."""
    return SEQUENCE.findall(text)
