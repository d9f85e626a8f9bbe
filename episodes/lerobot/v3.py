"""Reads the v3.0 layout's meta/: many episodes in one parquet file, tasks as a parquet table.

meta/episodes/chunk-*/file-*.parquet has a row for each episode: its length, tasks, data file, and for each video the
file and the second at which it begins. meta/tasks.parquet: task_index, and the text as the index of a pandas table.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pyarrow as pa

from episodes.lerobot.files import Files
from episodes.lerobot.index import EpisodeRow, Index, VideoPart, fill
from episodes.lerobot.info import DatasetInfo
from episodes.lerobot.tables import read_table, require
from policy_spec.errors import DatasetError, sentence

EPISODES_DIR = "meta/episodes"
TASKS_FILE = "meta/tasks.parquet"
VIDEO_COLUMNS = ("chunk_index", "file_index", "from_timestamp")
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
        wanted += [f"videos/{key}/{column}" for column in VIDEO_COLUMNS]
    rows = [row for file in tables for row in _episodes(file, wanted, info, videos, files.name)]
    return Index(tuple(sorted(rows, key=lambda row: row.number)), read_tasks(files))


def _episodes(
    file: Path, wanted: list[str], info: DatasetInfo, videos: tuple[str, ...], name: str
) -> Iterator[EpisodeRow]:
    """The rows of one file, column by column: there are datasets of 70 000 episodes."""
    table = read_table(file, wanted)
    columns = {column: table[column].to_pylist() for column in wanted}
    for column, values in columns.items():
        if None in values:
            what = f"{file}: row {values.index(None)}"
            raise DatasetError(sentence(what, expected=f"a value of {column}", got="none"))

    @cache
    def data_file(chunk: int, number: int) -> str:
        return fill(info.data_path, name, chunk_index=chunk, file_index=number)

    @cache
    def video_file(key: str, chunk: int, number: int) -> str:
        return fill(info.video_path, name, video_key=key, chunk_index=chunk, file_index=number)

    for i, number in enumerate(columns["episode_index"]):
        parts = {}
        for key in videos:
            chunk, index, start = (columns[f"videos/{key}/{what}"][i] for what in VIDEO_COLUMNS)
            parts[key] = VideoPart(video_file(key, chunk, index), float(start))
        data = data_file(columns["data/chunk_index"][i], columns["data/file_index"][i])
        yield EpisodeRow(int(number), int(columns["length"][i]), tuple(map(str, columns["tasks"][i])), data, parts)


def read_tasks(files: Files) -> dict[int, str]:
    """task_index -> text. Raises DatasetError."""
    file = files.path(TASKS_FILE)
    table = read_table(file)
    require(file, table.column_names, ["task_index"])
    column = next((name for name in TASK_COLUMNS if name in table.column_names), None)
    if column is None or not pa.types.is_integer(table.column("task_index").type):
        raise DatasetError(sentence(f"{file}: columns", expected="task_index and task", got=table.column_names))
    return {int(i): str(t) for i, t in zip(table["task_index"].to_pylist(), table[column].to_pylist(), strict=True)}
