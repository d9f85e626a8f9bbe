"""The order in which depth codes are generated: as released, or the whole map as a draft at once. Same codes.

Takes a language model as one function, `push(tokens, start, rows) -> logits`, and what is known of the map; gives a
Depth. Place 0 holds depth_start, place i + 1 the code of cell i; the logits at place i choose cell i, and those
after the last code depth_end. Unchanged cells are replayed, whatever the model would say. Knows nothing of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from policy_spec.depth_draft import NONE, Bools, Codes, Drafter
from policy_spec.depth_patches import grid_side
from policy_spec.errors import AnswerError, SessionError, SpecError, sentence
from policy_spec.generated import Depth
from policy_spec.graphs import MOST_NEW_TOKENS, Variant, extra_tokens
from policy_spec.spec import PolicySpec

SMALL = 1e-3  # best minus second logit: closer ones may swap between kernels that round differently
ORDERS = ("draft", "released")  # the default first

Logits = NDArray[np.float32]


class Push(Protocol):
    """Feeds tokens at the places from `start` on, over whatever was there and after it; gives the logits at `rows` of
    them, [len(rows), V]."""

    def __call__(self, tokens: NDArray[Any], start: int, rows: NDArray[Any], /) -> Logits:
        """One pass."""


@dataclass(frozen=True, slots=True)
class DepthTokens:
    """Ids and sizes of one checkpoint's depth maps, and what the logits are of."""

    start: int
    end: int
    first: int  # depth_0
    values: int  # of one code
    cells: int
    ending: int  # most tokens after the last code, depth_end among them
    full: bool  # the logits are the whole lm_head's, and depth_end is awaited; else the codes', and it is forced

    @classmethod
    def of(cls, spec: PolicySpec, variant: Variant) -> DepthTokens:
        """Raises SpecError where the checkpoint has no depth tokens."""
        missing = [name for name in ("depth_start", "depth_end", "depth_0") if name not in spec.token_ids]
        if missing:
            raise SpecError(
                sentence(
                    f"tokens of a depth map: {', '.join(missing)} are missing",
                    expected="a checkpoint that was trained to predict depth",
                    do="export it with --mode continuous",
                )
            )
        start, end, first = (spec.token_ids[name] for name in ("depth_start", "depth_end", "depth_0"))
        grid_side(spec.depth_codes)
        full = variant.head == "full"
        return cls(start, end, first, spec.depth_tokens, spec.depth_codes, extra_tokens(spec), full)

    def sequence(self, codes: Codes) -> NDArray[np.int64]:
        """[cells + 2] a whole map as tokens."""
        return np.concatenate([[self.start], codes + self.first, [self.end]])

    def of_codes(self, logits: Logits) -> Logits:
        """[m, values] of [m, V]."""
        return logits[:, self.first : self.first + self.values] if self.full else logits


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of a map before it is decoded."""

    codes: Codes | None  # [cells] replayed where unchanged, a draft elsewhere; None: nothing is known
    changed: Bools  # [cells] all of them where nothing is known

    def draft(self) -> Codes:
        """A map to begin with, to be written into."""
        assert self.codes is not None or self.changed.all(), "what is replayed must be known"
        return np.zeros(self.changed.shape, np.int64) if self.codes is None else self.codes.copy()


@dataclass(slots=True, eq=False)
class _Counted:
    """The model, and what it was asked."""

    push: Push
    tokens: DepthTokens
    passes: int = 0
    fed: int = 0
    accepted: int = 0
    small: int = 0
    after: list[int] = field(default_factory=list)  # tokens that came after the last code

    def feed(self, ids: Any, start: int, rows: Any) -> Logits:
        self.passes, self.fed = self.passes + 1, self.fed + len(ids)
        return self.push(np.asarray(ids, np.int64), start, np.asarray(rows, np.int64))

    def decide(self, logits: Logits) -> None:
        """Counts these decisions' narrow ones. [m, V]"""
        best = np.partition(logits, -2, axis=-1)[:, -2:]
        if not np.isfinite(best).all():
            raise SessionError(
                sentence(
                    "the language model gave a logit that is not a number",
                    expected="finite logits",
                    got=best[~np.isfinite(best)][0],
                    do="run armside doctor; a graph in float16 may overflow on this machine",
                )
            )
        self.small += int((best[:, 1] - best[:, 0] < SMALL).sum())

    def one(self, logits: Logits) -> int:
        """The single choice of [1, V]."""
        self.decide(logits)
        return int(logits[0].argmax())

    def depth(self, codes: Codes, changed: Bools) -> Depth:
        sequence = self.tokens.sequence(codes)
        ids = np.concatenate([sequence[:-1], np.asarray(self.after, np.int64), sequence[-1:]])
        side = grid_side(self.tokens.cells)
        return Depth(codes, changed.copy(), ids, self.passes, self.fed, self.accepted, self.small, side)


def released(push: Push, tokens: DepthTokens, known: Known) -> Depth:
    """depth_start by itself, changed cells one by one, each run of unchanged ones at once, then until depth_end."""
    model, codes = _Counted(push, tokens), known.draft()
    logits = model.feed([tokens.start], 0, [0])
    for start, stop in _runs(known.changed):
        if known.changed[start]:
            for cell in range(start, stop):
                codes[cell] = model.one(tokens.of_codes(logits))
                logits = model.feed([codes[cell] + tokens.first], cell + 1, [0])
        else:
            logits = model.feed(codes[start:stop] + tokens.first, start + 1, [stop - start - 1])
    place = tokens.cells + 1
    while tokens.full and (chosen := model.one(logits)) != tokens.end:
        _follows(model, chosen)
        logits, place = model.feed([chosen], place, [0]), place + 1
    model.feed([tokens.end], place, [0])
    return model.depth(codes, known.changed)


def drafted(push: Push, tokens: DepthTokens, known: Known, drafter: Drafter) -> Depth:
    """As much of the draft in each pass as is likely to hold, up to depth_end; the first wrong guess ends what a pass
    settles.

    Each pass settles one more changed cell at least, so that there are never as many passes as in the released order.
    """
    model, codes = _Counted(push, tokens), known.draft()
    drafter.begin(known.codes)
    if known.codes is None:
        drafter.fill(codes, known.changed, 0)
    left, at = np.flatnonzero(known.changed), 0
    while True:
        stop = _stop(tokens, left, at, drafter.reach())
        asked = left[left < stop]
        logits = model.feed(tokens.sequence(codes)[at:stop], at, np.append(asked, min(stop - 1, tokens.cells)) - at)
        of_codes = tokens.of_codes(logits[:-1])
        chosen = np.full(tokens.cells, NONE)
        chosen[asked] = of_codes.argmax(-1)
        wrong = asked[chosen[asked] != codes[asked]]
        at = int(wrong[0]) + 1 if len(wrong) else stop
        decided = int((asked < at).sum())
        model.decide(of_codes[:decided])
        model.accepted += decided - min(len(wrong), 1)
        drafter.learn(codes, chosen, at)
        left = left[decided:]
        if len(wrong):
            codes[at - 1] = chosen[at - 1]
            drafter.fill(codes, known.changed, at)
        elif stop > tokens.cells:  # depth_end was fed
            break
    _finish(model, logits[-1:])
    return model.depth(codes, known.changed)


def _stop(tokens: DepthTokens, left: NDArray[np.intp], at: int, reach: int) -> int:
    """The place before which a pass from place `at` ends: that of depth_end, the last cell within reach, or the room of
    a pass. The last code is fed with depth_end: what comes after it is asked of that pass.
    """
    whole = tokens.cells + 2
    stop = min(int(left[reach]) if reach < len(left) else whole, at + MOST_NEW_TOKENS)
    return tokens.cells if stop == whole - 1 else stop


def _finish(model: _Counted, logits: Logits) -> None:
    """depth_end has been fed after the last code already; what comes between, if anything, is fed with another."""
    tokens, place = model.tokens, model.tokens.cells + 1
    while tokens.full and (chosen := model.one(logits)) != tokens.end:
        _follows(model, chosen)
        logits, place = model.feed([chosen, tokens.end], place, [0]), place + 1


def _follows(model: _Counted, chosen: int) -> None:
    """One more token between the last code and depth_end. Raises AnswerError where there is no room for both."""
    model.after.append(chosen)
    most = model.tokens.ending
    if len(model.after) >= most:
        raise AnswerError(
            sentence(
                "the depth map does not end",
                expected=f"<depth_end> within {most} tokens after the last code",
                got=f"tokens {model.after}",
                do="export with --head depth, which forces it, or check that the checkpoint was trained on depth",
            )
        )


def _runs(mask: Bools) -> list[tuple[int, int]]:
    """Start and stop of each run of equal values; one that is longer than a pass takes, in pieces."""
    edges, most = np.flatnonzero(mask[1:] != mask[:-1]) + 1, MOST_NEW_TOKENS
    runs = pairwise([0, *edges.tolist(), len(mask)])
    return [(at, min(at + most, stop)) for start, stop in runs for at in range(start, stop, most)]
