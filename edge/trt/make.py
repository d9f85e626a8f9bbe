"""All engines of a bundle, built one after another: what is ready is left alone, what is stale says why.

Takes a Bundle and what was asked for; gives what was done. What was built stays when a later engine fails or a person
stops it: the next call goes on with the rest.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from edge.trt.build import Interrupted, Job, build_engine
from edge.trt.key import Key, Place
from edge.trt.libraries import Library, open_library
from edge.trt.plan import BuildPlan
from edge.trt.store import TIMINGS, Found, find, read_cache, remove_others, write_cache, write_engine
from policy_spec.bundle import Bundle

Progress = Callable[[str, int, int], None]  # stage, done, total
FRESH = "it was asked for (--fresh)"


@dataclass(frozen=True, slots=True)
class Built:
    """What became of one engine."""

    name: str
    path: Path
    bytes: int
    why: tuple[str, ...]  # it was built; empty: it was ready
    seconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What is built, where, and for what."""

    library: Library
    place: Place
    plan: BuildPlan
    folder: Path
    ahead: bool  # for a GPU that is not at hand


def make_engines(bundle: Bundle, asked: Asked, progress: Progress, fresh: bool = False) -> tuple[Built, ...]:
    """Builds what is not ready; `fresh`: all. Raises SessionError, and KeyboardInterrupt after a Ctrl-C: nothing is
    half written.
    """
    found = find(asked.folder, asked.plan, asked.place)
    if fresh:
        found = tuple(replace(engine, why=engine.why or (FRESH,)) for engine in found)
    if all(engine.ready for engine in found):
        return tuple(_left(engine) for engine in found)
    trt = open_library(asked.library)
    done: list[Built] = []
    remove_others(asked.folder, asked.plan)
    with stopped_by_ctrl_c() as stop:
        capability = asked.place.capability if asked.ahead else ""
        job = Job(asked.library, trt, capability, asked.plan.free, stop)
        for engine in found:
            done.append(_left(engine) if engine.ready else _make(job, bundle, asked, engine, progress))
    return tuple(done)


def _left(engine: Found) -> Built:
    return Built(engine.row.name, engine.path, engine.path.stat().st_size, (), 0.0)


def _make(job: Job, bundle: Bundle, asked: Asked, engine: Found, progress: Progress) -> Built:
    begun, row = time.monotonic(), engine.row
    stage = f"build {row.name}"
    progress(stage, 0, 1000)
    timings = asked.folder / TIMINGS

    def tell(step: int, total: int) -> None:
        progress(stage, step, total)

    try:
        data, learnt = build_engine(job, row, bundle.path / row.onnx, read_cache(timings), tell)
    except Interrupted:
        raise KeyboardInterrupt from None
    write_engine(engine.path, data, Key.of(row, asked.place))
    if learnt:
        write_cache(timings, learnt)
    progress(stage, 1000, 1000)
    return Built(row.name, engine.path, engine.path.stat().st_size, engine.why, time.monotonic() - begun)


@contextlib.contextmanager
def stopped_by_ctrl_c() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second is one as always. Outside the main thread nothing sets it.

    The builder calls back from C++, where an exception of Python would end the process in the middle of a file.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: Any = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
    if stop.is_set():
        raise KeyboardInterrupt
