"""A graph run again and again, each time with what it gave before: as a word that an engine may take as one.

Takes any `run(graph, feeds)`. `repeated` is the slow truth, run by run; whoever runs graphs may offer `repeat`, which
must give the same. Knows nothing of flows and actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from policy_spec.pipeline import Run

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Loop:
    """`times` runs: input `counter` is [0], [1], ..., and input `taken` is what the run before gave as `given`."""

    counter: str
    taken: str
    given: str
    times: int


@runtime_checkable
class Loops(Protocol):
    """A `run` that takes a whole loop at once."""

    def __call__(self, graph: str, feeds: Mapping[str, Array], /) -> Mapping[str, Array]: ...

    def repeat(self, graph: str, feeds: Mapping[str, Array], loop: Loop, /) -> Mapping[str, Array]:
        """Outputs of the last run. `feeds` has the first `taken`, and no `counter`."""


def repeat(run: Run, graph: str, feeds: Mapping[str, Array], loop: Loop) -> Array:
    """What the last run gives as `given`; it may live in a buffer of the runner, or be `taken`'s own array."""
    if isinstance(run, Loops):
        return run.repeat(graph, feeds, loop)[loop.given]
    return repeated(run, graph, feeds, loop)


def repeated(run: Run, graph: str, feeds: Mapping[str, Array], loop: Loop) -> Array:
    """Run by run, in the array that came as `taken`."""
    value = feeds[loop.taken]
    for number in range(loop.times):
        # Copied: the result may live in the buffer that the next run writes.
        value[...] = run(graph, {**feeds, loop.counter: np.array([number], np.int32)})[loop.given]
    return value
