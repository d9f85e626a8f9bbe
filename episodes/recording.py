"""Reads a recording: `Recording.open(path)`. What a crash or a full disk cut off is left out and counted.

Damage anywhere but at the end of a file is not a crash's work and is refused, naming file and line.
Knows nothing of how recordings are made (writer.py) or shown (report.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from episodes import layout
from episodes.generated_lines import generated_of
from episodes.layout import ChunkRecord, EndRecord, EventRecord, ObservationRecord, RunHeader
from episodes.rows import read_rows
from policy_spec.errors import RecordingError, sentence


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recording in memory, but for its pictures: `image(observation, slot)` reads one."""

    path: Path
    header: RunHeader
    observations: tuple[ObservationRecord, ...]
    chunks: tuple[ChunkRecord, ...]
    events: tuple[EventRecord, ...]
    ticks: np.ndarray  # structured, columns of writer.tick_columns; `mode` is an index into `modes`
    modes: tuple[str, ...]
    clamp_words: tuple[str, ...]  # bit number in the column `clamped` -> what was limited
    end: EndRecord | None  # None: the process was killed
    torn: Mapping[str, int]  # file -> bytes left out at its end; empty after a clean finish

    @classmethod
    def open(cls, path: Path | str) -> Recording:
        root = Path(path)
        header = _header(root)
        torn: dict[str, int] = {}
        lines = _lines(root / layout.EVENTS_FILE, torn)
        ticks = _rows(root / layout.TICKS_FILE, torn)
        rows = _rows(root / layout.CHUNKS_FILE, torn)
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for line in lines:
            by_kind.setdefault(line.pop("kind"), []).append(line)
        return cls(
            path=root,
            header=header,
            observations=tuple(_observation(line) for line in by_kind.get("observation", [])),
            chunks=tuple(_chunk(line, rows) for line in by_kind.get("chunk", []) if line["row"] < len(rows)),
            events=tuple(EventRecord(**line) for line in by_kind.get("event", [])),
            ticks=ticks,
            modes=tuple(line["name"] for line in by_kind.get("mode", [])),
            clamp_words=tuple(line["name"] for line in by_kind.get("clamp", [])),
            end=_end(root / layout.END_FILE),
            torn=torn,
        )

    def image(self, observation: ObservationRecord, slot: str) -> np.ndarray:
        """[h, w, 3] uint8 RGB. RecordingError where the file is missing or was cut."""
        import cv2  # here: a workstation without opencv reads all the rest

        name = observation.image_files.get(slot)
        file = self.path / name if name else None
        data = cv2.imread(str(file), cv2.IMREAD_COLOR) if file is not None and file.exists() else None
        if data is None:
            raise RecordingError(
                sentence(f"observation {observation.index} has no readable picture of '{slot}'", got=name)
            )
        return np.asarray(cv2.cvtColor(data, cv2.COLOR_BGR2RGB))


def _header(root: Path) -> RunHeader:
    try:
        facts = json.loads((root / layout.HEADER_FILE).read_text())
    except FileNotFoundError:
        raise RecordingError(
            sentence(f"{root} is not a recording", expected=f"a folder with {layout.HEADER_FILE}")
        ) from None
    except ValueError as error:
        raise RecordingError(sentence(f"{root / layout.HEADER_FILE} is not JSON", got=error)) from None
    if not isinstance(facts, dict) or facts.get("format") != layout.FORMAT:
        raise RecordingError(sentence(f"{root / layout.HEADER_FILE}", expected=f"format {layout.FORMAT}"))
    if facts.get("version") != layout.VERSION:
        raise RecordingError(
            sentence(
                f"{root} was written by another version",
                expected=layout.VERSION,
                got=facts.get("version"),
                do="update armside",
            )
        )
    return RunHeader.from_json(facts)


def _lines(path: Path, torn: dict[str, int]) -> list[dict[str, Any]]:
    data = _read(path)
    whole, _, tail = data.rpartition(b"\n")
    if tail:
        torn[path.name] = len(tail)
    lines = []
    for number, text in enumerate(whole.split(b"\n") if whole else [], 1):
        try:
            line = json.loads(text)
            line["kind"]
        except (ValueError, TypeError, KeyError):
            raise RecordingError(sentence(f"{path}: line {number} is damaged", got=repr(text[:60]))) from None
        lines.append(line)
    return lines


def _rows(path: Path, torn: dict[str, int]) -> np.ndarray:
    _read(path)
    rows, left = read_rows(path)
    if left:
        torn[path.name] = left
    return rows


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordingError(sentence(f"{path} cannot be read: {error.strerror}")) from None


def _observation(line: dict[str, Any]) -> ObservationRecord:
    return ObservationRecord(**{**line, "state": np.asarray(line["state"], np.float64)})


def _chunk(line: dict[str, Any], rows: np.ndarray) -> ChunkRecord:
    row = rows[line.pop("row")]
    return ChunkRecord(**{**line, **generated_of(line)}, actions=row["actions"], policy_actions=row["policy_actions"])


def _end(path: Path) -> EndRecord | None:
    text = _read(path).split(b"\n", 1)[0].strip() if path.exists() else b""
    if not text:
        return None
    try:
        return EndRecord(**json.loads(text))
    except (ValueError, TypeError):
        return None
