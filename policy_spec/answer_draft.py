"""Guesses of a discrete answer, from the chunk before: they cost almost nothing and change no token.

Takes the answer before, and how many of its steps have passed since; guesses that the motion goes on as it was, in
the tokens that would say so. Beside the answer that is being decoded, the guess goes on at the same place, or, where
the two have drifted apart, behind the nearest place that ends in the same tokens. Knows nothing of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from policy_spec.graphs import MOST_NEW_TOKENS

WINDOW = 8  # guesses in a pass; twice as many in the next while all are right (docs/decisions.md has the table)
HELPS = 0.05  # of all tokens guessed right, or guesses rest
REST = 16  # calls without guesses, before they are tried again
_MEMORY = 0.8  # weight of the calls before in the share of tokens guessed right
_MATCH = (2, 1)  # equal tokens that align a guess, the longer first
_SLOPE = 3  # steps over which the last motion is measured


@dataclass(slots=True, eq=False)
class AnswerMemory:
    """The chunk before and whether guesses have helped. Held by whoever owns the pipeline."""

    chunk: NDArray[np.float64] | None = None  # [H, D] normalized; None: an episode begins
    passed: int = 0  # steps of it that have been executed; who knows sets it before a call
    share: float = field(default=1.0, init=False)  # of tokens guessed right, the last calls counting most
    rested: int = field(default=0, init=False)  # calls without guesses

    def reset(self) -> None:
        """A new episode."""
        self.chunk, self.passed = None, 0

    def expected(self) -> NDArray[np.float64] | None:
        """The chunk that goes on as the last one was, None where guesses do not help or there is none."""
        if self.chunk is None or (self.share < HELPS and self.rested < REST):
            self.rested += 1
            return None
        return continued(self.chunk, self.passed)

    def remember(self, chunk: NDArray[np.float64], guessed: bool, share: float) -> None:
        """After a call. share: of its tokens, those guessed right."""
        self.chunk, self.passed = chunk, 0
        if guessed:
            self.share, self.rested = _MEMORY * self.share + (1 - _MEMORY) * share, 0


def continued(chunk: NDArray[np.float64], passed: int) -> NDArray[np.float64]:
    """[H, D] a normalized chunk `passed` steps later, its last motion carried on within -1..1."""
    rest = chunk[min(passed, len(chunk) - 1) :]
    missing = len(chunk) - len(rest)
    if not missing:
        return chunk
    slope = (rest[-1] - rest[-1 - _SLOPE]) / _SLOPE if len(rest) > _SLOPE else np.zeros_like(rest[-1])
    more = rest[-1] + slope * np.arange(1, missing + 1)[:, None]
    return np.concatenate([rest, np.clip(more, -1, 1)])


@dataclass(slots=True, eq=False)
class Draft:
    """Guesses of one answer, from a draft of the whole of it; `guess` of answer.decode."""

    tokens: list[int]
    window: int = WINDOW
    _reached: int = field(default=-1, init=False)  # tokens of the answer, if all that was guessed last was right

    def __call__(self, so_far: list[int]) -> Sequence[int]:
        wider = min(2 * self.window, MOST_NEW_TOKENS - 1)  # the last settled token is fed with them
        self.window = wider if len(so_far) == self._reached else WINDOW
        at = aligned(so_far, self.tokens)
        guess = self.tokens[at : at + self.window]
        self._reached = len(so_far) + len(guess) + 1
        return guess


def aligned(so_far: list[int], draft: list[int]) -> int:
    """The place of a draft that may come after `so_far`."""
    place = len(so_far)
    if draft[place - 1 : place] == so_far[-1:]:
        return place
    for length in _MATCH:
        if length >= place:  # the first token is the same in every answer
            continue
        end = so_far[-length:]
        found = [at for at in range(length, len(draft)) if draft[at - length : at] == end]
        if found:
            return min(found, key=lambda at: abs(at - place))
    return place
