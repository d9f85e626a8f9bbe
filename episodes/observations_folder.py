"""A folder of pictures and states as a source of observations: what somebody has who has no dataset.

Takes a folder with `states.json` or `states.csv` and one sub-folder of pictures for each camera, numbered like the
rows: `<camera>/0000.png` (or .jpg) belongs to the first. Gives observations. Layout: docs/datasets.md.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from episodes.observations import Observation, Where, require_place
from episodes.pictures import SUFFIXES, read_picture
from policy_spec.errors import DatasetError, sentence

FORMAT = "armside-observations"
VERSION = 1
_WORDS = ("task", "episode")  # columns of states.csv that are no state


@dataclass(frozen=True, slots=True)
class Row:
    """One moment as the file of states has it."""

    number: int  # of its pictures
    state: tuple[float, ...]
    task: str
    episode: int


@dataclass(frozen=True, slots=True)
class FolderSource:
    """An ObservationSource over such a folder."""

    name: str
    root: Path
    cameras: tuple[str, ...]
    state_names: tuple[str, ...]
    episodes: tuple[tuple[Row, ...], ...]

    @classmethod
    def open(cls, root: Path) -> FolderSource:
        """Raises DatasetError naming the file and the row that is wrong."""
        file = next(f for f in (root / "states.json", root / "states.csv") if f.suffix == ".csv" or f.is_file())
        names, cameras, rows = (_read_json if file.suffix == ".json" else _read_csv)(file)
        if not rows:
            raise DatasetError(sentence(f"{file}: rows", expected="at least one", got="none"))
        cameras = cameras or tuple(sorted(d.name for d in root.iterdir() if d.is_dir() and any(d.iterdir())))
        if not cameras:
            raise DatasetError(sentence(f"{root}: cameras", expected="a folder of pictures for each", got="none"))
        numbers = sorted({row.episode for row in rows})
        cut = tuple(tuple(row for row in rows if row.episode == number) for number in numbers)
        source = cls(root.resolve().name, root, cameras, names, cut)
        for row in rows:
            for camera in cameras:
                source.file(camera, row)
        return source

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(map(len, self.episodes))

    def file(self, camera: str, row: Row) -> Path:
        """The picture of a row. Raises DatasetError where there is none."""
        stem = self.root / camera / f"{row.number:04d}"
        for suffix in SUFFIXES:
            if (file := stem.with_suffix(suffix)).is_file():
                return file
        raise DatasetError(sentence(f"{self.root}: row {row.number}", expected=f"{stem}.png or .jpg", got="none"))

    def observation(self, episode: int, frame: int) -> Observation:
        require_place(self, episode, frame)
        row = self.episodes[episode][frame]
        images = {camera: read_picture(self.file(camera, row)) for camera in self.cameras}
        return Observation(images, np.array(row.state, np.float32), row.task, Where(self.name, episode, frame))

    def states(self, episode: int) -> np.ndarray:
        return np.array([row.state for row in self.episodes[episode]], np.float32)

    def actions(self, episode: int) -> None:
        return None


_Read = tuple[tuple[str, ...], tuple[str, ...], list[Row]]


def _read_json(file: Path) -> _Read:
    """names, cameras, rows of states.json."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(sentence(f"{file} cannot be read", expected="JSON", got=error)) from None
    if not isinstance(data, Mapping) or data.get("format") != FORMAT or data.get("version") != VERSION:
        raise DatasetError(sentence(f"{file}", expected=f"format {FORMAT}, version {VERSION}", got=_head(data)))
    entries = data.get("observations")
    if not isinstance(entries, list):
        raise DatasetError(sentence(f"{file}: observations", expected="a list", got=type(entries).__name__))
    rows = [_row(f"{file}: observation {n}", n, entry, str(data.get("task", ""))) for n, entry in enumerate(entries)]
    names = tuple(map(str, data.get("names") or ())) or tuple(
        f"dim {i}" for i in range(len(rows[0].state) if rows else 0)
    )
    for row in rows:
        _width(f"{file}: observation {row.number}", row, len(names))
    return names, tuple(map(str, data.get("cameras") or ())), rows


def _read_csv(file: Path) -> _Read:
    """names, no cameras, rows of states.csv: a heading, then a row for each moment."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            lines = [line for line in csv.reader(stream) if line]
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(sentence(f"{file} cannot be read", expected="CSV", got=error)) from None
    if not lines:
        raise DatasetError(sentence(f"{file}", expected="a heading with the names of the joints", got="nothing"))
    heading = [word.strip() for word in lines[0]]
    names = tuple(word for word in heading if word not in _WORDS)
    rows = []
    for number, line in enumerate(lines[1:]):
        if len(line) != len(heading):
            raise DatasetError(sentence(f"{file}: row {number}", expected=f"{len(heading)} cells", got=len(line)))
        cells = dict(zip(heading, line, strict=True))
        entry = {"state": [cells[name] for name in names], **{k: cells[k] for k in _WORDS if k in cells}}
        rows.append(_row(f"{file}: row {number}", number, entry, ""))
    return names, (), rows


def _row(what: str, number: int, entry: Any, task: str) -> Row:
    try:
        state = tuple(float(value) for value in entry["state"])
        row = Row(number, state, str(entry.get("task", task)), int(entry.get("episode", 0)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(sentence(what, expected="numbers under 'state'", got=repr(error))) from None
    if not np.isfinite(state).all() or not state:
        raise DatasetError(sentence(what, expected="finite numbers", got=list(state)))
    return row


def _width(what: str, row: Row, width: int) -> None:
    if len(row.state) != width:
        raise DatasetError(sentence(what, expected=f"{width} numbers", got=len(row.state)))


def _head(data: Any) -> str:
    return f"{data.get('format')!r} {data.get('version')!r}" if isinstance(data, Mapping) else type(data).__name__
