"""Columns of parquet files as numpy arrays, each checked: present, whole, of the width that was said.

Takes a file; gives arrays. A file that is missing, cut or of other columns is a DatasetError that names it and, where
there is one, the row. Knows nothing of LeRobot.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from policy_spec.errors import DatasetError, sentence

_DO = "fetch the dataset again; the file is not whole"


def open_parquet(file: Path) -> pq.ParquetFile:
    """The opened file. DatasetError where it is missing, cut or no parquet."""
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(sentence(f"{file} cannot be read", expected="a parquet file", got=error, do=_DO)) from None


def read_table(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows, of the columns that are named (all of them without). DatasetError."""
    opened = open_parquet(file)
    if columns is not None:
        require(file, opened.schema_arrow.names, columns)
    try:
        return opened.read(columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(sentence(f"{file} cannot be read", expected="whole columns", got=error, do=_DO)) from None


def require(file: Path, there: Sequence[str], columns: Sequence[str]) -> None:
    """DatasetError where a column is missing."""
    missing = [name for name in columns if name not in there]
    if missing:
        expected = f"the columns {', '.join(columns)}"
        raise DatasetError(sentence(f"{file}", expected=expected, got=f"no {', '.join(missing)}", do=_DO))


def numbers(file: Path, table: pa.Table, name: str, width: int, dtype: str) -> np.ndarray:
    """[rows, width] (or [rows] where width is 0) of a column of numbers or lists. DatasetError naming the row."""
    column = table.column(name).combine_chunks()
    flat = column
    while pa.types.is_list(flat.type) or pa.types.is_fixed_size_list(flat.type) or pa.types.is_large_list(flat.type):
        flat = flat.flatten()
    wanted = len(table) * max(1, width)
    if column.null_count or flat.null_count or len(flat) != wanted:
        where = _odd_row(column, max(1, width))
        expected = f"{max(1, width)} numbers in each row"
        raise DatasetError(sentence(f"{file}: {name}, row {where[0]}", expected=expected, got=where[1], do=_DO))
    try:
        values = flat.to_numpy(zero_copy_only=False).astype(dtype)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DatasetError(sentence(f"{file}: {name}", expected=f"numbers ({dtype})", got=error)) from None
    return np.asarray(values if width == 0 else values.reshape(-1, width))


def _odd_row(column: Any, width: int) -> tuple[int, Any]:
    """The first row that has not `width` numbers, and what it has."""
    for row, value in enumerate(column.to_pylist()):
        flat = list(_leaves(value))
        if len(flat) != width or None in flat:
            return row, value
    return len(column), "nothing"


def _leaves(value: Any) -> Any:
    if isinstance(value, list):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
