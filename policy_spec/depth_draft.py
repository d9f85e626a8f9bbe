"""Guesses depth codes before the language model is asked, so that one pass can confirm many.

Takes what the model chose in the passes so far, gives a draft for the cells still open. Nothing here can change a
code: a wrong guess only costs a pass. Several sources guess; the one that has been right most often of late, over
this frame and the ones before, speaks first at each cell. Knows nothing of models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Bools = NDArray[np.bool_]

NONE = -1  # a source that has nothing to say
SOURCES = {  # name: how often it is expected to be right before it has been seen; docs/decisions.md has the measurement
    "before": 0.9,  # the code that this cell had in the picture before
    "again": 0.6,  # what the pass before this one chose here, after codes that were partly wrong
    "own": 0.5,  # what was last chosen in this cell after the same code on its left
    "left": 0.5,  # what was last chosen in any cell after the same code on its left
}
_REACH = 5.0  # times the expected run of right guesses, which one run in a hundred outlasts
_FADE = 0.9  # of a source's record at each judged cell: about ten cells are remembered


@dataclass(slots=True, eq=False)
class Drafter:
    """What is remembered from pass to pass and from frame to frame. `sources`: which of SOURCES may speak."""

    cells: int
    values: int  # of one code
    sources: tuple[str, ...] = tuple(SOURCES)
    _hits: dict[str, float] = field(init=False)  # faded sums: right, and asked
    _asked: dict[str, float] = field(init=False)
    _before: Codes = field(init=False, repr=False)  # [cells]
    _again: Codes = field(init=False, repr=False)  # [cells]
    _own: Codes = field(init=False, repr=False)  # [cells, values + 1] by the code on the left, the last for no left
    _left: Codes = field(init=False, repr=False)  # [values + 1]

    def __post_init__(self) -> None:
        self._hits = {name: SOURCES[name] for name in self.sources}
        self._asked = dict.fromkeys(self.sources, 1.0)
        self._before, self._again = np.full(self.cells, NONE), np.full(self.cells, NONE)
        self._own, self._left = np.full((self.cells, self.values + 1), NONE), np.full(self.values + 1, NONE)

    def begin(self, known: Codes | None) -> None:
        """A new frame. `known`: the codes of the picture before, or any older ones; None where there are none."""
        self._before[:] = NONE if known is None else known
        self._again[:] = NONE

    def learn(self, fed: Codes, chosen: Codes, decided: int) -> None:
        """One pass: after the codes `fed` the model chose `chosen` (NONE where it was not asked). Choices in cells
        below `decided` are final.
        """
        asked = np.flatnonzero(chosen != NONE).tolist()
        for cell in asked:
            if cell >= decided:
                break
            for name in self.sources:
                guess = self._guess(name, cell, self._left_of(fed, cell))
                if guess != NONE:
                    self._hits[name] = self._hits[name] * _FADE + float(guess == chosen[cell])
                    self._asked[name] = self._asked[name] * _FADE + 1
        for cell in asked:
            left = self._left_of(fed, cell)
            self._again[cell] = self._own[cell, left] = self._left[left] = chosen[cell]

    def fill(self, codes: Codes, open_cells: Bools, start: int) -> None:
        """Writes a guess into every open cell from `start` on, where any source has one; each follows from the guess on
        its left.
        """
        ranked = sorted(self.sources, key=lambda name: -self._hits[name] / self._asked[name])
        for cell in (np.flatnonzero(open_cells[start:]) + start).tolist():
            left = self._left_of(codes, cell)
            said = (self._guess(name, cell, left) for name in ranked)
            codes[cell] = next((guess for guess in said if guess != NONE), codes[cell])

    def reach(self) -> int:
        """How many open cells a pass should try: guesses beyond are hardly ever reached, and feeding them costs."""
        miss = min(1 - self._hits[name] / self._asked[name] for name in self.sources)
        return math.ceil(_REACH / max(miss, 1e-3))

    def _left_of(self, codes: Codes, cell: int) -> int:
        return int(codes[cell - 1]) if cell else self.values

    def _guess(self, source: str, cell: int, left: int) -> int:
        if source == "before":
            return int(self._before[cell])
        if source == "again":
            return int(self._again[cell])
        return int(self._own[cell, left] if source == "own" else self._left[left])
