"""Safetensors shards written as a stream: the header from the shapes alone, then each tensor in pieces.

Takes `TensorSpec`s, a dtype and a function that makes the pieces; writes model-0000i-of-0000n.safetensors and
the index. Knows nothing of what the numbers mean. The format: 8 bytes header length, JSON header, raw
little-endian data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train.released_names import TensorSpec

INDEX = "model.safetensors.index.json"
ITEM_BYTES = {"float32": 4, "bfloat16": 2}
TAGS = {"float32": "F32", "bfloat16": "BF16"}

Pieces = Callable[[TensorSpec], Iterator[np.ndarray]]  # flat float32 pieces of a tensor, in order
Progress = Callable[[int], None]  # bytes written since the last call


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """Which tensors go into which file."""

    dtype: str  # float32 or bfloat16
    shards: tuple[tuple[TensorSpec, ...], ...]

    @property
    def total_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(spec.count for shard in self.shards for spec in shard) * ITEM_BYTES[self.dtype]

    def file(self, number: int) -> str:
        """Name of shard `number`, counted from 0."""
        return f"model-{number + 1:05d}-of-{len(self.shards):05d}.safetensors"


def plan_shards(specs: Sequence[TensorSpec], dtype: str, shard_bytes: int) -> ShardPlan:
    """Fills shards in order; a tensor larger than `shard_bytes` gets a shard of its own."""
    shards: list[list[TensorSpec]] = [[]]
    used = 0
    for spec in specs:
        need = spec.count * ITEM_BYTES[dtype]
        if shards[-1] and used + need > shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(spec)
        used += need
    return ShardPlan(dtype, tuple(tuple(shard) for shard in shards))


def write_shards(folder: Path, plan: ShardPlan, pieces: Pieces, progress: Progress | None = None) -> None:
    """Writes every shard and the index. Raises OSError (disk full) with the folder half written."""
    for number, shard in enumerate(plan.shards):
        with (folder / plan.file(number)).open("wb") as file:
            file.write(header(shard, plan.dtype))
            for spec in shard:
                for piece in pieces(spec):
                    data = encode(piece, plan.dtype)
                    file.write(data.data)
                    if progress:
                        progress(data.nbytes)
    weight_map = {spec.name: plan.file(i) for i, shard in enumerate(plan.shards) for spec in shard}
    index = {
        "metadata": {
            "total_parameters": sum(spec.count for shard in plan.shards for spec in shard if spec.theta is None),
            "total_size": plan.total_bytes,
        },
        "weight_map": dict(sorted(weight_map.items())),
    }
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def header(shard: Sequence[TensorSpec], dtype: str) -> bytes:
    """The bytes before the data; padded with spaces so that the data starts at a multiple of eight."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for spec in shard:
        end = offset + spec.count * ITEM_BYTES[dtype]
        entries[spec.name] = {"dtype": TAGS[dtype], "shape": list(spec.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def encode(values: np.ndarray, dtype: str) -> np.ndarray:
    """Flat float32 -> the stored words. bfloat16 is the upper half of float32, rounded to nearest even."""
    values = np.ascontiguousarray(values, dtype="<f4")
    if dtype == "float32":
        return values
    bits = values.view("<u4")
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2")
