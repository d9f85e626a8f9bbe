"""The contract of an engine: it runs the graphs of one bundle, on one kind of hardware.

`run` is what policy_spec.pipeline calls. Feeds and outputs are numpy arrays, named as in policy_spec.graphs.
Returned arrays live in buffers that were made when the engine was opened: the next call of the same graph
overwrites them, and feeding one of them to the graph that takes it costs no copy. Tensors named `cache_*` are the
engine's own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from policy_spec.errors import UsageError, sentence

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a graph says of one of its inputs or outputs."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]  # graphs.DYNAMIC for a side that each run chooses


RESIDENT = ("all", "turn")  # which graphs are in memory: all of them, or the one that runs
ENGINES: dict[str, str] = {  # what runs the graphs -> what it is; edge/engines.py opens them
    "auto": "TensorRT where engines for this GPU lie beside the bundle, else ONNX Runtime on the processor",
    "onnxruntime": "ONNX Runtime on the processor",
    "onnxruntime-cuda": "onnxruntime-gpu, CUDA",
    "onnxruntime-tensorrt": "onnxruntime-gpu, TensorRT within ONNX Runtime",
    "tensorrt": "TensorRT, by engines that armside build made",
    "tensorrt_rtx": "TensorRT-RTX, by engines that armside build --target rtx made",
}


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """`threads` 0: one per physical core that this process may use. `resident`: one of RESIDENT; in turn, every call
    opens each graph again, for boards that have no room for all of them and time to wait. `engine`: one of ENGINES.
    Raises UsageError on another.
    """

    threads: int = 0
    resident: str = RESIDENT[0]
    engine: str = "auto"

    def __post_init__(self) -> None:
        if self.resident not in RESIDENT:
            raise UsageError(sentence("graphs in memory", expected=" or ".join(RESIDENT), got=repr(self.resident)))
        if self.engine not in ENGINES:
            raise UsageError(sentence("engine", expected=f"one of {', '.join(ENGINES)}", got=repr(self.engine)))


class Engine(Protocol):
    """Opened by a function of its module; see ort_engine.open_engine."""

    name: str  # "onnxruntime 1.23.2, CPUExecutionProvider, 4 threads"

    def run(self, graph: str, feeds: Mapping[str, Array]) -> dict[str, Array]: ...

    def tensors(self, graph: str) -> tuple[TensorInfo, ...]: ...

    def forget(self) -> None:
        """Zeroes the caches: a pass that went wrong may have left what is not a number there."""

    def close(self) -> None: ...


def physical_cores() -> int:
    """Cores, not hardware threads, that this process may run on. 1 where the system does not say."""
    allowed = os.sched_getaffinity(0)
    cores = set()
    for cpu in allowed:
        folder = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            package = (folder / "physical_package_id").read_text()
            cores.add((package, (folder / "core_id").read_text()))
        except OSError:  # no sysfs: count every processor as a core
            cores.add((str(cpu), ""))
    return max(1, len(cores))
