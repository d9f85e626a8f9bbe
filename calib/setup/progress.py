"""How far the motors of an arm are: a file that outlives a break, a crash or a pulled cable.

Takes a path, gives Progress; written whole or not at all. Holds what was done to each joint's motor, no settings.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calib.store import write_whole
from policy_spec.errors import UsageError, sentence

FORMAT = "armside-motor-setup"
VERSION = 1
# What is known of a motor's id: seen after a power-off, written only, found as it should be, written without check.
VERIFIED, WRITTEN, FOUND, UNCHECKED = "verified", "written", "found", "unchecked"
HOW = (VERIFIED, WRITTEN, FOUND, UNCHECKED)


@dataclass(frozen=True, slots=True)
class Done:
    """One motor."""

    id: int
    how: str  # of HOW
    firmware: str
    model: int
    time: str  # ISO, UTC

    @property
    def settled(self) -> bool:
        """Nothing is left to do."""
        return self.how != WRITTEN


@dataclass(slots=True)
class Progress:
    """One arm's file."""

    path: Path
    robot: str
    joints: dict[str, Done] = field(default_factory=dict)
    complete: bool = False  # all were seen together at the end

    @classmethod
    def load(cls, path: Path, robot: str) -> Progress:
        """What the file says; empty where there is none. Raises UsageError."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(path, robot)
        except (OSError, UnicodeDecodeError) as error:
            raise _bad(path, error) from None
        try:
            data = json.loads(text)
            if data["format"] != FORMAT or data["version"] != VERSION:
                raise ValueError(f"format {data['format']} version {data['version']}")
            joints = {name: Done(**row) for name, row in data["joints"].items()}
            if bad := [name for name, row in joints.items() if row.how not in HOW]:
                raise ValueError(f"{bad[0]}: {joints[bad[0]].how}")
            made = cls(path, str(data["robot"]), joints, bool(data["complete"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _bad(path, error) from None
        if made.robot != robot:
            raise _bad(path, f"of a {made.robot}, not of a {robot}")
        return made

    def note(self, joint: str, done: Done) -> None:
        """Remember, on disk."""
        self.joints[joint] = done
        self.save()

    def finish(self) -> None:
        """All were seen together."""
        self.complete = True
        self.save()

    def forget(self) -> None:
        """Begin again."""
        self.joints, self.complete = {}, False
        self.path.unlink(missing_ok=True)

    def save(self) -> None:
        joints: dict[str, Any] = {name: dataclasses.asdict(row) for name, row in self.joints.items()}
        data = {
            "format": FORMAT,
            "version": VERSION,
            "robot": self.robot,
            "complete": self.complete,
            "joints": joints,
        }
        write_whole(self.path, (json.dumps(data, indent=2) + "\n").encode())


def _bad(path: Path, why: object) -> UsageError:
    return UsageError(sentence(f"the progress file {path} cannot be used", got=why, do="--restart forgets it"))
