"""What a change of an arm's servos and files is about, on disk before it begins: a crash leaves it, recovery reads it.

Takes and gives a Journal as one JSON file, written whole and synced. Knows what was and what was to be, never how
far it got: that is read from the servos and the files themselves.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from calib.store import Staged, sync_folder, write_whole
from calib.sts.eeprom import CHANGED, ServoChange
from firmware_bridge.errors import CalibrationError, EepromError, sentence

FORMAT = "armside-eeprom-journal"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Journal:
    """One change under way."""

    robot: str
    date: str
    changes: tuple[ServoChange, ...]
    files: tuple[Staged, ...]


def write(path: Path, journal: Journal) -> None:
    """Raises CalibrationError: then nothing may be written into a servo."""
    data = {
        "format": FORMAT,
        "version": VERSION,
        "robot": journal.robot,
        "date": journal.date,
        "servos": [dataclasses.asdict(change) for change in journal.changes],
        "files": [{"target": str(item.target), "old": item.old, "new": item.new} for item in journal.files],
    }
    try:
        write_whole(path, json.dumps(data, indent=4).encode() + b"\n")
    except OSError as error:
        do = "make room, or make its folder writable; nothing was changed"
        raise CalibrationError(sentence(f"the journal {path} cannot be written", got=error, do=do)) from error


def read(path: Path) -> Journal | None:
    """The journal that lies there, None without one. Raises EepromError for one that says nothing."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EepromError(sentence(f"the journal {path} cannot be read", got=error)) from error
    try:
        data = json.loads(text)
        if data["format"] != FORMAT or data["version"] > VERSION:
            raise ValueError(f"{data['format']} version {data['version']}")
        changes = tuple(_change(row) for row in data["servos"])
        files = tuple(Staged(Path(row["target"]), str(row["old"]), str(row["new"])) for row in data["files"])
        return Journal(str(data["robot"]), str(data["date"]), changes, files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        do = f"compare the arm with its file (armside calibrate --check), then delete {path}"
        expected = f"{FORMAT}, version {VERSION}"
        raise EepromError(sentence(f"the journal {path} says nothing", expected=expected, got=error, do=do)) from error


def drop(path: Path) -> None:
    """The change is over. Raises OSError."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def _change(row: dict[str, object]) -> ServoChange:
    old, new = row["old"], row["new"]
    if not (isinstance(old, dict) and isinstance(new, dict)) or {*old, *new} != {*CHANGED}:
        raise ValueError(f"registers of {row['joint']}")
    return ServoChange(str(row["joint"]), int(str(row["id"])), old, new)
