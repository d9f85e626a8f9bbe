"""Batches in the order of a plan, read ahead by worker processes where there are some; it resumes where it stopped.

Takes a Plan, something that opens Rows, and how examples are made; gives for each step this process's micro-batches and
the plan's state after it. What is drawn for a row depends on the seed, the stage and the row's number in the run alone,
so that workers, processes and a resumed run see the same. Knows nothing of models.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policy_spec.errors import UsageError, sentence
from train.data.collate import collate
from train.data.examples import Example, Making
from train.data.rows import Place, Plan, Rows
from train.learn.batch import Batch
from train.recipe.config import Augment

OpenRows = Callable[[], Rows]  # in a worker: opened again there, so it must travel as it is


@dataclass(frozen=True, slots=True)
class Share:
    """Which rows of a step this process takes, and how many at once."""

    batch: int  # of the step, over all processes
    micro: int = 0  # 0: all of the share at once
    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        if self.batch % self.size:
            raise UsageError(
                sentence("stages.batch", expected=f"a multiple of the {self.size} processes", got=self.batch)
            )

    @property
    def rows(self) -> range:
        """Numbers within the step."""
        each = self.batch // self.size
        return range(self.rank * each, (self.rank + 1) * each)


@dataclass(frozen=True, slots=True)
class Draw:
    """What seeds a row's noise, times and augmentation, with its number in the stage."""

    seed: int
    stage: int

    def rng(self, number: int) -> np.random.Generator:
        """Of row `number`."""
        return np.random.default_rng([self.seed, self.stage, number])


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Makes examples: here, or in a worker that got a copy."""

    open_rows: OpenRows
    making: Making
    draw: Draw

    def examples(self, rows: Rows, places: Sequence[tuple[int, Place]]) -> list[Example]:
        """Of (number, place) pairs."""
        return [self.making.example(rows.row(place), self.draw.rng(number)) for number, place in places]


@dataclass(slots=True, eq=False)
class Loader:
    """`batches(step)` gives steps from `step` on, for ever."""

    work: Work
    plan: Plan
    share: Share
    how: Augment
    workers: int = 0
    ahead: int = 2  # steps that workers may be ahead
    _pool: ProcessPoolExecutor | None = field(init=False, default=None, repr=False)

    def batches(self, step: int) -> Iterator[tuple[list[Batch], Mapping[str, Any]]]:
        """This process's micro-batches of each step, and the plan's state once it is learned."""
        if self.workers == 0:
            rows = self.work.open_rows()
            while True:
                numbered = self._places(step)
                yield self._cut(self.work.examples(rows, numbered)), self.plan.state()
                step += 1
        queue: deque[tuple[list[Future[list[Example]]], Mapping[str, Any]]] = deque()
        pool = self._start()
        while True:
            while len(queue) < self.ahead:
                numbered = self._places(step)
                parts = [numbered[i :: self.workers] for i in range(min(self.workers, len(numbered)))]
                queue.append(([pool.submit(_make, part) for part in parts], self.plan.state()))
                step += 1
            futures, state = queue.popleft()
            made = [future.result() for future in futures]
            count = sum(len(part) for part in made)
            yield self._cut([made[i % len(made)][i // len(made)] for i in range(count)]), state

    def close(self) -> None:
        """Ends the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _places(self, step: int) -> list[tuple[int, Place]]:
        """Every process draws the whole step's places and takes its own."""
        places = self.plan.take(self.share.batch)
        return [(step * self.share.batch + i, places[i]) for i in self.share.rows]

    def _cut(self, examples: list[Example]) -> list[Batch]:
        size = self.share.micro or len(examples)
        spec = self.work.making.spec
        return [collate(examples[i : i + size], spec, self.how) for i in range(0, len(examples), size)]

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, multiprocessing.get_context("spawn"), initializer=_open, initargs=(self.work,)
            )
        return self._pool


_mine: tuple[Work, Rows] | None = None  # of a worker process


def _open(work: Work) -> None:
    global _mine
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's
    _mine = (work, work.open_rows())


def _make(places: Sequence[tuple[int, Place]]) -> list[Example]:
    assert _mine is not None
    return _mine[0].examples(_mine[1], places)
