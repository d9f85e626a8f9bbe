"""Where engines lie: beside the bundle, a folder for each library and GPU, and in it NAME.engine with NAME.json.

An engine is whole or not there: it is written under another name, renamed, and only then gets its key. Knows nothing of
what builds or runs them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.trt.key import Key, Place, read, stale
from edge.trt.plan import BuildPlan, EngineRow
from policy_spec.errors import SessionError, sentence
from policy_spec.hashes import HashCache, sha256_of

TIMINGS = "timings.cache"  # of TensorRT's builder
KERNELS = "kernels.cache"  # of TensorRT-RTX's runtime
HALF = ".half"


@dataclass(frozen=True, slots=True)
class Found:
    """One engine's place on the disk."""

    row: EngineRow
    path: Path
    why: tuple[str, ...]  # it must be built; empty: it is ready

    @property
    def ready(self) -> bool:
        """There, whole, and made of what the key says."""
        return not self.why


def root_of(bundle: Path, out: Path | None = None) -> Path:
    """The folder of all engines of a bundle: beside it, unless another is given."""
    return out if out is not None else bundle.resolve().with_name(bundle.resolve().name + ".engines")


def folder_of(bundle: Path, place: Place, out: Path | None = None) -> Path:
    """The folder of the engines for one library and GPU."""
    return root_of(bundle, out) / place.folder


def find(folder: Path, plan: BuildPlan, place: Place, fresh: bool = False) -> tuple[Found, ...]:
    """Each engine of the plan, with the reasons to build it. `fresh`: hash engines again."""
    cache = HashCache()
    found = tuple(
        Found(row, folder / f"{row.name}.engine", _why(folder, row, place, cache, fresh)) for row in plan.rows
    )
    cache.save()
    return found


def blocks_of(folder: Path) -> int:
    """Into how many blocks the language model that lies there is cut; 0 where none lies there."""
    if (folder / "llm.json").is_file():
        return 1
    return len(list(folder.glob("llm-*.json")))


def write_engine(path: Path, data: Any, key: Key) -> None:
    """Writes the engine and its key. Raises SessionError where the disk does not take it; nothing is left then.

    data: any buffer.
    """
    note = path.with_suffix(".json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)  # an engine without a key is none
        with _whole(path) as half:
            half.write_bytes(data)
        facts = {**json.loads(key.to_json()), "bytes": path.stat().st_size, "sha256": sha256_of(path)}
        with _whole(note) as half:
            half.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        do = "free some space, or choose another folder (--out)"
        raise SessionError(sentence(f"{path} cannot be written", got=error.strerror or error, do=do)) from error


def remove_others(folder: Path, plan: BuildPlan) -> tuple[str, ...]:
    """Removes engines that are none of the plan (another cut), and what a killed build left. Gives their names."""
    names = {row.name for row in plan.rows}
    gone = [path for path in folder.glob("*.engine") if path.stem not in names]
    gone += [path for path in folder.glob("*.json") if path.stem not in names]
    gone += list(folder.glob(f"*{HALF}"))
    for path in gone:
        path.unlink(missing_ok=True)
    return tuple(sorted(path.name for path in gone))


def read_cache(path: Path) -> bytes:
    """A cache, b"" where there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def write_cache(path: Path, data: Any) -> None:
    """Keeps a cache; one that cannot be kept costs time only."""
    with contextlib.suppress(OSError), _whole(path) as half:
        half.write_bytes(data)


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the name `path` when the block ends well."""
    half = path.with_name(path.name + HALF)
    try:
        yield half
        handle = os.open(half, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def _why(folder: Path, row: EngineRow, place: Place, cache: HashCache, fresh: bool) -> tuple[str, ...]:
    """Reasons to build an engine; empty: none."""
    path, note = folder / f"{row.name}.engine", folder / f"{row.name}.json"
    if not note.is_file() or not path.is_file():
        return ("it is not there",)
    written = read(note.read_text(encoding="utf-8", errors="replace"))
    if why := stale(written, Key.of(row, place)):
        return why
    if path.stat().st_size != written.get("bytes"):
        return (f"it has {path.stat().st_size} bytes, and had {written.get('bytes')} when it was built",)
    if cache.sha256(path, fresh) != written.get("sha256"):
        return ("its contents are not what was built",)
    return ()
