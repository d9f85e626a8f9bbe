"""The engine of the TensorRT family: one bundle on one GPU. The contract of edge/engine.py, with loops of its own.

Takes Parts (built engines) and a Device; memory is made once, and what one graph gives stays on the GPU for the next.
Runs of fixed shapes, of the sizes in PASS_SIZES and whole flow loops are captured as CUDA graphs. Knows nothing of
prompts, images or policies.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.engine import Array, TensorInfo
from edge.trt.buffers import Memory, OnDevice, Pool
from edge.trt.cuda_graphs import Captured
from edge.trt.device import ALIGNMENT, Context, Device, Part
from edge.trt.plan import ROWS, Profile
from policy_spec.errors import SessionError, sentence
from policy_spec.graphs import CACHE, DYNAMIC, NEXT, GraphSpec
from policy_spec.loop import Loop

PASS_SIZES = (1, 4, 16, 64, 128)  # tokens of a pass that are captured; edge/padded.py fills up to them


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a bundle says of one graph."""

    spec: GraphSpec
    profiles: tuple[Profile, ...]  # that it was built with; none: all sides are fixed


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """One graph of the bundle: its engines in the order in which they run, and what goes in and out of them all."""

    parts: tuple[Part, ...]
    profiles: tuple[Profile, ...]
    inputs: dict[str, TensorInfo]  # that somebody feeds
    outputs: dict[str, TensorInfo]  # that somebody is given
    tensors: tuple[TensorInfo, ...]  # caches too, what is between blocks not
    cached: bool  # it reads a cache, so that a run differs by which of the two buffers holds it

    def profile(self, tokens: int, rows: int) -> int:
        """The first profile that takes so many of both, -1 where none does. A bracket may be as long as a pass."""
        fit = (number for number, p in enumerate(self.profiles) if p.takes(tokens, rows))
        return next(fit, -1) if self.profiles else 0


class TrtEngine:
    """See engine.Engine and engine.Looping. Not safe for two threads at once: Session holds the lock."""

    pass_sizes = PASS_SIZES

    def __init__(
        self,
        parts: Sequence[Part],
        wanted: Mapping[str, Wanted],
        device: Device,
        name: str,
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        """parts: in the order in which they run. wanted: what the bundle says of each graph. keep: called when all that
        ran is compiled, before it is gone.
        """
        self.name, self._keep = name, keep
        self._device = device
        self._pool = Pool(device, _most(wanted))
        self._captured = Captured(device)
        self._contexts: dict[Hashable, list[Context]] = {}
        self._loops: dict[Hashable, list[dict[str, int]]] = {}
        self._graphs = {
            graph: _graph([part for part in parts if part.graph == graph], asked) for graph, asked in wanted.items()
        }
        for made in self._graphs.values():
            between = [info for part in made.parts for info in (*part.inputs, *part.outputs)]
            for info in (*made.tensors, *between):
                self._pool.memory(info)
        fed = {name for graph in self._graphs.values() for name in graph.inputs}
        given = {name for graph in self._graphs.values() for name in graph.outputs}
        self._resident = fed & given  # what one graph gives and another takes
        for made in self._graphs.values():
            tensors = {**made.inputs, **made.outputs}.items()
            self._pool.pin(info for name, info in tensors if name not in self._resident)
        device.wait()

    def run(self, graph: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs one graph. SessionError for a feed that is missing, unknown or of another shape."""
        made = self._graphs[graph]
        sizes = self._feed(graph, made, feeds)
        parity = self._pool.parity
        profile = made.profile(*sizes)
        if profile < 0:
            what = f"graph {graph}: tokens and rows of a run"
            raise SessionError(sentence(what, got=f"{sizes[0]} and {sizes[1]}", do="build the engines again"))
        kind = (graph, sizes, parity if made.cached else 0)
        if self._is_captured(made, profile, sizes):
            contexts = self._ready(kind, made, profile, sizes)
            self._captured.run(kind, lambda: _enqueue(contexts))
        else:
            contexts = self._ready((graph, "any", profile), made, profile, sizes)
            self._bind(made, contexts, parity)
            _shape(made, contexts, sizes)
            _enqueue(contexts)
        if any(name.startswith(CACHE) and name.endswith(NEXT) for part in made.parts for name in _names(part.outputs)):
            self._pool.parity = 1 - parity
        return self._give(made, sizes)

    def repeat(self, graph: str, feeds: Mapping[str, Array], loop: Loop) -> dict[str, Array]:
        """A whole loop, captured as one. What it gives is what loop.repeated gives, run by run."""
        made = self._graphs[graph]
        counted = {loop.counter: np.array([0], np.int32)}
        self._feed(graph, made, {**feeds, **counted})
        kind = (graph, loop)
        contexts = self._ready(kind, made, 0, (0, 0))
        places = self._loop_places(kind, made, loop)

        def work() -> None:
            for number in range(loop.times):
                for context, part in zip(contexts, made.parts, strict=True):
                    for name, address in places[number].items():
                        if name in _names((*part.inputs, *part.outputs)):
                            context.address(name, address)
                    context.enqueue()

        carried = self._pool.made[loop.taken]
        self._device.copy(places[0][loop.taken], carried.addresses[0], carried.size)
        self._captured.run(kind, work)
        return self._give(made, (0, 0), {loop.given: places[-1][loop.given]})

    def tensors(self, graph: str) -> tuple[TensorInfo, ...]:
        return self._graphs[graph].tensors

    def forget(self) -> None:
        self._pool.forget()

    def warm(self) -> None:
        """Runs and captures, over zeros, all that differs from call to call: passes, and who reads a cache. The others
        are captured by the golden's call.
        """
        for graph, made in self._graphs.items():
            for sizes in _passes(made):
                for parity in (0, 1):  # a cache's two buffers
                    self._pool.parity = parity
                    self.run(graph, self._zeros(made, sizes))
        self.forget()

    def _zeros(self, made: Graph, sizes: tuple[int, int]) -> dict[str, Array]:
        feeds: dict[str, Any] = {}
        for name, info in made.inputs.items():
            resident = name in self._resident
            memory = self._pool.made[name]
            shape = _sized(info, sizes)
            feeds[name] = OnDevice(memory, self._device, info.dtype, shape) if resident else np.zeros(shape, info.dtype)
        return feeds

    @property
    def captures(self) -> int:
        """Runs that were captured so far; a new prompt adds none."""
        return self._captured.captures

    def close(self) -> None:
        keep, self._keep = self._keep, lambda: None
        try:
            keep()
        finally:
            self._contexts.clear()
            self._captured.launches.clear()
            self._graphs.clear()
            self._device.close()

    def _feed(self, graph: str, made: Graph, feeds: Mapping[str, Array]) -> tuple[int, int]:
        """Copies what is not on the GPU yet. Gives the tokens and rows of this run, 0 where all sides are fixed."""
        if feeds.keys() != made.inputs.keys():
            raise SessionError(
                sentence(f"graph {graph}: its inputs", expected=", ".join(made.inputs), got=", ".join(feeds))
            )
        tokens = rows = 0
        for name, info in made.inputs.items():
            value, memory = feeds[name], self._pool.made[name]
            shape = np.shape(value) if not isinstance(value, OnDevice) else value.shape
            if DYNAMIC in info.shape and len(shape) == len(info.shape):
                size = shape[info.shape.index(DYNAMIC)]
                # The first of each counts: those after it must be as long.
                tokens, rows = (tokens, rows or size) if name in ROWS else (tokens or size, rows)
            expected = _sized(info, (tokens, rows))
            if shape != expected:
                raise SessionError(
                    sentence(f"graph {graph}: shape of {name}", expected=list(expected), got=list(shape))
                )
            if isinstance(value, OnDevice) and value.memory is memory:
                continue  # it lies there
            self._send(memory, info, np.asarray(value))
        return tokens, rows

    def _send(self, memory: Memory, info: TensorInfo, value: Array) -> None:
        if memory.host is None:  # what another graph gives; a caller that has a copy of it is not in a hurry
            array = np.ascontiguousarray(value, info.dtype)
            self._device.copy(memory.addresses[0], array, array.nbytes)
            self._device.wait()
            return
        size = value.size * info.dtype.itemsize
        if size > memory.size:
            raise SessionError(sentence(f"size of {info.name}", expected=f"at most {memory.size} bytes", got=size))
        host = memory.host[:size].view(info.dtype).reshape(value.shape)
        np.copyto(host, value, casting="same_kind")
        self._device.copy(memory.addresses[0], memory.host, size)

    def _give(self, made: Graph, sizes: tuple[int, int], at: Mapping[str, int] | None = None) -> dict[str, Array]:
        """Outputs, fetched where no graph takes them. `at`: addresses that are not the tensor's own."""
        given: dict[str, Any] = {}
        for name, info in made.outputs.items():
            memory, shape = self._pool.made[name], _sized(info, sizes)
            if name in self._resident:
                given[name] = OnDevice(memory, self._device, info.dtype, shape)
                continue
            size = int(np.prod(shape)) * info.dtype.itemsize
            assert memory.host is not None, "outputs that the host reads have pinned memory"
            self._device.copy(memory.host, (at or {}).get(name, memory.addresses[0]), size)
            given[name] = memory.host[:size].view(info.dtype).reshape(shape)
        self._device.wait()
        return given

    def _is_captured(self, made: Graph, profile: int, sizes: tuple[int, int]) -> bool:
        """Whether runs of these sizes come again and again."""
        if not made.profiles or made.profiles[profile].tokens[0] == made.profiles[profile].tokens[2]:
            return True
        return sizes[0] in PASS_SIZES and sizes[1] in (1, sizes[0])

    def _ready(self, kind: Hashable, made: Graph, profile: int, sizes: tuple[int, int]) -> list[Context]:
        """Contexts of their own for each kind: a captured run may keep what its context held then."""
        if kind not in self._contexts:
            contexts = [part.context(profile) for part in made.parts]
            self._bind(made, contexts, self._pool.parity)
            _shape(made, contexts, sizes)
            self._contexts[kind] = contexts
        return self._contexts[kind]

    def _bind(self, made: Graph, contexts: Sequence[Context], parity: int) -> None:
        for part, context in zip(made.parts, contexts, strict=True):
            for name in _names((*part.inputs, *part.outputs)):
                context.address(name, self._pool.address(name, parity))

    def _loop_places(self, kind: Hashable, made: Graph, loop: Loop) -> list[dict[str, int]]:
        """Addresses of what each run of a loop counts, takes and gives. Made at the first one."""
        if (known := self._loops.get(kind)) is not None:
            return known
        memory, counter = self._pool.made[loop.taken], self._pool.made[loop.counter]
        room = -(-memory.size // ALIGNMENT) * ALIGNMENT
        turns = [self._device.allocate(room) for _ in range(3)]  # where it starts from, and two that change places
        steps = self._device.allocate(loop.times * ALIGNMENT)
        numbers = np.arange(loop.times, dtype=counter.info.dtype)
        for number in range(loop.times):
            self._device.copy(steps + number * ALIGNMENT, numbers[number : number + 1], counter.info.dtype.itemsize)
        self._device.wait()
        places = []
        for number in range(loop.times):
            taken = turns[0] if number == 0 else turns[1 + (number - 1) % 2]
            given = turns[1 + number % 2]
            places.append({loop.counter: steps + number * ALIGNMENT, loop.taken: taken, loop.given: given})
        self._loops[kind] = places
        return places


def _graph(parts: Sequence[Part], wanted: Wanted) -> Graph:
    """Blocks joined: what a block gives and a later one takes under the same name is nobody else's. An input that
    nothing reads may be gone from an engine: it is taken all the same.
    """
    given = {info.name for part in parts for info in part.outputs}
    inputs = {i.name: i for part in parts for i in part.inputs if i.name not in given}
    for tensor in wanted.spec.inputs:
        inputs.setdefault(tensor.name, TensorInfo(tensor.name, np.dtype(tensor.dtype), tensor.shape))
    taken = {info.name for part in parts for info in part.inputs}
    outputs = {i.name: i for part in parts for i in part.outputs if i.name not in taken}
    public = [{n: i for n, i in side.items() if not n.startswith(CACHE)} for side in (inputs, outputs)]
    cached = any(name.startswith(CACHE) for name in inputs)
    return Graph(tuple(parts), wanted.profiles, public[0], public[1], (*inputs.values(), *outputs.values()), cached)


def _passes(made: Graph) -> list[tuple[int, int]]:
    """Tokens and rows of all runs to warm: of each profile; of fixed shapes where a cache is read."""
    if not made.profiles:
        return [(0, 0)] if made.cached else []
    found = []
    for profile in made.profiles:
        for tokens in sorted({min(max(size, profile.tokens[0]), profile.tokens[2]) for size in PASS_SIZES}):
            found += [(tokens, rows) for rows in sorted({1, min(tokens, profile.rows[2])})]
    return found


def _most(wanted: Mapping[str, Wanted]) -> tuple[int, int]:
    """The most tokens and rows of any run."""
    profiles = [profile for graph in wanted.values() for profile in graph.profiles]
    return max((p.tokens[2] for p in profiles), default=1), max((p.rows[2] for p in profiles), default=1)


def _sized(info: TensorInfo, sizes: tuple[int, int]) -> tuple[int, ...]:
    """The shape of a tensor in a run of so many tokens and rows."""
    return tuple(sizes[info.name in ROWS] if side == DYNAMIC else side for side in info.shape)


def _names(infos: Sequence[TensorInfo]) -> tuple[str, ...]:
    return tuple(info.name for info in infos)


def _shape(made: Graph, contexts: Sequence[Context], sizes: tuple[int, int]) -> None:
    for part, context in zip(made.parts, contexts, strict=True):
        for info in part.inputs:
            if DYNAMIC in info.shape:
                context.shape(info.name, _sized(info, sizes))


def _enqueue(contexts: Sequence[Context]) -> None:
    for context in contexts:
        context.enqueue()
