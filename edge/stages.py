"""A call watched stage by stage: what each graph gives beside what the bundle's golden says it gave there.

A chunk can look plausible while a stage computes something else, so every stage is held to a tolerance of its own, in
the order in which they run, and the first one beyond it is named. Takes any `run` and the golden's stages; gives rows
for a table. Knows nothing of engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policy_spec.compare import Row, cosine, worst
from policy_spec.errors import SessionError, sentence
from policy_spec.loop import Loop, Loops, repeated
from policy_spec.pipeline import Array, Run


@dataclass(frozen=True, slots=True)
class Limit:
    """What another processor's arithmetic explains."""

    share: float  # largest difference, as a share of the stage's largest value
    cosine: float  # at least


# Quantized stages round to steps, and a step may fall to the other side; a stage that is wrong is far beyond these.
LIMITS = {
    "fp32": Limit(2e-3, 0.99999),
    "fp16": Limit(6e-2, 0.9995),
    "bf16": Limit(6e-2, 0.9995),
}
QUANTIZED = Limit(0.2, 0.99)
DO = "check the copy with --verify; if its files are whole, build or export for this board, or in fp32"


@dataclass(slots=True, eq=False)
class Watched:
    """`run`, with each golden stage compared when its graph first gives it. SessionError beyond a limit."""

    run: Run
    golden: Mapping[str, Array]
    limit: Limit
    what: str  # the bundle, for an error
    rows: list[Row] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def __call__(self, graph: str, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        """As `run`."""
        given = self.run(graph, feeds)
        for name in sorted(given.keys() & self.golden.keys() - self._seen):
            self._seen.add(name)
            self.compare(graph, name, given[name])
        return given

    def repeat(self, graph: str, feeds: Mapping[str, Array], loop: Loop, /) -> Mapping[str, Array]:
        """As `run` would."""
        if isinstance(self.run, Loops):
            return self.run.repeat(graph, feeds, loop)
        return {loop.given: repeated(self.run, graph, feeds, loop)}

    def compare(self, stage: str, name: str, value: Any) -> None:
        """One stage against the golden's value of that name."""
        self.rows.extend(checked(self.what, f"{stage}: {name}", (np.asarray(value), self.golden[name]), self.limit))


def limit_of(precision: str) -> Limit:
    """For the stages of a bundle of this precision."""
    return LIMITS.get(precision, QUANTIZED)


def checked(what: str, stage: str, pair: tuple[Array, Array], limit: Limit) -> tuple[Row, Row]:
    """The stage's two rows. pair: got and golden. Raises SessionError naming the stage and its worst element."""
    got, wanted = pair
    if got.shape != wanted.shape:
        raise SessionError(sentence(f"{what}: stage {stage}", expected=list(wanted.shape), got=list(got.shape), do=DO))
    found, scale = worst(got, wanted), float(np.abs(wanted).max()) or 1.0
    like = cosine(got, wanted)
    rows = (
        Row(stage, found.error / scale, limit.share, str(found)),
        Row(f"{stage}, cosine", like, limit.cosine, at_least=True),
    )
    if not all(row.ok for row in rows):
        raise SessionError(
            sentence(
                f"{what}: stage {stage} does not compute its golden values on this board",
                expected=f"a difference of at most {limit.share:g} of the largest value, and a cosine of at least "
                f"{limit.cosine:g}",
                got=f"{found.error / scale:.3g} and {like:.5f}; the worst element is {found}",
                do=DO,
            )
        )
    return rows
