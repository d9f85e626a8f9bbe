"""Progress of the command line, on stderr so that stdout stays readable by programs.

On a terminal bars; elsewhere a line for each stage, so that a log shows where it stopped, and one each half minute of a
long stage with how much of it is done and about how long the rest will take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

Stages = Callable[[str, int, int], None]  # stage, done, total
SILENCE_S = 30.0  # in a log, at most


@contextmanager
def byte_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar over bytes; gives the function that is told how many more were done."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(what, total=total)
        yield lambda more: bars.advance(task, more)


@contextmanager
def stages() -> Iterator[Stages]:
    """One bar after another; gives the function that is told the stage and how much of it is done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                for earlier in tasks.values():
                    bars.update(earlier, total=1, completed=1)
                    bars.stop_task(earlier)
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield tell
        for task in tasks.values():
            bars.update(task, total=1, completed=1)


def _lines(console: Console, clock: Callable[[], float] = time.monotonic) -> Stages:
    begun: dict[str, tuple[float, int]] = {}  # stage -> when it began, and with how much done
    said = 0.0

    def tell(stage: str, done: int, total: int) -> None:
        nonlocal said
        now = clock()
        if stage not in begun:
            begun[stage], said = (now, done), now
            console.print(f"... {stage}", highlight=False)
        elif now - said >= SILENCE_S and total > done:
            said = now
            console.print(
                f"    {stage}: {done / total:.0%}{_remaining(now, done, total, begun[stage])}", highlight=False
            )

    return tell


def _remaining(now: float, done: int, total: int, begun: tuple[float, int]) -> str:
    """About how long the rest will take, by how long what was done took."""
    start, first = begun
    if done <= first:
        return ""
    minutes = (now - start) * (total - done) / (done - first) / 60
    return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
