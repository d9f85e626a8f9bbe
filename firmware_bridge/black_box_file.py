"""The black box's file: values as bytes, records with a length and a checksum. Knows nothing of what they mean."""

from __future__ import annotations

import dataclasses
import enum
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgpack
import numpy as np

from firmware_bridge.driver import ArmState
from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.messages import Chunk
from firmware_bridge.safety.modes import Reading

FORMAT = 1
LARGEST = 64 << 20
_HEAD = struct.Struct("<II")  # bytes of the record, crc32 of them
_ARRAY, _OBJECT = 1, 2
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Reading, ArmState, Chunk)}  # made again when read


def pack(value: object) -> bytes:
    """Numbers, texts, arrays, enums and dataclasses as bytes; equal values give equal bytes."""
    packed: bytes = msgpack.packb(value, default=_pack)
    return packed


def unpack(data: bytes) -> Any:
    """What `pack` packed: lists as tuples, dataclasses that a machine is told as themselves, others as (name, row)."""
    return msgpack.unpackb(data, ext_hook=_unpack, use_list=False, strict_map_key=False)


def _pack(value: object) -> Any:
    if isinstance(value, np.ndarray):
        return msgpack.ExtType(_ARRAY, msgpack.packb([value.dtype.str, value.shape, value.tobytes()]))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        row = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
        return msgpack.ExtType(_OBJECT, pack([type(value).__name__, row]))
    return type(value).__qualname__  # a function, a lock: its kind is all that can be compared


def _unpack(code: int, data: bytes) -> Any:
    if code == _ARRAY:
        dtype, shape, body = msgpack.unpackb(data)
        return np.frombuffer(body, dtype=dtype).reshape(shape)
    name, row = unpack(data)
    return _KINDS[name](**row) if name in _KINDS else (name, row)


def write_record(file: BinaryIO, data: bytes) -> None:
    """Append one packed record. Raises OSError."""
    rest = memoryview(_HEAD.pack(len(data), zlib.crc32(data)) + data)
    while rest:
        rest = rest[file.write(rest) :]


def read_records(path: Path, rest: list[str]) -> Iterator[Any]:
    """Whole, undamaged records; why they stop before the file does goes to `rest`. Raises ConfigError."""
    try:
        file = open(path, "rb")  # noqa: SIM115  a generator closes it below
    except OSError as error:
        raise ConfigError(sentence(f"{path}", expected="a black box", got=error)) from error
    with file:
        count = 0
        while head := file.read(_HEAD.size):
            length, crc = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
            data = file.read(length) if length <= LARGEST else b""
            if not length or len(data) < length:
                rest.append(f"cut off or damaged after record {count}")
                return
            if zlib.crc32(data) != crc:
                rest.append(f"record {count + 1} is damaged")
                return
            count += 1
            yield unpack(data)
