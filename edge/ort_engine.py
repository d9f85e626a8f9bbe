"""ONNX Runtime: one InferenceSession per graph, every buffer bound once, or again where a run chooses another size.

A graph's input that another graph gives under the same name, type and shape shares that graph's buffer:
`vision` writes features where `llm` reads them, and K and V lie where `flow` reads them, uncopied. Tensors named
`cache_*` are the engine's own (policy_spec/graphs.py): one buffer for each, of all graphs, and `cache_x_next` is that
same memory, so that what writes a few rows of a cache copies nothing. Knows nothing of prompts, images or policies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from edge.engine import Array, EngineOptions, TensorInfo, physical_cores
from edge.ort_buffers import Buffer, Side
from edge.ort_providers import Provider, provider
from policy_spec.errors import SessionError, sentence
from policy_spec.graphs import CACHE, DYNAMIC, NEXT

DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
}

# Weights stay out of the arena: it would round them up, and keep them twice while they are packed. What the
# graphs compute with lives in one arena for all of them, since they run one after the other, and it grows by
# what is asked for: 50 MB less on a bundle of 0.5 GB than an arena per graph that doubles.
SESSION_CONFIG = {
    "session.intra_op.allow_spinning": "0",  # the bridge and the cameras need the cores between two calls
    "session.use_device_allocator_for_initializers": "1",
    "session.use_env_allocators": "1",
}
ARENA = {
    "max_mem": 0,  # no limit of its own
    "arena_extend_strategy": 1,  # as requested
    "initial_chunk_size_bytes": 1 << 20,
    "max_dead_bytes_per_chunk": -1,
}
Reopen = Callable[[str], Any]  # graph name -> session
_arena = threading.Lock()
_arena_made = False  # of this process: ONNX Runtime keeps one environment


@dataclass(slots=True, eq=False)
class BoundGraph:
    """A session, its one binding, and the buffers behind it; caches apart, which nobody feeds or is given.

    The buffers stay where they are; session and binding come and go where graphs are in memory in turn.
    """

    session: Any  # None: not in memory
    binding: Any
    inputs: dict[str, Buffer]
    outputs: dict[str, Buffer]
    caches: dict[str, Buffer]  # as the graph names them: cache_k_00 and cache_k_00_next are one Buffer
    tensors: tuple[TensorInfo, ...]  # all of them


@dataclass(slots=True, eq=False)
class Shared:
    """Buffers by the names under which graphs find them."""

    made: dict[str, Buffer] = field(default_factory=dict)  # outputs so far
    caches: dict[str, Buffer] = field(default_factory=dict)


class OrtEngine:
    """See engine.Engine. Not safe for two threads at once: Session holds the lock."""

    def __init__(
        self, graphs: Mapping[str, BoundGraph], caches: Iterable[Buffer], name: str, reopen: Reopen | None = None
    ) -> None:
        """reopen: opens a graph that is not in memory; None: all of them are."""
        self._graphs = dict(graphs)
        self._caches = tuple(caches)
        self._reopen = reopen
        self.name = name

    def run(self, graph: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs one graph. SessionError for a feed that is missing, unknown or of another shape."""
        bound = self._in_memory(graph)
        if feeds.keys() != bound.inputs.keys():
            raise SessionError(
                sentence(f"graph {graph}: its inputs", expected=", ".join(bound.inputs), got=", ".join(feeds))
            )
        _fit(graph, bound, feeds)
        for name, array in feeds.items():
            buffer = bound.inputs[name].array
            if array is not buffer:  # what another graph wrote lies where this one reads
                np.copyto(buffer, array, casting="same_kind")
        try:
            bound.session.run_with_iobinding(bound.binding)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise SessionError(sentence(f"graph {graph} failed while running", got=error)) from error
        return {name: buffer.array for name, buffer in bound.outputs.items()}

    def _in_memory(self, graph: str) -> BoundGraph:
        """The graph, opened; the others make room for it where they are in memory in turn."""
        bound = self._graphs[graph]
        if bound.session is None and self._reopen is not None:
            for other in self._graphs.values():
                other.session = other.binding = None
            bound.session = self._reopen(graph)
            bound.binding = _rebind(bound)
        return bound

    def tensors(self, graph: str) -> tuple[TensorInfo, ...]:
        return self._graphs[graph].tensors

    def forget(self) -> None:
        for buffer in self._caches:
            buffer.array.fill(0)

    def close(self) -> None:
        self._graphs.clear()
        self._caches = ()


def open_engine(files: Mapping[str, Path], options: EngineOptions | None = None) -> OrtEngine:
    """An engine over graph name -> .onnx file, in the order in which they feed each other. SessionError."""
    options = options or EngineOptions()
    threads = options.threads or physical_cores()
    where = provider("onnxruntime" if options.engine == "auto" else options.engine)
    _share_arena()
    shared, graphs = Shared(), dict[str, BoundGraph]()
    in_turn = options.resident == "turn"
    for graph, path in files.items():
        graphs[graph] = _bind(graph, _open_session(graph, path, threads, where), shared)
        if in_turn:  # opened once all the same: a graph that cannot be is refused now
            graphs[graph].session = graphs[graph].binding = None
    name = f"onnxruntime {ort.__version__}, {where.name}, {threads} threads" + (", graphs in turn" if in_turn else "")

    def reopen(graph: str) -> Any:
        return _open_session(graph, files[graph], threads, where)

    return OrtEngine(graphs, shared.caches.values(), name, reopen if in_turn else None)


def _share_arena() -> None:
    """Registers the arena of all sessions, once per process."""
    global _arena_made
    with _arena:
        if not _arena_made:
            where = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
            ort.create_and_register_allocator(where, ort.OrtArenaCfg(ARENA))
            _arena_made = True


def _open_session(graph: str, path: Path, threads: int, where: Provider) -> Any:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.enable_mem_pattern = False  # its plan holds a third more memory at the peak and saves no time
    settings.log_severity_level = 3  # errors; warnings of the optimiser are not for users
    for key, value in {**SESSION_CONFIG, **where.config}.items():
        settings.add_session_config_entry(key, value)
    try:
        session = ort.InferenceSession(str(path), settings, providers=where.wishes())
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise SessionError(
            sentence(f"graph {graph} ({path.name}) cannot be opened", got=error, do="export the bundle again")
        ) from error
    return check_provider(graph, session, where.name)


def check_provider(graph: str, session: Any, wanted: str) -> Any:
    """ONNX Runtime falls back in silence; we do not. Returns the session."""
    got = session.get_providers()
    if not got or got[0] != wanted:
        raise SessionError(
            sentence(f"graph {graph} runs elsewhere than asked", expected=wanted, got=", ".join(got) or "nowhere")
        )
    return session


def _bind(graph: str, session: Any, shared: Shared) -> BoundGraph:
    takes = {node.name: _sides(graph, node) for node in session.get_inputs()}
    gives = {node.name: _sides(graph, node) for node in session.get_outputs()}
    caches = {info.name: _cache(graph, info, sides, shared) for info, sides in takes.values() if _is_cache(info)}
    inputs = {info.name: _input(info, sides, shared) for info, sides in takes.values() if not _is_cache(info)}
    outputs = {info.name: Buffer(info, sides) for info, sides in gives.values() if not _is_cache(info)}
    shared.made.update(outputs)
    chosen = {side for buffer in inputs.values() for side in buffer.sides}
    binding = session.io_binding()
    for name in takes:
        binding.bind_ortvalue_input(name, (inputs.get(name) or caches[name]).value)
    for info, sides in gives.values():
        if _is_cache(info):
            caches[info.name] = _next_cache(graph, info, caches)
        elif not {side for side in sides if isinstance(side, str)} <= chosen:
            raise _not_runnable(graph, info, "sides that its inputs choose", list(sides))
        binding.bind_ortvalue_output(info.name, (outputs.get(info.name) or caches[info.name]).value)
    infos = tuple(info for info, _ in (*takes.values(), *gives.values()))
    return BoundGraph(session, binding, inputs, outputs, caches, infos)


def _rebind(bound: BoundGraph) -> Any:
    """The binding of a session that was opened again, to the buffers of the first one."""
    binding = bound.session.io_binding()
    for node in bound.session.get_inputs():
        binding.bind_ortvalue_input(node.name, (bound.inputs.get(node.name) or bound.caches[node.name]).value)
    for node in bound.session.get_outputs():
        binding.bind_ortvalue_output(node.name, (bound.outputs.get(node.name) or bound.caches[node.name]).value)
    return binding


def _is_cache(info: TensorInfo) -> bool:
    return info.name.startswith(CACHE)


def _sides(graph: str, node: Any) -> tuple[TensorInfo, tuple[Side, ...]]:
    sides = tuple(node.shape)
    if node.type not in DTYPES or not all(isinstance(side, (int, str)) for side in sides):
        expected = "sides that are numbers or names, of " + ", ".join(sorted(DTYPES))
        raise SessionError(sentence(f"graph {graph}: {node.name}", expected=expected, got=f"{node.type} {list(sides)}"))
    shape = tuple(side if isinstance(side, int) else DYNAMIC for side in sides)
    return TensorInfo(node.name, DTYPES[node.type], shape), sides


def _input(info: TensorInfo, sides: tuple[Side, ...], shared: Shared) -> Buffer:
    buffer = shared.made.get(info.name)
    return buffer if buffer is not None and buffer.info == info and buffer.fixed else Buffer(info, sides)


def _cache(graph: str, info: TensorInfo, sides: tuple[Side, ...], shared: Shared) -> Buffer:
    """The one buffer of this cache, whichever graph reads it."""
    if info.name not in shared.caches:
        shared.caches[info.name] = Buffer(info, sides)
    buffer = shared.caches[info.name]
    if buffer.info != info or not buffer.fixed:
        raise _not_runnable(graph, info, f"{buffer.info.dtype} {buffer.info.shape}, the same for all graphs", sides)
    return buffer


def _next_cache(graph: str, info: TensorInfo, caches: Mapping[str, Buffer]) -> Buffer:
    """The buffer that an output is written into: that of the input it takes the place of."""
    buffer = caches.get(info.name.removesuffix(NEXT))
    if buffer is None or (buffer.info.dtype, buffer.info.shape) != (info.dtype, info.shape):
        expected = f"an input {info.name.removesuffix(NEXT)} of its type and shape"
        raise _not_runnable(graph, info, expected, buffer.info.shape if buffer else "none")
    return buffer


def _not_runnable(graph: str, info: TensorInfo, expected: str, got: object) -> SessionError:
    return SessionError(
        sentence(f"graph {graph}: {info.name}", expected=expected, got=got, do="export the bundle again")
    )


def _fit(graph: str, bound: BoundGraph, feeds: Mapping[str, Array]) -> None:
    """Gives every buffer the size that the feeds choose, and binds again what has another one."""
    chosen: dict[str, int] = {}
    for name, buffer in bound.inputs.items():
        shape = np.shape(feeds[name])
        if shape != _resolved(buffer.sides, shape, chosen):
            expected = list(_resolved(buffer.sides, (), chosen))
            raise SessionError(sentence(f"graph {graph}: shape of {name}", expected=expected, got=list(shape)))
        if buffer.fit(shape):
            bound.binding.bind_ortvalue_input(name, buffer.value)
    if chosen:
        for name, buffer in bound.outputs.items():
            if buffer.fit(tuple(chosen[side] if isinstance(side, str) else side for side in buffer.sides)):
                bound.binding.bind_ortvalue_output(name, buffer.value)


def _resolved(sides: tuple[Side, ...], shape: tuple[int, ...], chosen: dict[str, int]) -> tuple[Side, ...]:
    """Sides with each name replaced by what was chosen for it; the first shape that has it chooses."""
    if len(shape) == len(sides):
        for side, size in zip(sides, shape, strict=True):
            if isinstance(side, str):
                chosen.setdefault(side, size)
    return tuple(chosen.get(side, side) if isinstance(side, str) else side for side in sides)
