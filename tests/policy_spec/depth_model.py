"""A tiny language model in numpy: a function of as much of the prefix as asked, with a cache by place."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policy_spec.depth_decode import DepthTokens, Known
from policy_spec.depth_draft import Bools, Codes

START, END, FIRST, VALUES, SIDE = 1, 2, 5, 6, 3
VOCABULARY = FIRST + VALUES + 3  # 0, 3, 4 and the last three are other words
CELLS = SIDE * SIDE


def tokens(*, full: bool, ending: int = 4) -> DepthTokens:
    return DepthTokens(START, END, FIRST, VALUES, CELLS, ending, full)


@dataclass
class Model:
    """Logits from a hash of the place and of the last `reach` tokens. `coarse` rounds them, so that many are equal."""

    seed: int
    reach: int  # tokens of the prefix that matter
    by_place: bool = True  # else the same words everywhere: what a language is like
    full: bool = False
    coarse: bool = False
    late: int = 0  # words that come before depth_end
    scale: float = 1.0
    cache: list[int] = field(default_factory=list)  # token by place
    passes: int = 0

    def logits(self, prefix: list[int]) -> np.ndarray:
        """[V] after a whole prefix."""
        place = len(prefix) - 1
        text = repr((self.seed, prefix[-self.reach :], place if self.by_place else 0))
        out = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(VOCABULARY) * self.scale
        if place == CELLS + self.late:
            out[END] += 50
        elif place >= CELLS:
            out[END] -= 50
        out = (np.round(out) if self.coarse else out).astype(np.float32)
        return out if self.full else out[FIRST : FIRST + VALUES]

    def __call__(self, ids: Any, start: int, rows: Any, /) -> np.ndarray:
        """Push, as a cache does it: places from `start` on are overwritten, those before must have been written."""
        assert start <= len(self.cache), "a place was skipped"
        self.cache[start:] = [int(i) for i in ids]
        self.passes += 1
        return np.stack([self.logits(self.cache[: start + int(row) + 1]) for row in rows])


def greedy(model: Model, shape: DepthTokens, known: Known) -> tuple[Codes, list[int], int]:
    """The slow truth: one whole prefix per decision. Codes, all tokens, narrow decisions."""
    prefix, small, codes = [START], 0, known.draft()

    def choose(logits: np.ndarray) -> int:
        nonlocal small
        best = np.sort(logits)[-2:]
        small += int(best[1] - best[0] < 1e-3)
        return int(np.flatnonzero(logits == logits.max())[0])

    for cell in range(CELLS):
        if known.changed[cell]:
            codes[cell] = choose(shape.of_codes(model.logits(prefix)[None])[0])
        prefix.append(int(codes[cell]) + FIRST)
    while shape.full and (token := choose(model.logits(prefix))) != END:
        prefix.append(token)
    return codes, [*prefix, END], small


def releases(changed: Bools) -> int:
    """Passes of the released order up to the last code."""
    runs = int(np.count_nonzero(~changed & np.append(True, changed[:-1])))
    return 1 + int(changed.sum()) + runs
