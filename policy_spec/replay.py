"""One call with its generated tokens given: what the graphs make of them, stage by stage.

Takes a Pipeline and any `run(graph, feeds)`, gives logits after every token and, for a think bundle, the chunk that
follows. What is compared between two runners must not depend on what either would have chosen: so an export verifies
its graphs, a quantizer its error, a board its golden. `greedy` chooses the tokens, one pass each: the slow truth of
every decoding order. Knows nothing of pictures that changed, nor of drafts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_spec import masks
from policy_spec.cached import CachedPrompt
from policy_spec.graphs import FAST_TOKENS, MOST_NEW_TOKENS, Variant, head_rows, kv_names
from policy_spec.pipeline import Float32, Pipeline, Prepared, Run

Ints = NDArray[np.int64]
RIMS = {"think": ("depth_start", "depth_end"), "discrete": ("action_start", "action_end")}
DEPTH_RIMS = ("depth_output", *RIMS["think"])


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What a runner makes of one prompt and the tokens after it."""

    logits: Float32  # [1 + n, V]: after the prompt, then after each token
    context: dict[str, NDArray[Any]]  # k_00, v_00, ... of a think bundle
    normalized: Float32 | None  # [1, horizon, A] of a think bundle


@dataclass(slots=True, eq=False)
class Replay:
    """One policy with its cached graphs; not to be shared between threads."""

    pipeline: Pipeline
    variant: Variant
    cached: CachedPrompt = field(init=False, repr=False)
    _rows: Ints = field(init=False, repr=False)  # token id of each logit
    _allowed: NDArray[np.bool_] = field(init=False, repr=False)  # [V] the tokens that may be chosen between the rims

    def __post_init__(self) -> None:
        spec, ids = self.pipeline.spec, self.pipeline.spec.token_ids
        self.cached = CachedPrompt(spec, self.pipeline.bracket, self.variant)
        self._rows = np.concatenate([np.arange(*span) for span in head_rows(spec, self.variant.head)])
        think = self.variant.mode == "think"
        first, count = (ids["depth_0"], spec.depth_tokens) if think else (ids["action_0"], spec.action_tokens)
        self._allowed = (first <= self._rows) & (self._rows < first + count)
        if not think:
            self._allowed |= self._rows == ids["action_end"]

    @property
    def choices(self) -> Ints:
        """Ids of the tokens that may be chosen."""
        return self._rows[self._allowed]

    def whole(self, run: Run, prepared: Prepared, features: NDArray[Any], tokens: Ints, seed: int) -> Replayed:
        """Prompt, tokens, context and flow. Everything is copied out of the runner's buffers."""
        logits = [self.cached.prompt(run, prepared, features)[None].copy(), self.push(tokens, 0)]
        context, normalized = dict[str, NDArray[Any]](), None
        if self.variant.mode == "think":
            context = self.context(run, prepared, tokens)
            normalized = self.act(run, prepared, tokens, context, seed)
        return Replayed(np.concatenate(logits), context, normalized)

    def push(self, tokens: Ints, start: int) -> Float32:
        """Logits [n, V] after each of the tokens, in as few passes as there can be."""
        parts = [
            self.cached.push(part, start + at, np.arange(len(part))).copy()
            for at in range(0, len(tokens), MOST_NEW_TOKENS)
            if len(part := tokens[at : at + MOST_NEW_TOKENS])
        ]
        return np.concatenate(parts)

    def seen(self, prepared: Prepared, tokens: Ints) -> tuple[Float32, Float32]:
        """Places of the cache that the expert may see, and those among them that hold depth tokens: [1, C] each."""
        spec, length = self.pipeline.spec, self.cached.length
        ids, first = np.concatenate([prepared.ids, tokens]), spec.token_ids["depth_0"]
        seen = masks.expert_mask(ids, spec.action_mode, spec.token_ids.get("eos"), spec.discrete_span)
        depth = np.isin(ids, [spec.token_ids[name] for name in DEPTH_RIMS])
        depth |= (first <= ids) & (ids < first + spec.depth_tokens)
        out = np.zeros((2, 1, length), np.float32)
        out[0, 0, : len(ids)], out[1, 0, : len(ids)] = seen, seen & depth
        return out[0], out[1]

    def context(self, run: Run, prepared: Prepared, tokens: Ints) -> dict[str, NDArray[Any]]:
        """The expert's K and V of every layer, from what the cache now holds."""
        visible, depth = self.seen(prepared, tokens)
        out = run("context", {"visible": visible, "depth": depth})
        return {name: out[name].copy() for name in kv_names(self.pipeline.spec.layers)}

    def flow_feeds(self, prepared: Prepared, tokens: Ints, context: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All that the flow graph takes but trajectory and step."""
        bias = masks.additive(self.seen(prepared, tokens)[0] > 0)[:, None, None]
        return {**prepared.flow, "context_bias": bias, **context}

    def act(self, run: Run, prepared: Prepared, tokens: Ints, context: dict[str, NDArray[Any]], seed: int) -> Float32:
        """The normalised chunk [1, horizon, A]."""
        feeds = self.flow_feeds(prepared, tokens, context)
        return self.pipeline.denoise(run, feeds, self.pipeline.noise(seed).copy())

    def greedy(self, run: Run, prepared: Prepared, features: NDArray[Any]) -> Ints:
        """The tokens that the policy chooses by itself, one pass each: a depth map from its start to its end token, or
        an answer in action tokens to its end, or to the most tokens that there may be.
        """
        start, end = (self.pipeline.spec.token_ids[name] for name in RIMS[self.variant.mode])
        self.cached.prompt(run, prepared, features)
        tokens = [start]
        while len(tokens) <= self._most() and tokens[-1] != end:
            logits = self.cached.push(np.array(tokens[-1:]), len(tokens) - 1, np.array([0]))
            tokens.append(int(self.chosen(logits)[0]))
        return np.array(tokens if tokens[-1] == end else [*tokens, end], np.int64)

    def chosen(self, logits: Float32) -> Ints:
        """The token of the largest logit in each row, of those that may come."""
        best: Ints = self._rows[np.argmax(np.where(self._allowed, logits, -np.inf), axis=-1)]
        return best

    def lost(self, logits: Float32, tokens: Ints) -> Float32:
        """By how much each decided token's logit falls short of the best one's; 0 where it is the best.

        logits: of a Replayed of these tokens. The first token is forced, and so is the last where it comes because
        there is no more room.
        """
        decided = tokens[1 : 1 + min(self._most(), len(tokens) - 1)]
        rows = np.where(self._allowed, logits[1 : 1 + len(decided)], -np.inf)
        column = np.argmax(self._rows == decided[:, None], axis=-1)
        short: Float32 = rows.max(axis=-1) - rows[np.arange(len(decided)), column]
        return short

    def _most(self) -> int:
        """Tokens between the rims, at most."""
        think = self.variant.mode == "think"
        return self.pipeline.spec.depth_codes if think else FAST_TOKENS * self.pipeline.tag.horizon
