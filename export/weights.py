"""Linear layers of a checkpoint as MatMul weights: transposed, sliced and scaled when read, not before.

Takes a checkpoint (lazy tensors by released name) and an Emit; gives initializers whose data is read when the graph is
written, so that a checkpoint of any size streams.
"""

from __future__ import annotations

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

    def vector(self, name: str) -> ir.Value:
        """A norm's weight, a bias or a small table, as it is."""
        return self.emit.weight(name, self.checkpoint.shape(name), lambda: self.array(name))

    def linear(self, x: ir.Value, name: str, rows: Rows | None = None, scale: float = 1.0) -> ir.Value:
        """x @ W^T (+ b) for the linear layer `name` (without `.weight`), or the given rows of it, times `scale`."""
        full, width = self.checkpoint.shape(f"{name}.weight")
        rows = rows or Rows(0, full, "")
        label = f"{name}.{rows.part}" if rows.part else name

        def load(rows: Rows = rows) -> np.ndarray:
            return self.array(f"{name}.weight")[rows.start : rows.stop].T * np.float32(scale)

        weight = self.emit.weight(f"{label}.weight", (width, rows.stop - rows.start), load)
        out = self.emit.op("MatMul", x, weight, name=label)
        if not self.has(f"{name}.bias"):
            return out

        def load_bias(rows: Rows = rows) -> np.ndarray:
            return self.array(f"{name}.bias")[rows.start : rows.stop] * np.float32(scale)

        bias = self.emit.weight(f"{label}.bias", (rows.stop - rows.start,), load_bias)
        return self.emit.op("Add", out, bias)
