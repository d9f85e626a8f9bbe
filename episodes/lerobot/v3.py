"""Reads the v3.0 layout's meta/: many episodes in one parquet file, tasks as a parquet table.

meta/episodes/chunk-*/file-*.parquet has a row for each episode: its length, tasks, data file, and for each video the
file and the second at which it begins. meta/tasks.parquet: task_index, and the text as the index of a pandas table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from episodes.lerobot.files import Files
from episodes.lerobot.index import EpisodeRow, Index, VideoPart, fill
from episodes.lerobot.info import DatasetInfo
from episodes.lerobot.tables import read_table, require
from policy_spec.errors import DatasetError, sentence

EPISODES_DIR = "meta/episodes"
TASKS_FILE = "meta/tasks.parquet"
TASK_COLUMNS = ("task", "__index_level_0__")  # what pandas calls an index with and without a name


def read_index(files: Files, info: DatasetInfo) -> Index:
    """Episodes in order of their numbers, and tasks. Raises DatasetError."""
    tables = sorted((files.root / EPISODES_DIR).glob("*/*.parquet"))
    if not tables and info.total_episodes:
        what = f"{files.root / EPISODES_DIR}"
        raise DatasetError(sentence(what, expected="parquet files", got="none", do="fetch meta/ again"))
    videos = tuple(key for key, feature in info.features.items() if feature.dtype == "video")
    wanted = ["episode_index", "length", "tasks", "data/chunk_index", "data/file_index"]
    for key in videos:
        wanted += [f"videos/{key}/chunk_index", f"videos/{key}/file_index", f"videos/{key}/from_timestamp"]
    rows = []
    for file in tables:
        for number, row in enumerate(read_table(file, wanted).to_pylist()):
            if any(row[name] is None for name in wanted):
                missing = next(name for name in wanted if row[name] is None)
                raise DatasetError(sentence(f"{file}: row {number}", expected=f"a value of {missing}", got="none"))
            rows.append(_episode(row, info, videos, files.name))
    return Index(tuple(sorted(rows, key=lambda row: row.number)), read_tasks(files))


def _episode(row: Mapping[str, Any], info: DatasetInfo, videos: tuple[str, ...], name: str) -> EpisodeRow:
    numbers = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
    parts = {}
    for key in videos:
        place = {"chunk_index": row[f"videos/{key}/chunk_index"], "file_index": row[f"videos/{key}/file_index"]}
        file = fill(info.video_path, name, video_key=key, **place)
        parts[key] = VideoPart(file, float(row[f"videos/{key}/from_timestamp"]))
    data_file = fill(info.data_path, name, **numbers)
    return EpisodeRow(int(row["episode_index"]), int(row["length"]), tuple(map(str, row["tasks"])), data_file, parts)


def read_tasks(files: Files) -> dict[int, str]:
    """task_index -> text. Raises DatasetError."""
    file = files.path(TASKS_FILE)
    table = read_table(file)
    require(file, table.column_names, ["task_index"])
    column = next((name for name in TASK_COLUMNS if name in table.column_names), None)
    if column is None or not pa.types.is_integer(table.column("task_index").type):
        raise DatasetError(sentence(f"{file}: columns", expected="task_index and task", got=table.column_names))
    return {int(i): str(t) for i, t in zip(table["task_index"].to_pylist(), table[column].to_pylist(), strict=True)}
