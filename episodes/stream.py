"""Which frame is learned from next: a mixture of datasets in a shuffled order that can be taken up again anywhere.

Takes the lengths of all episodes, weights and a seed; gives (dataset, episode, frame). Draw number n of the whole
mixture depends on n and the seed alone: each picks a dataset by weight, then the next frame of a shuffle of that
dataset, so that every frame comes once before any comes twice. Several ranks or workers share the draws out among
them. The state is a few numbers, as JSON. Knows nothing of files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from policy_spec.errors import DatasetError, UsageError, sentence

FORMAT, VERSION = "armside-mixture", 1
BLOCK = 1024  # draws whose datasets are picked at once
ROUNDS = 4  # of the shuffle
_MASK = (1 << 64) - 1
Place = tuple[int, int, int]  # dataset, episode, frame


class MixtureStream:
    """`take(count)`; `state()` and `restore(state)`. Raises UsageError on weights that cannot be."""

    def __init__(
        self,
        lengths: Sequence[Sequence[int]],
        weights: Sequence[float] | None = None,
        *,
        seed: int = 0,
        shard: int = 0,
        shards: int = 1,
    ) -> None:
        """`lengths`: frames of each episode of each dataset; 0 leaves one out. `weights`: how often each dataset is
        drawn; without them each as often as it has frames. `shard` of `shards`: the draws that are this one's.
        """
        self._ends = [np.cumsum(part, dtype=np.int64) for part in lengths]
        totals = [int(ends[-1]) if len(ends) else 0 for ends in self._ends]
        shares = np.asarray(totals if weights is None else weights, np.float64)
        if not totals or min(totals) < 1:
            raise UsageError(sentence("datasets of a mixture", expected="at least one frame in each", got=totals))
        if len(shares) != len(totals) or not np.isfinite(shares).all() or (shares < 0).any() or not shares.sum() > 0:
            expected = f"{len(totals)} numbers of 0 or more, one of them above"
            raise UsageError(sentence("weights of a mixture", expected=expected, got=shares.tolist()))
        if not 0 <= shard < shards:
            raise UsageError(sentence("shard of a mixture", expected=f"0 to {shards - 1}", got=shard))
        self._totals, self._seed, self._shard, self._shards = totals, seed, shard, shards
        self._edges = np.cumsum(shares / shares.sum())
        self._edges[-1] = 1.0
        facts = [[list(map(int, part)) for part in lengths], shares.tolist(), seed]
        self._fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        self._position = 0  # of the next draw of the whole mixture
        self._counts = [0] * len(totals)  # draws of each dataset before it
        self._block: tuple[int, np.ndarray] | None = None

    def take(self, count: int) -> list[Place]:
        """The next places of this shard."""
        out = []
        for _ in range(count):
            for shard in range(self._shards):  # a whole round: then every shard's state is the same
                part = self._part(self._position)
                if shard == self._shard:
                    out.append(self._place(part, self._counts[part]))
                self._counts[part] += 1
                self._position += 1
        return out

    def state(self) -> dict[str, Any]:
        """Where the stream is, as JSON: the same for every shard that took as many."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "mixture": self._fingerprint,
            "position": self._position,
            "counts": list(self._counts),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from there, also with another number of shards. Raises DatasetError on another mixture's state."""
        if (state.get("format"), state.get("version")) != (FORMAT, VERSION):
            raise DatasetError(sentence("state of a mixture", expected=f"{FORMAT} {VERSION}", got=dict(state)))
        if state["mixture"] != self._fingerprint:
            raise DatasetError(
                sentence(
                    "the datasets, weights or seed are others than when this state was saved",
                    expected=state["mixture"],
                    got=self._fingerprint,
                    do="resume with the same datasets, or begin anew",
                )
            )
        self._position, self._counts = int(state["position"]), [int(n) for n in state["counts"]]

    def epochs(self) -> tuple[float, ...]:
        """How often each dataset was gone through so far."""
        return tuple(count / total for count, total in zip(self._counts, self._totals, strict=True))

    def _part(self, position: int) -> int:
        """The dataset of a draw."""
        block, offset = divmod(position, BLOCK)
        if self._block is None or self._block[0] != block:
            numbers = np.random.Generator(np.random.Philox(key=[self._seed & _MASK, block])).random(BLOCK)
            self._block = block, np.searchsorted(self._edges, numbers, side="right")
        return int(self._block[1][offset])

    def _place(self, part: int, draw: int) -> Place:
        """The frame of a dataset's own draw."""
        epoch, offset = divmod(draw, self._totals[part])
        key = _mix(_mix(_mix(self._seed & _MASK) ^ part) ^ epoch)
        frame = shuffled(offset, self._totals[part], key)
        ends = self._ends[part]
        episode = int(np.searchsorted(ends, frame, side="right"))
        return part, episode, frame - (int(ends[episode - 1]) if episode else 0)


def shuffled(index: int, total: int, key: int) -> int:
    """Where `index` of 0..total-1 goes in a shuffle of its own for each key; no two go to the same place.

    A Feistel network over the next even power of two, walked until it falls inside: no memory, any total.
    """
    half = max(1, ((total - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for turn in range(ROUNDS):
            left, right = right, left ^ (_mix(key ^ (turn << 60) ^ right) & mask)
        index = (left << half) | right
        if index < total:
            return index


def _mix(x: int) -> int:
    """splitmix64: every bit of the answer depends on every bit of x."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)
