"""Small ONNX files without the onnx package: a real engine is tested where only `edge` is installed.

Just enough of protobuf's wire format: a field is a key (number * 8 + type), then a varint or length-prefixed
bytes. Field numbers are onnx.proto's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

TYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "float16": 10}
OPSET = 20
IR_VERSION = 10
INT, INTS = 2, 7  # AttributeProto.type


def varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value & 0xFFFFFFFFFFFFFFFF)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, INT)
    return field(1, name) + b"".join(field(8, v) for v in value) + field(20, INTS)


def tensor(name: str, array: np.ndarray) -> bytes:
    dims = b"".join(field(1, side) for side in array.shape)
    return dims + field(2, TYPES[array.dtype.name]) + field(8, name) + field(9, array.tobytes())


def value_info(name: str, dtype: str, shape: Sequence[int | str]) -> bytes:
    """A side that is a word is each run's own choice."""
    sides = b"".join(field(1, field(2 if isinstance(side, str) else 1, side)) for side in shape)
    return field(1, name) + field(2, field(1, field(1, TYPES[dtype]) + field(2, sides)))


class GraphWriter:
    """Collects nodes; `value = g.op("MatMul", a, b)`."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._weights: list[bytes] = []
        self._count = 0

    def const(self, array: np.ndarray) -> str:
        self._count += 1
        name = f"w{self._count}"
        self._weights.append(tensor(name, np.ascontiguousarray(array)))
        return name

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: int | Sequence[int]) -> str:
        """One node; `name` names its output. Attributes that are Python words end in an underscore."""
        self._count += 1
        output = name or f"t{self._count}"
        node = b"".join(field(1, value) for value in inputs) + field(2, output) + field(4, kind)
        self._nodes.append(
            node + b"".join(field(5, attribute(k.rstrip("_"), v)) for k, v in attributes.items())
        )
        return output

    def model(
        self,
        inputs: Mapping[str, tuple[str, Sequence[int | str]]],
        outputs: Mapping[str, tuple[str, Sequence[int | str]]],
    ) -> bytes:
        graph = b"".join(field(1, node) for node in self._nodes) + field(2, "g")
        graph += b"".join(field(5, weight) for weight in self._weights)
        graph += b"".join(field(11, value_info(name, *what)) for name, what in inputs.items())
        graph += b"".join(field(12, value_info(name, *what)) for name, what in outputs.items())
        return field(1, IR_VERSION) + field(7, graph) + field(8, field(2, OPSET))
