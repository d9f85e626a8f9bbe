"""Inference steps back: on a small computer it uses every core, and the arm must be ticked all the same.

A thread that calls `step_back` runs at a lower priority, as do the threads that it starts afterwards (an engine's
pool). Linux keeps a priority per thread, and a lowered one cannot be raised again without privileges: so threads
are lowered, never the caller. Knows nothing of what they do.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
NICE = 10  # of 0 (as the bridge) to 19


def step_back() -> None:
    """Lowers the calling thread, and the threads that it will start. Where that is not allowed, nothing changes."""
    with contextlib.suppress(OSError, AttributeError):  # AttributeError: not a POSIX system
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))


def in_background(make: Callable[[], T]) -> T:
    """Calls `make` in a lowered thread and waits for it; threads that it starts are lowered too. Raises what it
    raises.

    Ctrl-C is raised once `make` has ended: an engine that is being built cannot be cut short, and a process that
    ends meanwhile is aborted.
    """
    with ThreadPoolExecutor(1, "opens in the background", initializer=step_back) as lowered:
        return lowered.submit(make).result()
