"""The GPU through cuda-python: memory, one stream, captured work. The thin rim; nothing here decides anything.

Opened by `open_device`. Every call's error code is looked at. Not for two threads at once.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.engine import Array
from edge.trt.device import Gpu
from policy_spec.errors import SessionError, sentence

INSTALL = "pip install 'cuda-python>=12.6,<13' for JetPack 6.2, 'cuda-python>=13,<14' for JetPack 7.2 and PCs"


class CudaDevice:
    """See device.Device."""

    def __init__(self, runtime: Any, number: int = 0) -> None:
        self._rt = runtime
        self._memory: list[int] = []
        self._pinned: list[int] = []
        self._graphs: list[Any] = []
        self._call("cudaSetDevice", number)
        self.gpu = gpu_facts(runtime, number)
        (self.stream,) = self._call("cudaStreamCreateWithFlags", runtime.cudaStreamNonBlocking)

    def allocate(self, size: int) -> int:
        """Raises SessionError where the GPU is full."""
        (address,) = self._call("cudaMalloc", max(1, size))
        self._memory.append(int(address))
        self.clear(int(address), size)
        return int(address)

    def pinned(self, size: int) -> npt.NDArray[Any]:
        """Page-locked."""
        (address,) = self._call("cudaHostAlloc", max(1, size), self._rt.cudaHostAllocDefault)
        self._pinned.append(int(address))
        array = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(int(address)))
        array[:] = 0
        return array

    def copy(self, to: int | Array, source: int | Array, size: int) -> None:
        """A number is an address of the GPU, an array lies on the host."""
        ways = {(True, False): "HostToDevice", (False, True): "DeviceToHost", (False, False): "DeviceToDevice"}
        way = ways[(not isinstance(source, int), not isinstance(to, int))]
        kind = getattr(self._rt.cudaMemcpyKind, f"cudaMemcpy{way}")
        self._call("cudaMemcpyAsync", _address(to), _address(source), size, kind, self.stream)

    def clear(self, address: int, size: int) -> None:
        self._call("cudaMemsetAsync", address, 0, size, self.stream)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """As a CUDA graph. What fails inside leaves the stream as it was."""
        mode = self._rt.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self.stream, mode)
        try:
            work()
        except BaseException:
            self._rt.cudaStreamEndCapture(self.stream)  # its own error would hide the first one
            raise
        (graph,) = self._call("cudaStreamEndCapture", self.stream)
        (ready,) = self._call("cudaGraphInstantiate", graph, 0)
        self._call("cudaGraphDestroy", graph)
        self._call("cudaGraphUpload", ready, self.stream)
        self._graphs.append(ready)

        def launch() -> None:
            self._call("cudaGraphLaunch", ready, self.stream)

        return launch

    def wait(self) -> None:
        self._call("cudaStreamSynchronize", self.stream)

    def close(self) -> None:
        """In the order in which things hang on each other; errors matter to nobody any more. A second time is none."""
        rt = self._rt
        if self.stream is None:
            return
        rt.cudaStreamSynchronize(self.stream)
        for graph in self._graphs:
            rt.cudaGraphExecDestroy(graph)
        for address in self._memory:
            rt.cudaFree(address)
        for address in self._pinned:
            rt.cudaFreeHost(address)
        rt.cudaStreamDestroy(self.stream)
        self._graphs, self._memory, self._pinned, self.stream = [], [], [], None

    def _call(self, name: str, *arguments: Any) -> tuple[Any, ...]:
        return call(self._rt, name, *arguments)


def call(rt: Any, name: str, *arguments: Any) -> tuple[Any, ...]:
    """One function of the CUDA runtime: what it gives, without the error code. Raises SessionError by that code."""
    try:
        code, *results = getattr(rt, name)(*arguments)
    except RuntimeError as error:  # bindings up to 12.8 raise where there is no driver
        raise SessionError(sentence(f"the GPU failed ({name})", got=error, do="run armside doctor")) from error
    if code != rt.cudaError_t.cudaSuccess:
        text = rt.cudaGetErrorString(code)[1]
        said = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        raise SessionError(sentence(f"the GPU failed ({name})", got=f"{said} ({int(code)})", do=_advice(rt, code)))
    return tuple(results)


def _advice(rt: Any, code: Any) -> str:
    if code == rt.cudaError_t.cudaErrorMemoryAllocation:
        return "close other programs, or use a bundle of a lower precision"
    return "run armside doctor; look at sudo dmesg for the driver's own words"


def gpu_facts(rt: Any, number: int = 0) -> Gpu:
    """Raises SessionError where there is no GPU, or no driver."""
    (driver,) = call(rt, "cudaDriverGetVersion")

    def attribute(name: str) -> int:
        return int(call(rt, "cudaDeviceGetAttribute", getattr(rt.cudaDeviceAttr, name), number)[0])

    capability = f"{attribute('cudaDevAttrComputeCapabilityMajor')}.{attribute('cudaDevAttrComputeCapabilityMinor')}"
    (properties,) = call(rt, "cudaGetDeviceProperties", number)
    free = int(call(rt, "cudaMemGetInfo")[0])
    name = properties.name.decode(errors="replace").strip("\0 ")
    count, integrated = attribute("cudaDevAttrMultiProcessorCount"), bool(attribute("cudaDevAttrIntegrated"))
    return Gpu(name, capability, count, free, f"CUDA {driver // 1000}.{driver % 1000 // 10}", integrated)


def open_runtime() -> Any:
    """The module cuda.bindings.runtime. Raises SessionError where it is absent."""
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise SessionError(sentence("cuda-python is not installed", got=error, do=INSTALL)) from error


def find_gpu() -> Gpu | None:
    """The first GPU, None where there is none that CUDA can use, or no cuda-python."""
    try:
        return first_gpu()
    except SessionError:
        return None


def first_gpu() -> Gpu:
    """Raises SessionError: no cuda-python, no driver, no GPU."""
    return gpu_facts(_with_gpu())


def open_device(number: int = 0) -> CudaDevice:
    """Raises SessionError: no cuda-python, no driver, no GPU."""
    return CudaDevice(_with_gpu(), number)


def _with_gpu() -> Any:
    """The runtime, once it has found a GPU."""
    rt = open_runtime()
    (count,) = call(rt, "cudaGetDeviceCount")
    if not count:
        raise SessionError(sentence("no GPU", expected="one that CUDA can use", do="run armside doctor"))
    return rt


def _address(place: int | Array) -> int:
    return place if isinstance(place, int) else int(place.ctypes.data)
