"""What the engine needs of a GPU and of a built engine: two small contracts, and the facts of a GPU.

cuda.py and runtime.py have the real ones; a test has one on this computer's own memory, where ONNX Runtime computes, so
that addresses, cuts and caches are checked without a GPU. Addresses are numbers, as CUDA and TensorRT take them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from edge.engine import Array, TensorInfo

ALIGNMENT = 256  # bytes: what TensorRT asks of every address


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, as an engine's key and a person know it."""

    name: str
    capability: str  # "8.7"
    multiprocessors: int
    free: int  # bytes
    driver: str
    integrated: bool = False  # its memory is the computer's, and `free` leaves out what caches of files would give up


class Device(Protocol):
    """Memory of a GPU, and one stream on which everything happens in order."""

    gpu: Gpu

    def allocate(self, size: int) -> int:
        """Zeroed memory of the GPU, its address. Freed by `close`."""

    def pinned(self, size: int) -> npt.NDArray[Any]:
        """Zeroed memory of the host [size] uint8 that the GPU copies from and to by itself."""

    def copy(self, to: int | Array, source: int | Array, size: int) -> None:
        """Bytes from an address or a contiguous array to another one; in the stream's order."""

    def clear(self, address: int, size: int) -> None:
        """Zeroes; in the stream's order."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """What `work` puts on the stream, as one thing to launch again and again. `work` is not run by this."""

    def wait(self) -> None:
        """Until the stream is done. Raises SessionError for what failed on it."""

    def close(self) -> None:
        """Gives everything back."""


class Context(Protocol):
    """One execution context of one engine, with one profile."""

    def address(self, name: str, address: int) -> None:
        """Where an input or output lies."""

    def shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Of an input with dynamic sides."""

    def enqueue(self) -> None:
        """Puts one run on the device's stream. Raises SessionError."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One engine: a graph, or a block of it."""

    graph: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    context: Callable[[int], Context]  # profile -> a new context
