"""The prompt's pass and the passes of new tokens over a cached `llm` graph, for depth maps and discrete answers.

Takes any `run(graph, feeds)` and a Prepared, gives logits. Places count from the first generated token: place 0
comes right after the prompt, and a push overwrites whatever an earlier one left from its place on, so that a wrong
draft is simply fed again. The cache itself belongs to whoever runs the graphs (graphs.py). Knows nothing of what
the tokens mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from policy_spec.errors import SessionError, sentence
from policy_spec.graphs import MOST_NEW_TOKENS, Variant
from policy_spec.pipeline import Array, Float32, Prepared, Run
from policy_spec.spec import PolicySpec

Ints = NDArray[np.int32]


@dataclass(slots=True, eq=False)
class CachedPrompt:
    """One policy's prompt and what is generated after it, one call at a time; buffers are kept for the next call.

    `prompt` begins a call; `push` goes on. Not to be shared between threads: there is one cache.
    """

    spec: PolicySpec
    bracket: int  # tokens that the prompt is padded to
    variant: Variant
    passes: int = field(default=0, init=False)  # runs since the prompt's
    fed: int = field(default=0, init=False)  # tokens of those runs together
    _run: Run | None = field(default=None, init=False, repr=False)
    _features: Array | None = field(default=None, init=False, repr=False)
    _tokens: int = field(default=0, init=False)  # of the prompt, without the padding
    _all: Ints = field(init=False, repr=False)  # [1, bracket] every place of the prompt
    _key_type: Float32 = field(init=False, repr=False)  # [1, length]
    _ids: Ints = field(init=False, repr=False)  # [1, MOST_NEW_TOKENS], as the next three
    _places: Ints = field(init=False, repr=False)
    _no_row: Ints = field(init=False, repr=False)
    _no_type: Float32 = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._all = np.arange(self.bracket, dtype=np.int32)[None]
        self._key_type = np.zeros((1, self.length), np.float32)
        self._ids, self._places, self._no_row = (np.zeros((1, MOST_NEW_TOKENS), np.int32) for _ in range(3))
        self._no_type = np.zeros((1, MOST_NEW_TOKENS), np.float32)

    @property
    def length(self) -> int:
        """Places of the cache."""
        return self.bracket + self.variant.new_tokens

    def prompt(self, run: Run, prepared: Prepared, features: Array) -> Float32:
        """The prompt's pass. Gives the logits [V] of its last token, which the next run may overwrite."""
        self.passes = self.fed = 0
        self._run, self._features, self._tokens = run, features, len(prepared.ids)
        self._key_type[:, : self.bracket] = prepared.llm["token_type"]
        feeds = {
            **prepared.llm,
            "positions": self._all,
            "key_type": self._key_type,
            "features": features,
            "rows": np.array([[self._tokens - 1]], np.int32),
        }
        logits: Float32 = run("llm", feeds)["logits"][0, 0]
        return logits

    def push(self, tokens: Array, start: int, rows: Array) -> Float32:
        """One pass of at most MOST_NEW_TOKENS tokens at the places from `start` on.

        `rows`: which of these tokens' logits are wanted, at least one. Gives [len(rows), V], which the next run may
        overwrite. Raises SessionError where the cache has no room left.
        """
        count = len(tokens)
        assert self._run is not None and self._features is not None, "prompt() comes first"
        assert 0 < count <= MOST_NEW_TOKENS and len(rows), "a pass takes some tokens and gives some logits"
        if start + count > self.variant.new_tokens:
            raise SessionError(
                sentence(
                    "generated tokens",
                    expected=f"at most {self.variant.new_tokens}, the room that the bundle was exported with",
                    got=start + count,
                    do="the policy does not end its answer; check the task and the pictures",
                )
            )
        self._ids[0, :count] = tokens
        first = self._tokens + start
        self._places[0, :count] = np.arange(first, first + count)
        self.passes, self.fed = self.passes + 1, self.fed + count
        feeds = {
            "input_ids": self._ids[:, :count],
            "image_row": self._no_row[:, :count],
            "token_type": self._no_type[:, :count],
            "positions": self._places[:, :count],
            "key_type": self._key_type,
            "features": self._features,
            "rows": np.asarray(rows, np.int32)[None],
        }
        logits: Float32 = self._run("llm", feeds)["logits"][0]
        return logits
