"""The runs of one call of the reference model, as cases that every layer of the graphs is compared in.

A Recorder stands between a call and the reference's walk, and keeps what each run of a graph was fed and gave: of the
flow the step in the middle. Takes the walk, gives layerwise.Case. Knows nothing of how a layer is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.emit import layer_name, layer_output
from export.layerwise import Case
from export.walk import Walk
from policy_spec.graphs import CACHE, NEXT

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """One run of one graph."""

    graph: str
    number: int
    feeds: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


class Recorder:
    """`run(graph, feeds)` of a walk, which remembers."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.ran: list[Ran] = []

    @property
    def caches(self) -> Arrays:
        """The walk's."""
        return self.walk.caches

    def __call__(self, graph: str, feeds: Arrays, /) -> Arrays:
        out = self.walk(graph, feeds)
        if graph != "flow" or feeds["step"][0] == self.walk.middle:
            number = sum(ran.graph == graph for ran in self.ran)
            kept = ({name: value.copy() for name, value in arrays.items()} for arrays in (feeds, out))
            self.ran.append(Ran(graph, number, *kept))
        return out


def cases(recorder: Recorder, prompt: int, horizon: int) -> list[Case]:
    """A case for each run. prompt: tokens that are not padding; horizon: steps that are not."""
    walk, found = recorder.walk, []
    cached = any(name == "positions" for ran in recorder.ran for name in ran.feeds)
    caches = dict(walk.caches) if cached else {}
    most = max((int(ran.feeds["positions"].max()) + 1 for ran in recorder.ran if "positions" in ran.feeds), default=0)
    used = most if any(ran.graph == "llm" and ran.number for ran in recorder.ran) else prompt
    for ran in recorder.ran:
        if ran.graph == "llm" and cached:
            found.append(_cached_llm(walk, ran, caches, prompt))
        elif ran.graph == "context":
            found.append(_plain(walk, ran, {**ran.feeds, **caches}, used))
        else:
            found.append(_plain(walk, ran, ran.feeds, horizon if ran.graph == "flow" else prompt))
    return found


def _plain(walk: Walk, ran: Ran, feeds: Arrays, used: int) -> Case:
    """used: tokens (or steps of the flow) that count."""

    def expected(name: str) -> np.ndarray:
        return ran.outputs[name] if name in ran.outputs else walk.output(name, ran.number)

    def cut(name: str, value: np.ndarray) -> np.ndarray:
        if ran.graph == "vision":
            return value
        if name[:2] == "k_":
            return value[..., :used]
        return value[..., :used, :]

    return Case(ran.graph, ran.number, feeds, expected, cut)


def _cached_llm(walk: Walk, ran: Ran, caches: Arrays, prompt: int) -> Case:
    """Some tokens at their places: a layer of the walk has all of them up to the last."""
    places = ran.feeds["positions"][0]
    rows = ran.feeds["rows"][0]
    start, stop = int(places.min()), min(int(places.max()) + 1, prompt if ran.number == 0 else 1 << 30)
    last = layer_output(layer_name("llm.blocks", len(caches) // 2 - 1))
    before = {}
    for name, value in caches.items():
        before[name] = value.copy()
        before[name][:, start:] = 0

    def expected(name: str) -> np.ndarray:
        if name.startswith(CACHE):
            return caches[name.removesuffix(NEXT)]
        if name in ran.outputs:
            return ran.outputs[name]
        x = walk.output(name, ran.number)[:, places]
        return x[:, rows] if name == last else x

    def cut(name: str, value: np.ndarray) -> np.ndarray:
        if name.startswith(CACHE):
            return value[:, :stop]
        return value if name == last or name in ran.outputs else value[:, : stop - start]

    return Case("llm", ran.number, {**ran.feeds, **before}, expected, cut)
