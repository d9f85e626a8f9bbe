"""What an export has finished, so that the same command goes on there after a kill: one line for each file.

`journal.jsonl` in the export's work folder: first what was asked for, then a line per finished file with its sha256,
and lines of facts (verified layers). Takes that description as a flat dict of text; an export that asks for something
else is refused, with what differs. A line that a kill cut short counts as not written. Knows nothing of graphs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from policy_spec.errors import UsageError, sentence
from policy_spec.hashes import sha256_of

NAME = "journal.jsonl"
SHOWN = 100  # characters of a value in a refusal


class Journal:
    """One export's notes; opened once its folder is locked."""

    def __init__(self, folder: Path, root: Path, asked: Mapping[str, str]) -> None:
        """folder: of the journal; root: that the files are named from. Raises UsageError where it is of another export:
        nothing is touched then.
        """
        self.path, self.root = folder / NAME, root
        self.files: dict[str, str] = {}  # name -> sha256
        self.facts: dict[str, Any] = {}
        lines = _lines(self.path)
        if lines:
            _refuse_other(root, lines[0].get("asked", {}), asked)
        for line in lines[1:]:
            if "file" in line:
                self.files[line["file"]] = line["sha256"]
            else:
                self.facts[line["fact"]] = line["value"]
        text = [{"asked": dict(asked)}, *lines[1:]]
        _replace(self.path, "".join(json.dumps(line) + "\n" for line in text))
        self.found = len(self.files)  # finished before this run

    def has(self, file: Path) -> bool:
        """Whether a file is there, whole and as it was noted. Reads it."""
        known = self.files.get(self._name(file))
        return known is not None and file.is_file() and sha256_of(file) == known

    def note(self, file: Path) -> None:
        """A file is finished, and on the disk."""
        name = self._name(file)
        self.files[name] = sha256_of(file)
        self._append({"file": name, "sha256": self.files[name]})

    def once(self, fact: str, find: Callable[[], Any]) -> Any:
        """A fact (JSON) that is found out once, however often the export is interrupted."""
        if fact not in self.facts:
            self.facts[fact] = find()
            self._append({"fact": fact, "value": self.facts[fact]})
        return self.facts[fact]

    def _name(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal; none where there is no journal or its first line is not whole."""
    found: list[dict[str, Any]] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return found
    for line in text.splitlines():
        try:
            data = json.loads(line)
        except ValueError:
            break
        found.append(data)
    return found


def _refuse_other(root: Path, before: Mapping[str, str], asked: Mapping[str, str]) -> None:
    differ = [key for key in dict.fromkeys((*before, *asked)) if before.get(key) != asked.get(key)]
    if differ:
        raise UsageError(
            sentence(
                f"{root} was left by an interrupted export that asked for something else, and is not gone on with",
                expected="; ".join(f"{key} {_short(before.get(key))}" for key in differ),
                got="; ".join(f"{key} {_short(asked.get(key))}" for key in differ),
                do="give the same command as then, or --fresh to start over",
            )
        )


def _short(value: str | None) -> str:
    text = "absent" if value is None else value
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
