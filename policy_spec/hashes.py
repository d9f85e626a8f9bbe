"""sha256 of large files, remembered: starting a policy does not read gigabytes again that nobody touched.

Takes a path, gives its sha256. The memory is one JSON file in the user's cache folder, keyed by device,
inode, size, and times of modification and change. It is a convenience: one that is unreadable, damaged or
unwritable costs time only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_CHUNK = 1 << 22
_KEEP = 4096  # entries; the oldest go first
_RACY_NS = 2_000_000_000  # changed this lately, a file may change again within one tick of its clock


def cache_path() -> Path:
    """Where the memory lives; XDG_CACHE_HOME moves it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = (
        Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    )  # the standard: relative ones are ignored
    return root / "armside" / "hashes.json"


def sha256_of(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Reads the whole file. `progress` gets the bytes of each piece read."""
    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            digest.update(view[:size])
            if progress is not None:
                progress(size)
    return digest.hexdigest()


class HashCache:
    """Hashes by file identity. `save` writes what is new; safe with several processes at once."""

    def __init__(self, path: Path | None = None, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self.path = cache_path() if path is None else path
        self._wall_ns = wall_ns  # file times are wall-clock times
        self._known = _read(self.path)
        self._new: dict[str, str] = {}

    def sha256(self, path: Path, fresh: bool = False) -> str:
        """The remembered hash, or the read one; `fresh` always reads. Raises OSError."""
        key = _key(path)
        known = self._known.get(key)
        if known is not None and not fresh:
            return known
        digest = sha256_of(path)
        if key == _key(path):
            self.remember(path, digest)
        return digest

    def remember(self, path: Path, digest: str) -> None:
        """Keeps a hash that somebody computed already."""
        stat = path.stat()
        if self._wall_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > _RACY_NS:
            self._known[_key(path)] = self._new[_key(path)] = digest

    def save(self) -> None:
        """Merges the new ones into the file. A folder that cannot be written is no error."""
        if not self._new:
            return
        with contextlib.suppress(OSError), _locked(self.path):
            merged = {**_read(self.path), **self._new}
            kept = dict(list(merged.items())[-_KEEP:])
            _replace(self.path, kept)
            self._new = {}


def _key(path: Path) -> str:
    s = path.stat()
    return f"{s.st_dev}:{s.st_ino}:{s.st_size}:{s.st_mtime_ns}:{s.st_ctime_ns}"


def _read(path: Path) -> dict[str, str]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(data, Mapping):
        return {}
    return {str(key): value for key, value in data.items() if isinstance(value, str)}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / (path.name + ".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, data: Mapping[str, str]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(data, file)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
