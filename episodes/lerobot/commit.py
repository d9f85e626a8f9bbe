"""An episode becomes part of a dataset as a whole or not at all: new files wait aside, a list says that they are whole,
then each is renamed into place.

A process that dies before the list is written leaves the dataset as it was; one that dies after it leaves renames that
`recover` finishes, in any number of further attempts. Knows nothing of what the files hold.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from policy_spec.errors import DatasetError, sentence

ASIDE = ".armside-next"  # inside the dataset, so that a rename stays on one disk
READY = "ready.json"


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
