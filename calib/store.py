"""Several files that change together or not at all: written beside their targets first, renamed into place later.

`stage` writes and syncs the new text (and a copy of what was there) beside the target, so that a full disk or a
read-only folder is found before anything else has changed; `put` only renames, and keeps `<name>.bak`; `undo` and
`discard` take back. All of it can be repeated after a crash, for the names are fixed and the texts are known by their
hash. Knows nothing of what the texts mean.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import CalibrationError, sentence

OLD, NEW, OTHER = "old", "new", "other"
NOTHING = ""  # the hash of a file that is not there


@dataclass(frozen=True, slots=True)
class Staged:
    """One file that will change. Hashes are sha256; NOTHING: no such file."""

    target: Path
    old: str
    new: str

    @property
    def fresh(self) -> Path:
        """The new text, beside its target."""
        return self.target.with_name(f".{self.target.name}.new")

    @property
    def spare(self) -> Path:
        """A copy of the old text, on its way to be the .bak."""
        return self.target.with_name(f".{self.target.name}.old")

    @property
    def kept(self) -> Path:
        """What was there before."""
        return self.target.with_name(f"{self.target.name}.bak")

    def now(self) -> str:
        """OLD, NEW or OTHER: what the target holds."""
        found = hash_of(self.target)
        return NEW if found == self.new else OLD if found == self.old else OTHER


def stage(target: Path, data: bytes) -> Staged:
    """`data` waits beside `target`, synced. Raises CalibrationError: nothing changed."""
    target = target.resolve()  # a link stays a link
    staged = Staged(target, hash_of(target), hashlib.sha256(data).hexdigest())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(target.parent, os.W_OK) or target.is_dir():
            raise PermissionError(f"{target} cannot be replaced")
        write_synced(staged.fresh, data)
        if staged.old:
            write_synced(staged.spare, target.read_bytes())
    except OSError as error:
        discard(staged)
        do = "make room, or make the folder writable; nothing was changed"
        raise CalibrationError(sentence(f"{target} cannot be written", got=error, do=do)) from error
    return staged


def put(staged: Staged) -> None:
    """The new text is the file's; what was there is its .bak. Repeatable. Raises OSError."""
    if staged.fresh.exists():
        if staged.spare.exists() and staged.old != staged.new:
            os.replace(staged.spare, staged.kept)
        os.replace(staged.fresh, staged.target)
        sync_folder(staged.target.parent)
    discard(staged)


def can_finish(staged: Staged) -> bool:
    """Whether `put` would end with the new text in place of the old one."""
    return staged.now() == NEW or (staged.now() == OLD and hash_of(staged.fresh) == staged.new)


def undo(staged: Staged) -> str:
    """The old text is the file's again; "" or what could not be taken back. Repeatable."""
    try:
        if staged.now() == NEW and staged.old != staged.new:
            if staged.old == NOTHING:
                staged.target.unlink()
            elif hash_of(staged.kept) == staged.old:
                os.replace(staged.kept, staged.target)
            elif hash_of(staged.spare) == staged.old:
                os.replace(staged.spare, staged.target)
            else:
                return f"{staged.target} has the new numbers, and {staged.kept} is not what was there before"
            sync_folder(staged.target.parent)
        elif staged.now() == OTHER:
            return f"{staged.target} was changed by somebody else, and left alone"
    except OSError as error:
        return f"{staged.target}: {error}"
    discard(staged)
    return ""


def discard(staged: Staged) -> None:
    """Remove what waits beside the target; never fails."""
    for path in (staged.fresh, staged.spare):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def hash_of(path: Path) -> str:
    """sha256 of a file, NOTHING where there is none that can be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return NOTHING


def write_synced(path: Path, data: bytes) -> None:
    """Written and on the disk. Raises OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    finally:
        os.close(file)


def write_whole(path: Path, data: bytes) -> None:
    """A file that is there whole or not at all, and stays after a power cut. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = half_of(path)
    try:
        write_synced(half, data)
        os.replace(half, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)
        raise


def half_of(path: Path) -> Path:
    """Where `write_whole` writes; stays only where a process was killed."""
    return path.with_name(f".{path.name}.half")


def sync_folder(folder: Path) -> None:
    """Renames in it are on the disk; a file system that cannot say so is taken at its word."""
    with contextlib.suppress(OSError):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
