"""Reads the v2.1 layout's meta/ (and v2.0's): one parquet file and one video for each episode, JSON lines for the rest.

meta/episodes.jsonl: {"episode_index", "tasks", "length"}; meta/tasks.jsonl: {"task_index", "task"}; paths from the
templates of info.json, with episode_chunk = episode_index // chunks_size.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from episodes.lerobot.files import Files
from episodes.lerobot.index import EpisodeRow, Index, VideoPart, fill
from episodes.lerobot.info import DatasetInfo
from policy_spec.errors import DatasetError, sentence

EPISODES_FILE = "meta/episodes.jsonl"
TASKS_FILE = "meta/tasks.jsonl"


def read_index(files: Files, info: DatasetInfo) -> Index:
    """Episodes in order of their numbers, and tasks. Raises DatasetError."""
    rows = []
    videos = tuple(key for key, feature in info.features.items() if feature.dtype == "video")
    for where, line in read_lines(files.path(EPISODES_FILE)):
        try:
            number, length = int(line["episode_index"]), int(line["length"])
            tasks = tuple(map(str, line.get("tasks") or ()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(sentence(where, expected="episode_index, length, tasks", got=repr(error))) from None
        place = {"episode_chunk": number // info.chunks_size, "episode_index": number}
        data_file = fill(info.data_path, files.name, **place)
        parts = {key: VideoPart(fill(info.video_path, files.name, video_key=key, **place), 0.0) for key in videos}
        rows.append(EpisodeRow(number, length, tasks, data_file, parts))
    tasks_by_number = {}
    for where, line in read_lines(files.path(TASKS_FILE)):
        try:
            tasks_by_number[int(line["task_index"])] = str(line["task"])
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(sentence(where, expected="task_index and task", got=repr(error))) from None
    return Index(tuple(sorted(rows, key=lambda row: row.number)), tasks_by_number)


def read_lines(file: Path) -> list[tuple[str, Any]]:
    """(where, value) of each line of JSON. DatasetError naming the line."""
    out = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(sentence(f"{file} cannot be read", got=error)) from None
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            out.append((f"{file}: line {number}", json.loads(text)))
        except ValueError as error:
            raise DatasetError(sentence(f"{file}: line {number} is damaged", expected="JSON", got=error)) from None
    return out
