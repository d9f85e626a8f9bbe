"""Memory that numpy and ONNX Runtime both see: of one size for good, or of the size that each run chooses.

A Buffer is one input or output of a graph. Its memory starts at a multiple of 64 bytes, grows with the largest run
and is never given back, so that a pass of a few tokens allocates nothing. Knows nothing of graphs and sessions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime as ort

from edge.engine import Array, TensorInfo
from policy_spec.graphs import DYNAMIC

ALIGNMENT = 64
Side = int | str  # a number, or the name of what each run chooses: "K"


@dataclass(slots=True, eq=False)
class Buffer:
    """`array` and `value` are the same memory, shaped as the last run had it. Zeros at first."""

    info: TensorInfo
    sides: tuple[Side, ...]
    array: Array = field(init=False)
    value: Any = field(init=False)  # ort.OrtValue
    _memory: Array = field(init=False)  # flat; the array is its beginning

    def __post_init__(self) -> None:
        shape = tuple(1 if isinstance(side, str) else side for side in self.sides)
        self._memory = aligned(math.prod(shape), self.info.dtype)
        self._shape(shape)

    @property
    def fixed(self) -> bool:
        """Whether every run has the same shape."""
        return DYNAMIC not in self.info.shape

    def fit(self, shape: tuple[int, ...]) -> bool:
        """Takes a shape, which must fit `sides`. True where `value` is another than before and must be bound again."""
        if shape == self.array.shape:
            return False
        if (size := math.prod(shape)) > self._memory.size:
            self._memory = aligned(size, self.info.dtype)
        self._shape(shape)
        return True

    def _shape(self, shape: tuple[int, ...]) -> None:
        self.array = self._memory[: math.prod(shape)].reshape(shape)
        self.value = ort.OrtValue.ortvalue_from_numpy(self.array)  # refers to the memory: nothing is copied


def aligned(size: int, dtype: np.dtype[Any]) -> Array:
    """Zeroed flat memory of `size` elements."""
    raw = np.zeros(size * dtype.itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    out: Array = raw[start : start + size * dtype.itemsize].view(dtype)
    return out
