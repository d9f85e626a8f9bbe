"""Built engines opened on a GPU, through the library's own runtime: tensors, contexts, one scratch memory for all.

Takes serialized engines; gives Parts. Contexts run one after another on one stream, so that they share the memory that
they compute in. Knows nothing of bundles and graphs but their names.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.engine import TensorInfo
from edge.trt.build import make_logger
from edge.trt.cuda import CudaDevice
from edge.trt.device import Context, Part
from edge.trt.libraries import Library
from edge.trt.store import KERNELS, read_cache, write_cache
from policy_spec.errors import SessionError, sentence

DTYPES = {"FLOAT": "float32", "HALF": "float16", "BF16": "uint16", "INT32": "int32", "INT8": "int8", "UINT8": "uint8"}


class TrtContext:
    """See device.Context."""

    def __init__(self, context: Any, what: str, stream: int, why: Callable[[], str]) -> None:
        """why: what the library said last."""
        self._context, self._what, self._stream, self._why = context, what, stream, why

    def address(self, name: str, address: int) -> None:
        if not self._context.set_tensor_address(name, address):
            what = f"{self._what} does not take the address {address:#x} of {name}"
            raise SessionError(sentence(what, got=self._why()))

    def shape(self, name: str, shape: tuple[int, ...]) -> None:
        if not self._context.set_input_shape(name, shape):
            what = f"{self._what} does not take {name} of shape {list(shape)}"
            raise SessionError(sentence(what, got=self._why(), do="build the engine again"))

    def enqueue(self) -> None:
        if not self._context.execute_async_v3(self._stream):
            raise SessionError(sentence(f"{self._what} failed while running", got=self._why(), do="run armside doctor"))


@dataclass(slots=True, eq=False)
class Runtime:
    """All engines of a bundle on one GPU. `open` each, then `share` once, then make contexts."""

    trt: Any
    library: Library
    device: CudaDevice
    folder: Path  # where compiled kernels are kept
    _runtime: Any = field(init=False, repr=False)
    _logger: Any = field(init=False, repr=False)
    _engines: list[Any] = field(default_factory=list, repr=False)
    _kernels: Any = field(default=None, repr=False)
    _scratch: tuple[int, int] = (0, 0)  # address, bytes

    def __post_init__(self) -> None:
        self._logger = make_logger(self.trt)
        self._runtime = self.trt.Runtime(self._logger)

    def open(self, graph: str, path: Path) -> Part:
        """Raises SessionError where the file is no engine of this GPU and version."""
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            engine = self._runtime.deserialize_cuda_engine(data)  # read once: a copy would be gigabytes
        if engine is None:
            raise SessionError(sentence(f"{path} cannot be opened", got=self.why(), do="armside build --fresh BUNDLE"))
        self._engines.append(engine)
        size = int(engine.device_memory_size_v2)
        if size > self._scratch[1]:
            self._scratch = (0, size)
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        inputs = self.trt.TensorIOMode.INPUT
        infos = {way: tuple(self._info(engine, n) for n in names if (engine.get_tensor_mode(n) == inputs) is way)
                 for way in (True, False)}  # fmt: skip
        return Part(graph, infos[True], infos[False], self._maker(engine, path.stem))

    def _info(self, engine: Any, name: str) -> TensorInfo:
        """Raises SessionError for what our buffers cannot be: another type, or values that the host must hold because
        shapes hang on them.
        """
        if engine.get_tensor_location(name) != self.trt.TensorLocation.DEVICE:
            raise SessionError(sentence(f"place of {name}", expected="the GPU", got="the host", do="report this graph"))
        dtype = engine.get_tensor_dtype(name).name
        if dtype not in DTYPES:
            raise SessionError(sentence(f"type of {name}", expected=", ".join(DTYPES), got=dtype))
        return TensorInfo(name, np.dtype(DTYPES[dtype]), tuple(int(side) for side in engine.get_tensor_shape(name)))

    def _maker(self, engine: Any, what: str) -> Callable[[int], Context]:
        def make(profile: int) -> Context:
            context, stream = self._context(engine), int(self.device.stream)
            if context is None:
                do = "close other programs, or use a bundle of a lower precision"
                raise SessionError(sentence(f"{what} cannot be made ready to run", got=self.why(), do=do))
            try:
                context.set_optimization_profile_async(profile, stream)
            except RuntimeError as error:  # what the bindings make of a failure
                do = "build the engine again"
                raise SessionError(sentence(f"{what} has no profile {profile}", got=self.why(), do=do)) from error
            self.device.wait()
            address, size = self._memory()
            context.set_device_memory(address, size)
            return TrtContext(context, what, stream, self.why)

        return make

    def why(self) -> str:
        """What the library said last."""
        return "; ".join(self._logger.said[-2:]) or "no reason given"

    def _context(self, engine: Any) -> Any:
        mine = self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not self.library.runtime_cache:
            return engine.create_execution_context(mine)
        config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(mine)
        config.cuda_graph_strategy = self.trt.CudaGraphStrategy.DISABLED  # whole calls are captured here
        # Kernels for a shape are compiled when it comes first, and never exchanged behind a captured call.
        kind = self.trt.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = kind.EAGER
        if self._kernels is None:
            self._kernels = config.create_runtime_cache()
            if kept := read_cache(self.folder / KERNELS):
                self._kernels.deserialize(kept)
        config.set_runtime_cache(self._kernels)
        return engine.create_execution_context(config)

    def _memory(self) -> tuple[int, int]:
        """The scratch memory, made when all engines are open."""
        if self._scratch[0] == 0:
            self._scratch = (self.device.allocate(self._scratch[1]), self._scratch[1])
        return self._scratch

    def keep(self) -> None:
        """Keeps the kernels that were compiled, for the next start."""
        kernels = None if self._kernels is None else self._kernels.serialize()
        if kernels is not None:  # after a failure of the GPU there may be none
            write_cache(self.folder / KERNELS, bytes(kernels))
