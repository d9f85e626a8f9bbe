"""ONNX Runtime: one InferenceSession per graph, every buffer bound once.

A graph's input that another graph gives under the same name, type and shape shares that graph's buffer:
`vision` writes features where `llm` reads them, and `llm` writes K and V where `flow` reads them, uncopied.
Knows nothing of prompts, images or policies.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from edge.engine import Array, EngineOptions, TensorInfo, physical_cores
from policy_spec.errors import SessionError, sentence

CPU = "CPUExecutionProvider"
DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
}
ALIGNMENT = 64

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
_arena = threading.Lock()
_arena_made = False  # of this process: ONNX Runtime keeps one environment


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """Memory that numpy and ONNX Runtime both see."""

    info: TensorInfo
    array: Array
    value: Any  # ort.OrtValue over the same memory


@dataclass(frozen=True, slots=True, eq=False)
class BoundGraph:
    """A session, its one binding, and the buffers behind it."""

    session: Any
    binding: Any
    inputs: dict[str, Buffer]
    outputs: dict[str, Buffer]


class OrtEngine:
    """See engine.Engine. Not safe for two threads at once: Session holds the lock."""

    def __init__(self, graphs: Mapping[str, BoundGraph], name: str) -> None:
        self._graphs = dict(graphs)
        self.name = name

    def run(self, graph: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs one graph. SessionError for a feed that is missing, unknown or of another shape."""
        bound = self._graphs[graph]
        if feeds.keys() != bound.inputs.keys():
            raise SessionError(
                sentence(f"graph {graph}: its inputs", expected=", ".join(bound.inputs), got=", ".join(feeds))
            )
        for name, array in feeds.items():
            buffer = bound.inputs[name].array
            if array is not buffer:  # what another graph wrote lies where this one reads
                _fill(graph, name, buffer, array)
        try:
            bound.session.run_with_iobinding(bound.binding)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise SessionError(sentence(f"graph {graph} failed while running", got=error)) from error
        return {name: buffer.array for name, buffer in bound.outputs.items()}

    def tensors(self, graph: str) -> tuple[TensorInfo, ...]:
        bound = self._graphs[graph]
        return tuple(buffer.info for buffer in (*bound.inputs.values(), *bound.outputs.values()))

    def close(self) -> None:
        self._graphs.clear()


def open_engine(files: Mapping[str, Path], options: EngineOptions | None = None) -> OrtEngine:
    """An engine over graph name -> .onnx file, in the order in which they feed each other. SessionError."""
    options = options or EngineOptions()
    threads = options.threads or physical_cores()
    _share_arena()
    made: dict[str, Buffer] = {}  # outputs so far, by name
    graphs = {}
    for graph, path in files.items():
        session = _open_session(graph, path, threads)
        graphs[graph] = _bind(graph, session, made)
    return OrtEngine(graphs, f"onnxruntime {ort.__version__}, {CPU}, {threads} threads")


def _share_arena() -> None:
    """Registers the arena of all sessions, once per process."""
    global _arena_made
    with _arena:
        if not _arena_made:
            where = ort.OrtMemoryInfo(
                "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
            )
            ort.create_and_register_allocator(where, ort.OrtArenaCfg(ARENA))
            _arena_made = True


def _open_session(graph: str, path: Path, threads: int) -> Any:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.enable_mem_pattern = False  # one block for a whole graph, beside the pieces of its first call
    settings.log_severity_level = 3  # errors; warnings of the optimiser are not for users
    settings.enable_mem_pattern = False  # its plan holds a third more memory at the peak and saves no time
    for key, value in SESSION_CONFIG.items():
        settings.add_session_config_entry(key, value)
    try:
        session = ort.InferenceSession(str(path), settings, providers=[CPU])
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise SessionError(
            sentence(f"graph {graph} ({path.name}) cannot be opened", got=error, do="export the bundle again")
        ) from error
    return check_provider(graph, session, CPU)


def check_provider(graph: str, session: Any, wanted: str) -> Any:
    """ONNX Runtime falls back in silence; we do not. Returns the session."""
    got = session.get_providers()
    if not got or got[0] != wanted:
        raise SessionError(
            sentence(
                f"graph {graph} runs elsewhere than asked", expected=wanted, got=", ".join(got) or "nowhere"
            )
        )
    return session


def _bind(graph: str, session: Any, made: dict[str, Buffer]) -> BoundGraph:
    takes = [_info(graph, node) for node in session.get_inputs()]
    gives = [_info(graph, node) for node in session.get_outputs()]
    inputs = {info.name: _shared(info, made) or make_buffer(info) for info in takes}
    outputs = {info.name: make_buffer(info) for info in gives}
    made.update(outputs)
    binding = session.io_binding()
    for name, buffer in inputs.items():
        binding.bind_ortvalue_input(name, buffer.value)
    for name, buffer in outputs.items():
        binding.bind_ortvalue_output(name, buffer.value)
    return BoundGraph(session, binding, inputs, outputs)


def _info(graph: str, node: Any) -> TensorInfo:
    shape: Sequence[Any] = node.shape
    if node.type not in DTYPES or not all(isinstance(side, int) for side in shape):
        raise SessionError(
            sentence(
                f"graph {graph}: {node.name}",
                expected="a static shape of " + ", ".join(sorted(DTYPES)),
                got=f"{node.type} {list(shape)}",
            )
        )
    return TensorInfo(node.name, DTYPES[node.type], tuple(int(side) for side in shape))


def _shared(info: TensorInfo, made: Mapping[str, Buffer]) -> Buffer | None:
    buffer = made.get(info.name)
    return buffer if buffer is not None and buffer.info == info else None


def make_buffer(info: TensorInfo) -> Buffer:
    """Zeroed memory that starts at a multiple of 64 bytes, seen by numpy and by ONNX Runtime."""
    size = int(np.prod(info.shape)) * info.dtype.itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    array: Array = raw[start : start + size].view(info.dtype).reshape(info.shape)
    return Buffer(info, array, ort.OrtValue.ortvalue_from_numpy(array))


def _fill(graph: str, name: str, buffer: Array, array: Array) -> None:
    if buffer.shape != np.shape(array):
        raise SessionError(
            sentence(
                f"graph {graph}: shape of {name}", expected=list(buffer.shape), got=list(np.shape(array))
            )
        )
    np.copyto(buffer, array, casting="same_kind")
