"""Passes of new tokens filled up to a few sizes, for engines that are quick only at these; a wrapper around any `run`.

A token that is filled in stands at a place after all real ones: no real token sees it, and what it leaves in the cache
lies where nothing looks before it is written again. So logits of the real rows are what they were, and a test compares
both ways. Knows nothing of engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from policy_spec.loop import Array, Loop, Loops, repeated
from policy_spec.pipeline import Run

PASS = "llm"  # the graph that takes some tokens at a time
BY_TOKEN = ("input_ids", "image_row", "token_type", "positions")  # [1, K]


@dataclass(slots=True, eq=False)
class Padded:
    """`run` with its passes filled up. `length`: places of the cache, `prompt`: tokens of the prompt's own pass."""

    run: Run
    sizes: tuple[int, ...]
    length: int
    prompt: int
    _filled: dict[tuple[str, int], Array] = field(default_factory=dict)

    def __call__(self, graph: str, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        """As `run`."""
        if graph != PASS or "positions" not in feeds or (count := feeds["positions"].shape[1]) == self.prompt:
            return self.run(graph, feeds)
        first, rows = int(feeds["positions"][0, 0]), feeds["rows"].shape[1]
        size = next((size for size in self.sizes if size >= count and first + size <= self.length), count)
        many = size if 1 < rows <= size else rows
        if (size, many) == (count, rows):
            return self.run(graph, feeds)
        filled = {**feeds, "rows": self._fill("rows", feeds["rows"], many)}
        for name in BY_TOKEN:
            filled[name] = self._fill(name, feeds[name], size)
        filled["positions"][0, count:] = np.arange(first + count, first + size)
        given = dict(self.run(graph, filled))
        given["logits"] = given["logits"][:, :rows]
        return given

    def repeat(self, graph: str, feeds: Mapping[str, Array], loop: Loop, /) -> Mapping[str, Array]:
        """As `run` would."""
        if isinstance(self.run, Loops):
            return self.run.repeat(graph, feeds, loop)
        return {loop.given: repeated(self.run, graph, feeds, loop)}

    def _fill(self, name: str, given: Array, size: int) -> Array:
        """The array [1, size] that begins with the given one and goes on with zeros, in memory kept for it."""
        kept = self._filled.setdefault((name, size), np.zeros((1, size), given.dtype))
        kept[:] = 0
        kept[:, : given.shape[1]] = given
        return kept
