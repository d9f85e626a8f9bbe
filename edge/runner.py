"""What a pipeline calls to run an engine's graphs: with loops and sizes of passes as the engine likes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edge.engine import Array, Engine
from edge.padded import Padded
from policy_spec.bundle import Bundle
from policy_spec.loop import Loop
from policy_spec.pipeline import Run


@runtime_checkable
class Looping(Protocol):
    """An engine that takes a whole loop at once, and whose passes are quick at some sizes only."""

    pass_sizes: tuple[int, ...]

    def run(self, graph: str, feeds: Mapping[str, Array]) -> dict[str, Array]: ...

    def repeat(self, graph: str, feeds: Mapping[str, Array], loop: Loop) -> dict[str, Array]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """A Looping engine as a `run`."""

    engine: Looping

    def __call__(self, graph: str, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        """One graph."""
        return self.engine.run(graph, feeds)

    def repeat(self, graph: str, feeds: Mapping[str, Array], loop: Loop, /) -> Mapping[str, Array]:
        """One loop."""
        return self.engine.repeat(graph, feeds, loop)


def runner(engine: Engine, bundle: Bundle) -> Run:
    """The `run` of an engine for this bundle."""
    if not isinstance(engine, Looping):
        return engine.run
    manifest = bundle.manifest
    if not manifest.variant.cached:
        return Whole(engine)
    return Padded(Whole(engine), engine.pass_sizes, manifest.bracket + manifest.new_tokens, manifest.bracket)
