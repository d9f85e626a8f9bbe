"""An episode becomes part of a dataset as a whole or not at all: new files wait aside, a list says that they are whole,
then each is renamed into place.

A process that dies before the list is written leaves the dataset as it was; one that dies after it leaves renames that
`recover` finishes, in any number of further attempts. Knows nothing of what the files hold.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from policy_spec.errors import DatasetError, sentence

ASIDE = ".armside-next"  # inside the dataset, so that a rename stays on one disk
LOCK = ".armside-lock"  # held by the one process that writes; the kernel lets go of it when that dies
READY = "ready.json"


def lock(root: Path) -> int:
    """Takes the dataset for this writer alone; a file descriptor to `os.close`. DatasetError where another has it."""
    root.mkdir(parents=True, exist_ok=True)
    fd = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise DatasetError(
            sentence(f"{root} is being written by another process", do="wait for it, or record into another folder")
        ) from None
    return fd


def strangers(root: Path) -> list[str]:
    """What lies there that armside did not put there."""
    return sorted(file.name for file in root.iterdir() if not file.name.startswith((".armside-", "armside-")))


def begin(root: Path) -> Path:
    """An empty folder for the next files."""
    folder = root / ASIDE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def commit(root: Path, files: Sequence[str], durable: bool = True) -> None:
    """Puts the files (relative, in this order) from the folder into place. OSError where the disk says no.

    `durable`: also after a loss of power, not only of the process; waits for the disk.
    """
    folder = root / ASIDE
    part = folder / f"{READY}.part"
    part.write_text(json.dumps(list(files)))
    if durable:
        for file in (*(folder / name for name in files), part):
            _sync(file)
    os.replace(part, folder / READY)
    if durable:
        _sync(folder)
    recover(root)


def recover(root: Path) -> bool:
    """Finishes renames that were begun, and removes what was not whole. True where there was something to finish."""
    folder = root / ASIDE
    if not folder.is_dir():
        return False
    ready = (folder / READY).is_file()
    if ready:
        for name in json.loads((folder / READY).read_text()):
            if (folder / name).exists():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(folder / name, root / name)
        (folder / READY).unlink()
    shutil.rmtree(folder, ignore_errors=True)
    return ready


def require_settled(root: Path) -> None:
    """Raises DatasetError where an episode is half in place."""
    if (root / ASIDE / READY).is_file():
        raise DatasetError(
            sentence(
                f"{root}: an episode is just being added, or a recording was killed while it was",
                do=f"wait a second; or armside data repair {root}",
            )
        )


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
