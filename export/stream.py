"""A graph to disk, one layer's weights at a time: NAME.onnx, and a file per layer in `weights/`.

Takes a model whose weights are lazy, quantized or not; each is computed when its file is written and forgotten after
it. Where a file's numbers lie is decided by shapes alone, so that an export that was interrupted keeps the files that
it finished. A file is written under a temporary name and renamed. Knows nothing of schemes and bundles.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import onnx_ir as ir

from export.layers import mark_layers, weights_by_layer

FOLDER = "weights"
SMALL = 256  # bytes: what is smaller stays in the graph, where shapes must be seen without reading other files
ALIGN, ALIGN_FROM = 4096, 1 << 16  # what is mapped into memory starts on a page
UNFINISHED = ".part"

Told = Callable[[int], None]  # bytes of weights that are now on the disk, more than before


class Kept(Protocol):
    """What an earlier run of the same export left."""

    def has(self, file: Path) -> bool:
        """Whether the file is there, whole and as it was noted."""

    def note(self, file: Path) -> None:
        """The file is finished."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One file: which weights lie where."""

    layer: str
    file: str  # within the folder of the graph
    weights: tuple[ir.Value, ...]
    offsets: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return self.offsets[-1] + _tensor(self.weights[-1]).nbytes


def pieces(model: ir.Model) -> list[Piece]:
    """The files of a graph in the order in which they are written. Marks the graph's layers."""
    mark_layers(model)
    found = []
    for layer, values in weights_by_layer(model).items():
        large = [value for value in values if _tensor(value).nbytes > SMALL]
        if large:
            found.append(Piece(layer, f"{FOLDER}/{layer}.data", tuple(large), _offsets(large)))
    return found


def _offsets(values: Sequence[ir.Value]) -> tuple[int, ...]:
    offsets, at = [], 0
    for value in values:
        size = _tensor(value).nbytes
        if size >= ALIGN_FROM:
            at += -at % ALIGN
        offsets.append(at)
        at += size
    return tuple(offsets)


def stream_graph(model: ir.Model, folder: Path, kept: Kept | None = None, told: Told = lambda _: None) -> list[str]:
    """Writes one graph under its own name. Afterwards its weights are those on the disk. Returns its files of weights.

    `kept`: files that it has are not computed again. Raises OSError; a full disk leaves finished files only.
    """
    parts = pieces(model)
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for piece in parts:
        path = folder / piece.file
        if kept is None or not kept.has(path):
            _write(piece, path)
            if kept is not None:
                kept.note(path)
        for value, offset in zip(piece.weights, piece.offsets, strict=True):
            value.const_value = _on_disk(value, piece.file, offset, folder)
        told(piece.nbytes)
    partial = folder / f"{model.graph.name}.onnx{UNFINISHED}"
    ir.save(model, partial)
    os.replace(partial, folder / f"{model.graph.name}.onnx")
    return [piece.file for piece in parts]


def _write(piece: Piece, path: Path) -> None:
    """One weight in memory at a time."""
    partial = path.with_name(path.name + UNFINISHED)
    with partial.open("wb") as file:
        for value, offset in zip(piece.weights, piece.offsets, strict=True):
            file.write(b"\0" * (offset - file.tell()))
            file.flush()
            _tensor(value).tofile(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _on_disk(value: ir.Value, file: str, offset: int, folder: Path) -> ir.ExternalTensor:
    tensor = _tensor(value)
    return ir.ExternalTensor(
        file,
        offset,
        tensor.nbytes,
        tensor.dtype,
        shape=ir.Shape(tuple(tensor.shape)),
        name=str(value.name),
        base_dir=folder,
    )


def _tensor(value: ir.Value) -> ir.TensorProtocol:
    assert value.const_value is not None, value.name
    return value.const_value
