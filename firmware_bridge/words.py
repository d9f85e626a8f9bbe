"""What a bridge says to whoever started it: JSON lines on stdout, text on stderr. Saying never fails and never waits.

A starter may be dead, its disk full, its pipe unread: none of that may stop a tick or drop an arm.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
from collections.abc import Callable, Mapping

STDIN, STDOUT, STDERR = 0, 1, 2
AT_ONCE = 4096  # bytes that a pipe which says it has room takes without blocking (PIPE_BUF)

Say = Callable[[Mapping[str, object]], None]


def open_standard_files() -> None:
    """Open what of stdin, stdout and stderr is closed on /dev/null.

    Else the next file opened would get that number, and a word for a person would go out on the arm's bus.
    """
    for file in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(file)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def say(word: Mapping[str, object]) -> None:
    """One JSON line to the process that started us."""
    _write(STDOUT, json.dumps(word) + "\n")


def say_to_people(word: Mapping[str, object]) -> None:
    """The same words for a terminal."""
    text = word.get("text") or f"{word['event']}: " + ", ".join(f"{k} {v}" for k, v in word.items() if k != "event")
    _write(STDOUT, f"{text}\n")


def tell(text: str) -> None:
    """A line for people, on stderr."""
    _write(STDERR, f"bridge: {text}\n")


def _write(file: int, text: str) -> None:
    data = text.encode(errors="replace")
    with contextlib.suppress(OSError, ValueError):
        for start in range(0, len(data), AT_ONCE):
            if not select.select([], [file], [], 0)[1]:
                return
            os.write(file, data[start : start + AT_ONCE])
