"""Words to a running loop, from keys, signals or a program: a thread-safe queue, and Ctrl-C made harmless.

While a run is being opened, the first Ctrl-C raises KeyboardInterrupt as everywhere. From the moment the arm may
move it only leaves a word: the loop ends, the arm is left as configured, the recording is closed. A second one,
while the arm is parking, means: do not wait, hold here.
"""

from __future__ import annotations

import collections
import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

PAUSE, RESUME, ESTOP, REARM, TASK, QUIT = WORDS = ("pause", "resume", "estop", "rearm", "task", "quit")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, a service that stops it, a terminal that closes


@dataclass(frozen=True, slots=True)
class Word:
    name: str  # one of WORDS
    text: str = ""  # the new task


class Control:
    """What a run is told. `say` from any thread; the loop takes."""

    def __init__(self) -> None:
        self._words: collections.deque[Word] = collections.deque()
        self._interrupts = 0
        self.moving = False  # set by the run before it arms

    def say(self, name: str, text: str = "") -> None:
        """Queues a word. ValueError for one that does not exist."""
        if name not in WORDS:
            raise ValueError(f"unknown word {name!r}, one of {', '.join(WORDS)}")
        self._words.append(Word(name, text))

    def take(self) -> list[Word]:
        """All words since the last call, oldest first."""
        taken = []
        while self._words:
            taken.append(self._words.popleft())
        return taken

    @property
    def interrupts(self) -> int:
        """How often one of SIGNALS came."""
        return self._interrupts

    def interrupt(self) -> None:
        """What a signal does. Raises KeyboardInterrupt once, and only while nothing may move yet."""
        self._interrupts += 1
        if self._interrupts == 1 and not self.moving:
            raise KeyboardInterrupt


@contextlib.contextmanager
def signals(control: Control) -> Iterator[None]:
    """SIGNALS speak to `control` inside the block, but under nohup SIGHUP stays ignored. Outside the main thread
    nothing is installed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, frame: FrameType | None) -> None:
        control.interrupt()

    deaf = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    before = {number: signal.signal(number, heard) for number in SIGNALS if number not in deaf}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
