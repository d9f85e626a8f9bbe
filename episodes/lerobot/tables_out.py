"""Parquet files as LeRobot v3.0 lays them out: frames, episodes, tasks; each written whole, old rows and new ones.

Takes columns; gives files. The tasks table carries the note by which pandas takes its texts for an index, which is how
LeRobot looks them up. Knows nothing of videos and of what is committed when.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episodes.lerobot.plan import ACTION, COUNTERS, STATE, DatasetPlan
from episodes.lerobot.tables import open_parquet

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def frame_schema(plan: DatasetPlan) -> pa.Schema:
    """Of data/: fixed-size lists for vectors, single values where the width is 1, structs of bytes for pictures."""
    widths = {ACTION: len(plan.action_names), STATE: len(plan.state_names)}
    fields = [(key, vector_type("float32", width)) for key, width in widths.items()]
    keys = plan.camera_keys
    pictures = (*(plan.cameras if plan.pictures == "image" else ()), *plan.depths)
    fields += [(keys[name], PICTURE) for name in pictures]
    fields += [(key, vector_type(extra.dtype, extra.width)) for key, extra in plan.extras.items()]
    return pa.schema([*fields, ("timestamp", pa.float32()), *((key, pa.int64()) for key in COUNTERS)])


def frame_table(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.Table:
    """One episode: arrays [T, D] or [T], or lists of encoded pictures."""
    return pa.table([typed_column(columns[f.name], f.type) for f in schema], schema=schema)


def append_frames(before: Path | None, table: pa.Table, out: Path) -> None:
    """The rows of `before` and then the table, a row group for each episode."""
    with pq.ParquetWriter(out, table.schema, compression="snappy") as writer:
        if before is not None:
            file = open_parquet(before)
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group).select(table.schema.names).cast(table.schema))
            file.close()
        writer.write_table(table)


def append_episode(before: Path | None, row: Mapping[str, Any], out: Path) -> None:
    """The rows of `before` and then this one: numbers, lists of texts, lists of numbers."""
    table = pa.Table.from_pylist([dict(row)])
    if before is not None:
        old = pq.read_table(before)
        table = pa.concat_tables([old, table.select(old.column_names).cast(old.schema)])
    pq.write_table(table, out, compression="snappy")


def write_tasks(tasks: Sequence[str], out: Path) -> None:
    """task_index 0, 1, ... and the texts as the index called `task`."""
    columns = [_note("task_index", "int64", "int64"), _note("task", "unicode", "object")]
    note = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.2.0"}
    schema = pa.schema([("task_index", pa.int64()), ("task", pa.string())], metadata={"pandas": json.dumps(note)})
    pq.write_table(pa.table([pa.array(range(len(tasks)), pa.int64()), pa.array(tasks)], schema=schema), out)


def _note(name: str, kind: str, dtype: str) -> dict[str, Any]:
    return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": dtype, "metadata": None}


def vector_type(dtype: str, width: int) -> pa.DataType:
    """Of a column: single values where the width is 1, else lists of that length."""
    kind = pa.from_numpy_dtype(np.dtype(dtype))
    return kind if width == 1 else pa.list_(kind, width)


def typed_column(values: Any, kind: pa.DataType) -> pa.Array:
    """[T, width] numbers, or encoded pictures, as a column of that type."""
    if kind == PICTURE:
        return pa.array([{"bytes": data, "path": None} for data in values], PICTURE)
    flat = np.ascontiguousarray(values).reshape(-1)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(flat, kind.value_type), kind.list_size)
    return pa.array(flat, kind)
