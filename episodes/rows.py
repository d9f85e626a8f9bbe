"""A file of rows: fixed-size numpy records, appended, readable up to the last whole one.

Layout: one JSON line that names the columns, padded with spaces to a multiple of 64 bytes, then records of
one structured dtype. The last column of every record is a CRC-32 of the bytes before it, so a record that was
cut by a crash, a full disk or a power loss is recognised and left out. No pickle: a column is a number or an
array of numbers.

Knows nothing of what the columns mean.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from policy_spec.errors import RecordingError, sentence

MAGIC = "armside-rows"
VERSION = 1
CRC = "crc32"
ALIGN = 64

Column = tuple[str, str, tuple[int, ...]]  # name, little-endian dtype such as "<f8", shape of one cell


def row_dtype(columns: Sequence[Column]) -> np.dtype[np.void]:
    """The dtype of one record, its CRC last and nothing between the columns."""
    for name, kind, _ in columns:
        if np.dtype(kind).hasobject or name == CRC:
            raise RecordingError(
                sentence(f"column '{name}' cannot be stored", expected="plain numbers", got=kind)
            )
    return np.dtype([*((name, kind, shape) for name, kind, shape in columns), (CRC, "<u4")])


def make_header(columns: Sequence[Column]) -> bytes:
    """The first bytes of the file: a JSON line padded so that the records start aligned."""
    named = [[name, kind, list(shape)] for name, kind, shape in columns]
    text = json.dumps({MAGIC: VERSION, "columns": named})
    return text.encode() + b" " * (-(len(text) + 1) % ALIGN) + b"\n"


class RowFile:
    """Appends records to a new file, each by one unbuffered write: a killed process loses nothing."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self.dtype = row_dtype(columns)
        self.path = path
        self.count = 0
        self._row = np.zeros((), self.dtype)
        self._body = self.dtype.itemsize - 4
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        write_all(self._fd, make_header(columns))

    def append(self, values: Mapping[str, Any]) -> int:
        """Writes one record, every column given; returns its index. OSError where the disk is full."""
        row = self._row
        for name in self.dtype.names or ():
            if name != CRC:
                row[name] = values[name]
        row[CRC] = zlib.crc32(row.tobytes()[: self._body])
        write_all(self._fd, row.tobytes())
        self.count += 1
        return self.count - 1

    def sync(self) -> None:
        """Asks the kernel to put what was written on the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def write_all(fd: int, data: bytes) -> None:
    """os.write until all is out: a nearly full disk takes a part first and refuses only the next call."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_rows(path: Path) -> tuple[np.ndarray, int]:
    """All whole records, and how many bytes at the end are not one (0 when the file ended cleanly)."""
    data = path.read_bytes()
    end = data.find(b"\n") + 1
    try:
        header = json.loads(data[:end])
        version = header[MAGIC]
        columns = [(str(name), str(kind), tuple(shape)) for name, kind, shape in header["columns"]]
    except (ValueError, KeyError, TypeError):
        raise RecordingError(
            sentence(
                f"{path}: not a file of rows", expected=f"a first line with '{MAGIC}'", got=repr(data[:40])
            )
        ) from None
    if version != VERSION:
        raise RecordingError(
            sentence(
                f"{path}: another version of the row format",
                expected=VERSION,
                got=version,
                do="update armside",
            )
        )
    return _whole_rows(data[end:], row_dtype(columns))


def _whole_rows(body: bytes, dtype: np.dtype[np.void]) -> tuple[np.ndarray, int]:
    size = dtype.itemsize
    count = len(body) // size
    while count and not _crc_holds(body[(count - 1) * size : count * size]):
        count -= 1
    return np.frombuffer(body, dtype, count), len(body) - count * size


def _crc_holds(record: bytes) -> bool:
    return zlib.crc32(record[:-4]) == int.from_bytes(record[-4:], "little")
