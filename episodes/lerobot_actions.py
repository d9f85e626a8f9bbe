"""The actions of a LeRobot dataset, v3 or v2.1: its parquet files, episode by episode; no videos.

Takes the dataset's folder; gives names, rate and one array for each episode. A dataset that lacks files (a download
that stopped) is refused. Needs pyarrow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from policy_spec.errors import RecordingError, sentence

KEY = "action"
VERSIONS = ("v3.", "v2.")  # of the layout; both keep one row per frame in data/**/*.parquet
_COLUMNS = (KEY, "episode_index", "frame_index")


def read_actions(root: Path) -> tuple[tuple[str, ...], float, tuple[np.ndarray, ...]]:
    """Names of the dimensions, frames per second, actions [T, D] float32 of every episode. Raises RecordingError."""
    info = read_info(root)
    names = feature_names(root, info)
    files = sorted((root / "data").rglob("*.parquet"))
    parts = [_rows(file, len(names)) for file in files]
    found, said = sum(len(part[1]) for part in parts), int(info.get("total_frames", -1))
    if not found or found != said >= 0:
        raise RecordingError(
            sentence(
                f"{root}: frames in its {len(files)} parquet files",
                expected=f"{said}, as meta/info.json says" if said > 0 else "some",
                got=found,
                do="download the dataset again; data/ is not whole",
            )
        )
    actions, episode, frame = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((frame, episode))
    return names, float(info["fps"]), _episodes(root, actions[order], episode[order], frame[order])


def _episodes(root: Path, actions: np.ndarray, episode: np.ndarray, frame: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sorted rows cut where a new episode begins. Raises RecordingError where one has a gap."""
    starts = np.flatnonzero(np.diff(episode, prepend=episode[0] - 1))
    wanted = np.arange(len(frame)) - np.repeat(starts, np.diff(starts, append=len(frame)))
    if (frame != wanted).any():
        where = int(np.argmax(frame != wanted))
        what, got = f"{root}: frames of episode {episode[where]}", f"{frame[where]} in place of {wanted[where]}"
        raise RecordingError(sentence(what, expected="frame_index 0, 1, 2, ... each once", got=got))
    return tuple(np.split(actions, starts[1:]))


def read_info(root: Path) -> dict[str, Any]:
    """meta/info.json, its version and rate checked."""
    file = root / "meta" / "info.json"
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
        version, fps = str(info["codebase_version"]), float(info["fps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(sentence(f"{file} is not a LeRobot dataset's", got=repr(error))) from error
    if not version.startswith(VERSIONS) or not fps > 0:
        expected = "codebase_version v3.0 or v2.1, fps above 0"
        raise RecordingError(sentence(f"{file}", expected=expected, got=f"{version}, {fps}", do="convert the dataset"))
    return dict(info)


def feature_names(root: Path, info: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the action's dimensions; numbers where the dataset has none."""
    feature = info.get("features", {}).get(KEY)
    if feature is None:
        there = ", ".join(info.get("features", {}))
        raise RecordingError(sentence(f"{root}: features", expected=f"one called {KEY!r}", got=there))
    width, names = int(feature["shape"][0]), feature.get("names")
    if isinstance(names, Mapping):  # {"motors": [...]}
        names = next(iter(names.values()), None)
    fits = isinstance(names, list) and len(names) == width
    return tuple(map(str, names)) if fits else tuple(f"dim {i}" for i in range(width))


def _rows(file: Path, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Actions [n, width] float32, episode_index and frame_index [n] of one file."""
    try:
        table = pq.read_table(file, columns=list(_COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise RecordingError(sentence(f"{file} cannot be read", got=error, do="download the dataset again")) from error
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise RecordingError(sentence(f"{file}: columns", expected=", ".join(_COLUMNS), got=f"no {', '.join(missing)}"))
    column = table.column(KEY).combine_chunks()
    is_list = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
    flat = column.flatten() if is_list else column
    if column.null_count or flat.null_count or len(flat) != width * len(table):
        got = f"{len(flat)} numbers in {len(table)} rows, {column.null_count + flat.null_count} absent"
        raise RecordingError(sentence(f"{file}: {KEY}", expected=f"{width} numbers in each row", got=got))
    actions = flat.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, width)
    episode, frame = (table.column(name).to_numpy().astype(np.int64) for name in _COLUMNS[1:])
    return actions, episode, frame
