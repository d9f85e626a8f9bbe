"""Memory of the GPU by the names of tensors, made once: what one graph gives lies where the next one reads it.

A cache has two buffers, which change places when its graph has run: TensorRT may not write where it reads. What stays
on the GPU is given out as OnDevice, which is fetched only when somebody looks at it. Knows nothing of TensorRT.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.engine import Array, TensorInfo
from edge.trt.device import ALIGNMENT, Device
from edge.trt.plan import ROWS
from policy_spec.errors import SessionError, sentence
from policy_spec.graphs import CACHE, DYNAMIC, NEXT


@dataclass(slots=True, eq=False)
class Memory:
    """One tensor's place on the GPU; two where it is a cache."""

    info: TensorInfo
    size: int  # bytes, at the largest shape
    addresses: tuple[int, ...]
    host: Array | None = None  # pinned bytes: of what the host feeds or reads


@dataclass(frozen=True, slots=True, eq=False)
class OnDevice:
    """What a graph gave and nobody has fetched: feeding it to a graph copies nothing, looking at it copies it here."""

    memory: Memory
    device: Device
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """A copy on the host; numpy asks for it."""
        out = np.empty(self.shape, self.dtype)
        self.device.copy(out, self.memory.addresses[0], out.nbytes)
        self.device.wait()
        return out if dtype is None else out.astype(dtype)

    def copy(self) -> Array:
        """As an array has it."""
        return self.__array__()


@dataclass(slots=True, eq=False)
class Pool:
    """All memories of an engine."""

    device: Device
    most: tuple[int, int]  # tokens and rows of the largest run
    made: dict[str, Memory] = field(default_factory=dict)
    parity: int = 0  # which of a cache's two buffers holds it now

    def memory(self, info: TensorInfo) -> Memory:
        """The one of this name. Raises SessionError where two graphs mean different things by it."""
        name = info.name.removesuffix(NEXT) if info.name.startswith(CACHE) else info.name
        memory = self.made.get(name)
        if memory is None:
            size = self.bytes_of(info)
            count = 2 if name.startswith(CACHE) else 1
            room = -(-size // ALIGNMENT) * ALIGNMENT
            memory = Memory(info, size, tuple(self.device.allocate(room) for _ in range(count)))
            self.made[name] = memory
        if (memory.info.dtype, memory.info.shape) != (info.dtype, info.shape):
            raise SessionError(
                sentence(
                    f"tensor {info.name}",
                    expected=f"{memory.info.dtype} {memory.info.shape}, the same for all graphs",
                    got=f"{info.dtype} {info.shape}",
                    do="export the bundle again",
                )
            )
        return memory

    def bytes_of(self, info: TensorInfo) -> int:
        """Of the largest shape."""
        sides = (self.most[info.name in ROWS] if side == DYNAMIC else side for side in info.shape)
        return math.prod(sides) * info.dtype.itemsize

    def address(self, name: str, parity: int) -> int:
        """Where a tensor lies in a run that begins with this parity: a cache's next lies in the other buffer."""
        if not name.startswith(CACHE):
            return self.made[name].addresses[0]
        after = name.endswith(NEXT)
        return self.made[name.removesuffix(NEXT)].addresses[parity ^ after]

    def pin(self, infos: Iterable[TensorInfo]) -> None:
        """Pinned memory of the host for these."""
        for info in infos:
            memory = self.memory(info)
            if memory.host is None:
                memory.host = self.device.pinned(memory.size)

    def forget(self) -> None:
        """Zeroes all caches."""
        for name, memory in self.made.items():
            if name.startswith(CACHE):
                for address in memory.addresses:
                    self.device.clear(address, memory.size)
        self.device.wait()
