"""A bundle: one folder with the graphs, the spec, the tokenizer and a manifest; whole or not there.

`BundleWriter` fills `<path>.partial-<pid>`, or `<path>.partial` where what was interrupted is gone on with, and
renames it; `open_bundle` checks every file against the manifest. What a bundle says is in manifest.py, the memory
of hashes in hashes.py. Knows nothing of what is inside the graphs.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from policy_spec.errors import ArmsideError, BundleError, sentence
from policy_spec.hashes import HashCache, sha256_of
from policy_spec.manifest import FORMAT, FileEntry, Manifest, armside_version
from policy_spec.prompt import Tokenizer
from policy_spec.spec import PolicySpec

MANIFEST = "manifest.json"
SPEC = "spec.json"
TOKENIZER = "tokenizer.json"
FAST_TOKENIZER = "fast_tokenizer"  # a folder, in bundles of mode discrete
_REQUIRED = (SPEC, TOKENIZER)
_WORK = ".work"  # in the folder of a bundle that is being made: what is no part of it
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")  # numpy.ndarray.tofile
_AGAIN = "export or copy the bundle again"


class BundleWriter:
    """Writes a bundle whole or not at all.

        with BundleWriter(path) as out:
            (out.directory / "vision.onnx").write_bytes(...)
            out.commit(manifest)

    Leaving the block without a commit, by whatever exception, removes everything. A full disk becomes a
    BundleError. An existing bundle is replaced only with `overwrite`; a folder that is no bundle never is.

    With `resume` the folder has one name for all runs, and what an interruption left (a kill, a full disk, anything
    but a refusal of ours) is there again in the next one; `work` is for notes about it. Until `claim`, which says that
    it is this run's to go on with, nothing of it is removed. One run at a time.
    """

    def __init__(self, path: Path | str, overwrite: bool = False, resume: bool = False) -> None:
        self.path = Path(os.path.abspath(path))
        ending = ".partial" if resume else f".partial-{os.getpid()}"
        self.directory = self.path.with_name(self.path.name + ending)
        self.overwrite, self.resume = overwrite, resume
        self._mine = True  # nothing was there, or it was claimed
        self._lock: int | None = None  # a handle of the directory: held while somebody writes

    def __enter__(self) -> BundleWriter:
        self._refuse_existing()
        _remove_abandoned(self.path)
        self._mine = not self.directory.exists()
        try:
            self.directory.mkdir(parents=True, exist_ok=self.resume)
            self._lock = os.open(self.directory, os.O_RDONLY)
        except OSError as error:
            raise _io_error(self.path, error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            self._lock = None
            raise _busy(self.path) from error
        except OSError:  # some network file systems have no locks
            pass
        return self

    @property
    def work(self) -> Path:
        """A folder for what is no part of the bundle; gone when it is committed."""
        folder = self.directory / _WORK
        folder.mkdir(exist_ok=True)
        return folder

    def claim(self) -> None:
        """What an earlier run left is of the same export."""
        self._mine = True

    def clear(self) -> None:
        """Forgets what an earlier run left."""
        self.claim()
        for entry in self.directory.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        full = error is not None and _is_full(error)
        keep = self.resume and error is not None and (full or not self._mine or not isinstance(error, ArmsideError))
        self._abandon(keep)
        if error is not None and full:
            raise _io_error(self.path, error, self.directory if keep else None) from error

    def commit(self, manifest: Manifest, progress: Callable[[int], None] | None = None) -> Manifest:
        """Hashes every file, writes the manifest, flushes all to the disk and renames. Gives the full
        manifest.
        """
        shutil.rmtree(self.directory / _WORK, ignore_errors=True)
        names = sorted(p.relative_to(self.directory).as_posix() for p in self.directory.rglob("*") if p.is_file())
        names = [name for name in names if name != MANIFEST]
        missing = [name for name in _REQUIRED if name not in names]
        missing += [g.file for g in manifest.graphs.values() if g.file not in names]
        if missing:
            raise BundleError(sentence(f"{self.path.name}: files are missing from the bundle", expected=missing))
        files = {}
        for name in names:
            path = self.directory / name
            files[name] = FileEntry(path.stat().st_size, sha256_of(path, progress))
        whole = dataclasses.replace(
            manifest,
            files=files,
            format=FORMAT,
            armside_version=manifest.armside_version or armside_version(),
        )
        (self.directory / MANIFEST).write_text(whole.to_json(), encoding="utf-8")
        for name in (*names, MANIFEST):
            _sync(self.directory / name)
        _sync(self.directory)
        self._rename()
        cache = HashCache()
        for name, entry in files.items():
            cache.remember(self.path / name, entry.sha256)
        cache.save()
        return whole

    def _rename(self) -> None:
        self._refuse_existing()  # somebody may have been quicker
        if self.path.exists() and _exchange(self.directory, self.path):
            _sync(self.path.parent)  # the old bundle now bears the partial one's name, and goes with it
            return
        old = self.path.with_name(f"{self.path.name}.old-{os.getpid()}")
        replaced = self.path.exists()
        if replaced:
            os.rename(self.path, old)
        try:
            os.rename(self.directory, self.path)
        except BaseException:
            if replaced:
                os.rename(old, self.path)
            raise
        _sync(self.path.parent)
        if replaced:
            shutil.rmtree(old, ignore_errors=True)

    def _refuse_existing(self) -> None:
        if not os.path.lexists(self.path):
            return
        bundle = (self.path / MANIFEST).is_file()
        if bundle and self.overwrite:
            return
        raise BundleError(
            sentence(
                f"{self.path} exists already",
                expected="a path that is free",
                got="a bundle" if bundle else "something that is not a bundle",
                do="choose another path" + (", or overwrite it (--overwrite)" if bundle else ""),
            )
        )

    def _abandon(self, keep: bool) -> None:
        """Removes what was not renamed, unless it is for the next run; and lets go of the lock."""
        if self._lock is not None:
            if not keep:
                shutil.rmtree(self.directory, ignore_errors=True)
            os.close(self._lock)
            self._lock = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: every file is there and is what the export wrote."""

    path: Path
    manifest: Manifest
    spec: PolicySpec

    @property
    def tokenizer_path(self) -> Path:
        """tokenizer.json of the bundle."""
        return self.path / TOKENIZER

    @property
    def fast_tokenizer_path(self) -> Path:
        """The folder of the FAST tokenizer; only a bundle of mode discrete has one."""
        return self.path / FAST_TOKENIZER

    def tokenizer(self) -> Tokenizer:
        """The tokenizer, checked against the spec."""
        return self.spec.tokenizer(self.tokenizer_path)

    def graph_path(self, graph: str) -> Path:
        """The file of one graph. Raises BundleError naming the graphs that there are."""
        entry = self.manifest.graphs.get(graph)
        if entry is None:
            raise BundleError(
                sentence(f"{self.path}: no graph {graph!r}", expected=f"one of {sorted(self.manifest.graphs)}")
            )
        return self.path / entry.file

    def require_arm(self, robot: str) -> None:
        """Raises BundleError where the policy names its arms and `robot` is none of them."""
        if self.manifest.arm and robot not in self.manifest.arm:
            raise BundleError(
                sentence(
                    f"{self.path}: the policy is for another arm",
                    expected=f"one of {sorted(self.manifest.arm)}",
                    got=repr(robot),
                    do="choose the bundle of this robot",
                )
            )


def open_bundle(path: Path | str, verify: bool = False, cache: HashCache | None = None) -> Bundle:
    """Checks the manifest, then size and hash of every file. `verify` reads all of them again.

    Raises BundleError: the file, what was expected, what is there, what to do.
    """
    root = Path(path)
    manifest = _manifest(root)
    cache = HashCache() if cache is None else cache
    for name, entry in manifest.files.items():
        _check(root, name, entry, cache, verify)
    cache.save()
    for name in (*_REQUIRED, *(g.file for g in manifest.graphs.values())):
        if name not in manifest.files:
            raise BundleError(sentence(f"{root / name}: not in the manifest", expected="a hash of it", do=_AGAIN))
    return Bundle(root, manifest, PolicySpec.from_json((root / SPEC).read_text(encoding="utf-8")))


def _manifest(root: Path) -> Manifest:
    path = root / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        known = (root / "config.json").is_file()
        raise BundleError(
            sentence(
                f"{path} is missing",
                expected="a bundle",
                got="a checkpoint" if known else ("no such folder" if not root.exists() else "something else"),
                do="run armside export on it first" if known else "give the folder that armside export wrote",
            )
        ) from error
    except UnicodeDecodeError as error:
        raise BundleError(sentence(f"{path} is damaged", expected="text", got=error, do=_AGAIN)) from error
    except OSError as error:
        raise BundleError(sentence(f"{path} cannot be read", got=error.strerror)) from error
    try:
        return Manifest.from_json(text)
    except BundleError as error:
        raise BundleError(f"{root}: {error}") from error


def _check(root: Path, name: str, entry: FileEntry, cache: HashCache, fresh: bool) -> None:
    path = root / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise BundleError(sentence(f"{root / MANIFEST}: file name", expected="inside the bundle", got=repr(name)))
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            raise BundleError(
                sentence(
                    f"{path} is {'truncated' if size < entry.bytes else 'longer than it was'}",
                    expected=f"{entry.bytes} bytes",
                    got=f"{size} bytes",
                    do=_AGAIN,
                )
            )
        digest = cache.sha256(path, fresh)
    except FileNotFoundError as error:
        raise BundleError(
            sentence(f"{path} is missing", expected=f"{entry.bytes} bytes", got="no file", do=_AGAIN)
        ) from error
    except OSError as error:
        raise BundleError(sentence(f"{path} cannot be read", got=error.strerror, do=_AGAIN)) from error
    if digest != entry.sha256:
        raise BundleError(
            sentence(f"{path} is damaged", expected=f"sha256 {entry.sha256}", got=f"sha256 {digest}", do=_AGAIN)
        )


def _remove_abandoned(path: Path) -> None:
    """Partial folders whose writer is gone. Who holds the lock still writes, in whatever container."""
    for folder in path.parent.glob(f"{path.name}.partial-*"):
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _exchange(one: Path, two: Path) -> bool:
    """Swaps two names in one step, so that there is a whole bundle at every moment. False where Linux cannot."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    here, swap = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of the kernel's headers
    return bool(call(here, os.fsencode(one), here, os.fsencode(two), swap) == 0)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_full(error: BaseException) -> bool:
    """Libraries in other languages report a full disk by text only; numpy a short write, without a reason."""
    if isinstance(error, OSError) and (error.errno in _FULL or _SHORT_WRITE.search(str(error))):
        return True
    return isinstance(error, Exception) and os.strerror(errno.ENOSPC) in str(error)


def _busy(path: Path) -> BundleError:
    return BundleError(sentence(f"{path} is being written by another export", do="wait for it, or choose another path"))


def _io_error(path: Path, error: BaseException, kept: Path | None = None) -> BundleError:
    if _is_full(error):
        removed, again = "what was written of it is removed", "free some space or choose another disk"
        return BundleError(
            sentence(
                f"{path}: the disk is full",
                expected="room for the whole bundle",
                got=f"{_free(path)} MB left; {f'what is finished is kept in {kept}' if kept else removed}",
                do=f"{again}, and export again"
                if kept is None
                else "free some space and give the same command, which goes on from there; or remove that folder",
            )
        )
    return BundleError(sentence(f"{path} cannot be written", got=error, do="choose a folder that is yours"))


def _free(path: Path) -> int:
    with contextlib.suppress(OSError):
        return shutil.disk_usage(path.parent).free // 1_000_000
    return 0
