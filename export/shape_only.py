"""A checkpoint of which only the configuration is read: its graphs have true shapes, and nothing in them.

For whoever counts: bytes, operations, groups of tensors. Takes a checkpoint directory (config.json, tokenizer and
norm_stats.json; the shards need not be there), gives the same graphs as an export, in seconds at any size. Their
weights are zeros if anybody asks; never write them.
"""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import torch
from torch import Tensor

from export.build import GraphOptions, Sizes, graph_makers, plan_sizes
from export.modes import check_mode
from policy_spec.spec import PolicySpec
from train.checkpoint import Checkpoint, expected_shapes


class ShapeOnly(Checkpoint):
    """The tensors that config.json asks for, all zero, none of them held in memory."""

    def __init__(self, path: str | Path) -> None:
        self._expected: dict[str, tuple[int, ...]] = {}
        super().__init__(path)

    def _shards(self) -> dict[str, str]:
        self._expected = expected_shapes(self.config)
        return dict.fromkeys(self._expected, "")

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor, by the configuration."""
        return self._expected[name]

    def dtype(self, name: str) -> str:
        """As if stored in full precision."""
        return "F32"

    def tensor(self, name: str) -> Tensor:
        """Zeros: one number seen through the tensor's shape."""
        return torch.zeros(1).expand(self.shape(name))

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Zeros."""
        return torch.zeros(1).expand(stop - start, *self.shape(name)[1:])


def sizes_of(checkpoint: ShapeOnly, options: GraphOptions) -> tuple[PolicySpec, Sizes]:
    """What an export would fix. Raises CheckpointError (the configuration) and what `plan_sizes` does (the options)."""
    spec = PolicySpec.from_checkpoint(checkpoint.path)
    check_mode(spec, options.mode)
    return spec, plan_sizes(spec, checkpoint.path / "tokenizer.json", options)


def empty_graphs(checkpoint: ShapeOnly, spec: PolicySpec, sizes: Sizes) -> dict[str, ir.Model]:
    """The graphs of an export in the order in which a call runs them, without weights."""
    return {name: make() for name, make in graph_makers(checkpoint, spec, sizes).items()}
