"""A further column of numbers for a LeRobot dataset that is there: depth codes, rewards, what was computed afterwards.

Takes a folder (v3.0), a name and a function from an episode to its values; rewrites the data files and info.json, all
of them or none. Videos are not touched. Knows nothing of what the numbers mean.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episodes.lerobot import commit
from episodes.lerobot.dataset import Dataset, Keys, open_dataset
from episodes.lerobot.episode import EpisodeView
from episodes.lerobot.info import INFO_FILE, OWN_FILE
from episodes.lerobot.merge import STATS_FILE
from episodes.lerobot.plan import Extra
from episodes.lerobot.stats import plain, vector_stats
from episodes.lerobot.tables import numbers, read_table
from episodes.lerobot.tables_out import typed_column, vector_type
from policy_spec.errors import DatasetError, sentence

Values = Callable[[EpisodeView], np.ndarray]  # [T, width], or [T] where the width is 1
Stages = Callable[[str, int, int], None]


def add_column(
    root: Path, key: str, extra: Extra, values: Values, tell: Stages = lambda stage, done, total: None
) -> None:
    """Adds the column, or puts it in the place of one of that name.

    Raises DatasetError on values of another shape; the dataset is then as it was.
    """
    held = commit.lock(root) if root.is_dir() else -1
    try:
        if held >= 0:
            commit.recover(root)
        with open_dataset(root, keys=Keys(action="", states=())) as dataset:
            if not dataset.info.version.startswith("v3"):
                do = "convert it with LeRobot's own script first"
                raise DatasetError(sentence(f"{root}", expected="v3.0", got=dataset.info.version, do=do))
            known = dataset.info.features.get(key)
            if known is not None and (known.dtype, known.width) != (np.dtype(extra.dtype).name, extra.width):
                expected, got = f"{extra.dtype} [{extra.width}]", f"{known.dtype} {list(known.shape)}"
                raise DatasetError(sentence(f"{root} has a column {key}", expected=expected, got=got))
            _rewrite(root, dataset, key, extra, values, tell)
    finally:
        if held >= 0:
            commit.recover(root)  # what was not whole is removed
            os.close(held)


def _rewrite(root: Path, dataset: Dataset, key: str, extra: Extra, values: Values, tell: Stages) -> None:
    aside, rows = commit.begin(root), dataset.index.episodes
    files = list(dict.fromkeys(row.data_file for row in rows))
    everything, done = list[np.ndarray](), 0
    for name in files:
        table = read_table(root / name)
        column = np.zeros((len(table), extra.width), extra.dtype)
        episode_of = numbers(root / name, table, "episode_index", 0, "int64")
        for position, row in enumerate(rows):
            if row.data_file != name:
                continue
            tell(key, done, len(rows))
            done += 1
            got = np.asarray(values(dataset.episode(position)))
            if got.size != row.length * extra.width:
                expected, what = [row.length, extra.width], f"{key} of episode {row.number}"
                raise DatasetError(sentence(what, expected=expected, got=list(got.shape)))
            column[episode_of == row.number] = got.reshape(row.length, extra.width)
        everything.append(column)
        _write(aside / name, table, key, typed_column(column, vector_type(extra.dtype, extra.width)), episode_of)
    _facts(root, aside, key, extra, np.concatenate(everything))
    commit.commit(root, [*files, STATS_FILE, *([OWN_FILE] if (root / OWN_FILE).is_file() else []), INFO_FILE])


def _write(out: Path, table: pa.Table, key: str, column: pa.Array, episode_of: np.ndarray) -> None:
    """The table with the column, a row group for each episode."""
    if key in table.column_names:
        table = table.drop_columns([key])
    table = table.append_column(key, column).replace_schema_metadata(None)
    out.parent.mkdir(parents=True, exist_ok=True)
    edges = [0, *(np.flatnonzero(np.diff(episode_of)) + 1).tolist(), len(table)]
    with pq.ParquetWriter(out, table.schema, compression="snappy") as writer:
        for begin, end in itertools.pairwise(edges):
            writer.write_table(table.slice(begin, end - begin))


def _facts(root: Path, aside: Path, key: str, extra: Extra, values: np.ndarray) -> None:
    """info.json, stats.json and our own plan, with the column."""

    def read(name: str) -> dict[str, Any]:
        return dict(json.loads((root / name).read_bytes())) if (root / name).is_file() else {}

    info, stats, own = read(INFO_FILE), read(STATS_FILE), read(OWN_FILE)
    names = list(extra.names) or None
    info["features"][key] = {"dtype": np.dtype(extra.dtype).name, "shape": [extra.width], "names": names}
    stats |= plain({key: vector_stats(values)})
    if own:
        own["plan"]["extras"][key] = {"dtype": extra.dtype, "width": extra.width, "names": list(extra.names)}
    for name, facts in ((STATS_FILE, stats), (OWN_FILE, own), (INFO_FILE, info)):
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        (aside / name).write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n")
