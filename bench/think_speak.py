"""A language model that says what it is told: the real graph runs, and its logits are replaced afterwards.

A random checkpoint's codes mean nothing, so that how often they are guessed says nothing. With a clip's own depth codes
in their place each pass costs what it costs, and the passes are those of a checkpoint that predicts depth perfectly:
from the picture alone, whatever stands before a cell (the most that guesses can win), or, chained, only where the
cells to the left and above are right, and otherwise something else (a wrong guess then spoils all that follow; no
checkpoint is as strict). A trained one lies between the two. Takes and gives what a `run(graph, feeds)` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policy_spec.graphs import MOST_NEW_TOKENS
from policy_spec.loop import Loop, repeat
from policy_spec.pipeline import Run

Arrays = Mapping[str, np.ndarray[Any, Any]]
Codes = np.ndarray[Any, Any]


@dataclass(slots=True, eq=False)
class Told:
    """`codes` [cells] is set before each call. None: the model speaks for itself."""

    run: Run
    first_code: int  # id of depth_0
    values: int  # of one code
    side: int  # cells along each side of the grid
    chained: bool = False
    codes: Codes | None = None
    _start: int = field(default=-1, init=False)  # place of depth_start; the first pass after a prompt begins there
    _fed: Codes = field(init=False)  # [cells] what stands in the cache

    def __post_init__(self) -> None:
        self._fed = np.zeros(self.side * self.side, np.int64)

    def __call__(self, graph: str, feeds: Arrays, /) -> Arrays:
        """Runs the graph."""
        out = self.run(graph, feeds)
        if graph != "llm" or self.codes is None:
            return out
        places = feeds["positions"][0].astype(np.int64)
        if len(places) > MOST_NEW_TOKENS:
            self._start = -1
            return out
        self._start = int(places[0]) if self._start < 0 else self._start
        cells = places - self._start - 1
        inside = (cells >= 0) & (cells < len(self._fed))
        self._fed[cells[inside]] = feeds["input_ids"][0][inside] - self.first_code
        logits = out["logits"]
        logits[...] = 0
        for row, cell in enumerate((cells[feeds["rows"][0]] + 1).tolist()):
            if cell < len(self._fed):
                logits[0, row, self.says(cell)] = 1
        return out

    def repeat(self, graph: str, feeds: Arrays, loop: Loop, /) -> Arrays:
        """A loop, at once where the runner can."""
        return {loop.given: repeat(self.run, graph, feeds, loop)}

    def says(self, cell: int) -> int:
        """The code of one cell, a function of the picture and of the codes before it."""
        assert self.codes is not None
        right, before = int(self.codes[cell]), [cell - 1] * (cell > 0) + [cell - self.side] * (cell >= self.side)
        wrong = [at for at in before if self._fed[at] != self.codes[at]]
        if not self.chained or not wrong:
            return right
        mix = 1 + sum(int(self._fed[at]) * (7, 13)[at == cell - 1] for at in wrong) % (self.values - 1)
        return (right + mix) % self.values
