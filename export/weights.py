"""Linear layers of a checkpoint as MatMul weights: transposed, sliced and scaled when read, not before.

Takes a checkpoint (lazy tensors by released name) and an Emit; gives initializers whose data is read when the graph is
written, so that a checkpoint of any size streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from export.emit import Emit
from train.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Rows:
    """Output rows [start, stop) of a linear layer; `part` names them where a fused layer is cut (q, k, v, up, gate)."""

    start: int
    stop: int
    part: str


class Weights:
    """A checkpoint's tensors, as initializers of one graph."""

    def __init__(self, checkpoint: Checkpoint, emit: Emit) -> None:
        self.checkpoint, self.emit = checkpoint, emit

    def has(self, name: str) -> bool:
        """Whether the checkpoint holds this tensor."""
        return name in self.checkpoint.shards

    def array(self, name: str) -> np.ndarray:
        """One tensor as float32 numpy, read now."""
        return self.checkpoint.tensor(name).numpy()

    def _rows(self, name: str, rows: Rows, scale: float) -> np.ndarray:
        """Some rows of a tensor times `scale`, float32, read now."""
        values: np.ndarray = self.checkpoint.rows(name, rows.start, rows.stop).numpy()
        return values if scale == 1.0 else values * np.float32(scale)

    def stacked(self, names: Sequence[str]) -> np.ndarray:
        """Tensors one below the other, float32, read now: never all of them beside the whole."""
        shapes = [self.checkpoint.shape(name) for name in names]
        out = np.empty((sum(shape[0] for shape in shapes), *shapes[0][1:]), dtype=np.float32)
        start = 0
        for name, shape in zip(names, shapes, strict=True):
            out[start : start + shape[0]] = self.array(name)
            start += shape[0]
        return out

    def vector(self, name: str) -> ir.Value:
        """A norm's weight, a bias or a small table, as it is."""
        return self.emit.weight(name, self.checkpoint.shape(name), lambda: self.array(name))

    def linear(self, x: ir.Value, name: str, rows: Rows | None = None, scale: float = 1.0) -> ir.Value:
        """x @ W^T (+ b) for the linear layer `name` (without `.weight`), or the given rows of it, times `scale`."""
        full, width = self.checkpoint.shape(f"{name}.weight")
        rows = rows or Rows(0, full, "")
        label = f"{name}.{rows.part}" if rows.part else name

        def load(rows: Rows = rows) -> np.ndarray:
            return self._rows(f"{name}.weight", rows, scale).T

        weight = self.emit.weight(f"{label}.weight", (width, rows.stop - rows.start), load)
        out = self.emit.op("MatMul", x, weight, name=label)
        if not self.has(f"{name}.bias"):
            return out

        def load_bias(rows: Rows = rows) -> np.ndarray:
            return self._rows(f"{name}.bias", rows, scale)

        bias = self.emit.weight(f"{label}.bias", (rows.stop - rows.start,), load_bias)
        return self.emit.op("Add", out, bias)
