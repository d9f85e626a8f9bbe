"""A Device on this computer's own memory, and Contexts in which ONNX Runtime computes: twins of cuda.py and runtime.py.

It shows that addresses, sizes, caches that change places, loops and captured runs are right, with real graphs and real
numbers. It shows nothing of CUDA and TensorRT: that takes a GPU (docs/hardware.md).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from edge.engine import Array, TensorInfo
from edge.ort_engine import DTYPES
from edge.trt.device import ALIGNMENT, Gpu, Part
from policy_spec.graphs import DYNAMIC


class HostDevice:
    """What work is captured runs with the addresses and shapes that it had then, as a CUDA graph does."""

    gpu = Gpu("this computer", "0.0", 1, 1 << 30, "none")

    def __init__(self) -> None:
        self.memory: list[Any] = []
        self.recorded: list[Callable[[], None]] | None = None
        self.allocations = self.waits = 0

    def allocate(self, size: int) -> int:
        raw = np.zeros(size + ALIGNMENT, np.uint8)
        self.memory.append(raw)
        self.allocations += 1
        address = int(raw.ctypes.data)
        return address + -address % ALIGNMENT

    def pinned(self, size: int) -> Any:
        self.allocations += 1
        return np.zeros(size, np.uint8)

    def copy(self, to: int | Array, source: int | Array, size: int) -> None:
        assert self.recorded is None, "nothing is copied within a captured run"
        ends = [place if isinstance(place, int) else int(place.ctypes.data) for place in (to, source)]
        ctypes.memmove(ends[0], ends[1], size)

    def clear(self, address: int, size: int) -> None:
        ctypes.memset(address, 0, size)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recorded = recorded = []
        try:
            work()
        finally:
            self.recorded = None

        def launch() -> None:
            for step in recorded:
                step()

        return launch

    def wait(self) -> None:
        self.waits += 1

    def close(self) -> None:
        self.memory.clear()


class OrtContext:
    """One graph at addresses."""

    def __init__(self, session: Any, infos: dict[str, TensorInfo], device: HostDevice) -> None:
        self.session, self.infos, self.device = session, infos, device
        self.addresses: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def address(self, name: str, address: int) -> None:
        assert name in self.infos and address % ALIGNMENT == 0
        self.addresses[name] = address

    def shape(self, name: str, shape: tuple[int, ...]) -> None:
        assert self.device.recorded is None, "shapes are part of what is captured"
        self.shapes[name] = shape

    def enqueue(self) -> None:
        addresses, shapes = dict(self.addresses), dict(self.shapes)
        if self.device.recorded is not None:
            self.device.recorded.append(lambda: self._run(addresses, shapes))
        else:
            self._run(addresses, shapes)

    def _run(self, addresses: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> None:
        feeds = {}
        for node in self.session.get_inputs():
            info = self.infos[node.name]
            feeds[node.name] = _view(addresses[node.name], info.dtype, shapes.get(node.name, info.shape)).copy()
        outputs = self.session.get_outputs()
        for node, value in zip(outputs, self.session.run(None, feeds), strict=True):
            _view(addresses[node.name], value.dtype, value.shape)[...] = value


def _view(address: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    size = int(np.prod(shape)) * dtype.itemsize
    raw = (ctypes.c_uint8 * size).from_address(address)
    return np.frombuffer(raw, dtype).reshape(shape)


def open_part(graph: str, path: Path, device: HostDevice) -> Part:
    """A graph's file as a Part."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def info(node: Any) -> TensorInfo:
        shape = tuple(side if isinstance(side, int) else DYNAMIC for side in node.shape)
        return TensorInfo(node.name, DTYPES[node.type], shape)

    inputs, outputs = (tuple(info(n) for n in side) for side in (session.get_inputs(), session.get_outputs()))
    infos = {i.name: i for i in (*inputs, *outputs)}
    return Part(graph, inputs, outputs, lambda profile: OrtContext(session, infos, device))
