"""The rows of the frames: numeric columns of data/ files as arrays, the last few files kept; pictures read as asked.

Takes a file and an episode's number; gives its rows, checked: every frame once, in order. Knows nothing of tasks and
videos.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from episodes.lerobot.info import Feature
from episodes.lerobot.tables import numbers, open_parquet, read_table
from policy_spec.errors import DatasetError, sentence

OPEN_FILES = 4
_KEYS = ("episode_index", "frame_index")


class DataFile:
    """One parquet file. Columns are read once and kept."""

    def __init__(self, file: Path) -> None:
        """Raises DatasetError."""
        self.file = file
        self._columns: dict[str, np.ndarray] = {}
        self._spans: dict[int, slice] = {}
        self._parquet = open_parquet(file)
        counts = [self._parquet.metadata.row_group(i).num_rows for i in range(self._parquet.num_row_groups)]
        self._group_ends = np.cumsum(counts, dtype=np.int64)
        self._group: tuple[int, str, list[Any]] | None = None  # the row group read last, one column of it
        table = read_table(file, _KEYS)
        for name in _KEYS:
            self._columns[name] = numbers(file, table, name, 0, "int64")

    def span(self, number: int, length: int) -> slice:
        """The rows of an episode. DatasetError where they are not `length` frames in order."""
        if number not in self._spans:
            self._spans[number] = self._find(number, length)
        return self._spans[number]

    def _find(self, number: int, length: int) -> slice:
        rows = np.flatnonzero(self._columns["episode_index"] == number)
        what = f"{self.file}: rows of episode {number}"
        if len(rows) != length:
            raise DatasetError(sentence(what, expected=f"{length}, as meta/ says", got=len(rows), do="fetch it again"))
        frames = self._columns["frame_index"][rows]
        odd = np.flatnonzero((frames != np.arange(length)) | (np.diff(rows, prepend=rows[0] - 1) != 1))
        if len(odd):
            row = int(rows[odd[0]])
            expected = f"frame {odd[0]} in row {row}"
            raise DatasetError(sentence(what, expected=expected, got=f"frame {frames[odd[0]]}", do="fetch it again"))
        return slice(int(rows[0]), int(rows[0]) + length)

    def column(self, feature: Feature) -> np.ndarray:
        """[rows, width] of a vector, [rows] of a single number; dtype of the feature."""
        if feature.key not in self._columns:
            table = read_table(self.file, [feature.key])
            width = 0 if feature.shape in ((), (1,)) else feature.width
            try:
                dtype = np.dtype(feature.dtype)
            except TypeError:
                what = f"{feature.key} of {self.file}"
                raise DatasetError(sentence(what, expected="numbers", got=feature.dtype)) from None
            self._columns[feature.key] = numbers(self.file, table, feature.key, width, dtype.str)
        return self._columns[feature.key]

    def cell(self, key: str, row: int) -> Any:
        """One cell of a column that is no number (a picture's bytes, language), as plain Python."""
        group = int(np.searchsorted(self._group_ends, row, side="right"))
        if self._group is None or self._group[:2] != (group, key):
            if key not in self._parquet.schema_arrow.names:
                raise DatasetError(sentence(f"{self.file}: columns", expected=key, got="none of that name"))
            try:
                cells = self._parquet.read_row_group(group, columns=[key]).column(key).to_pylist()
            except (OSError, pa.ArrowException) as error:
                what = f"{self.file}: {key}, row {row}"
                raise DatasetError(sentence(what, got=error, do="fetch it again")) from None
            self._group = group, key, cells
        begin = int(self._group_ends[group - 1]) if group else 0
        return self._group[2][row - begin]

    def close(self) -> None:
        self._parquet.close()


class DataPool:
    """The files that were read last. Not for several threads."""

    def __init__(self, most: int = OPEN_FILES) -> None:
        self._files: OrderedDict[Path, DataFile] = OrderedDict()
        self._most = most

    def file(self, path: Path) -> DataFile:
        """The opened file."""
        if path not in self._files:
            self._files[path] = DataFile(path)
            while len(self._files) > self._most:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(path)
        return self._files[path]

    def close(self) -> None:
        """Closes every file."""
        while self._files:
            self._files.popitem()[1].close()
