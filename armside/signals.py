"""Ctrl-C, SIGTERM and a closed terminal: as a wish that is looked at between ticks, or all of them as Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Protocol

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wish(Protocol):
    """Whoever may want a move to end."""

    @property
    def asked(self) -> int: ...

    @property
    def why(self) -> str: ...


class Stop:
    """`asked` counts the signals since the block was entered; `why` says what they mean."""

    why = "Ctrl-C: holding here"

    def __init__(self) -> None:
        self.asked = 0


@contextlib.contextmanager
def stoppable(patience: int = 0) -> Iterator[Stop]:
    """Inside the block SIGNALS only count. Main thread only; under nohup SIGHUP stays ignored.

    `patience`: after so many a Ctrl-C is a KeyboardInterrupt, for what may not look for a while; 0: it never is.
    """
    stop = Stop()

    def heard(number: int, frame: FrameType | None) -> None:
        stop.asked += 1
        if number == signal.SIGINT and 0 < patience < stop.asked:
            raise KeyboardInterrupt

    deaf = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    before = {number: signal.signal(number, heard) for number in SIGNALS if number not in deaf}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP are a KeyboardInterrupt, so that whatever holds an arm lets go of it.

    Main thread only; where somebody counts them, or under nohup, they stay as they are.
    """

    def heard(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    mine = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    before = {number: signal.signal(number, heard) for number in mine}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
