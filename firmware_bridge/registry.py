"""Which bridges run on this machine: a JSON file for each, and a lock that its process holds for life.

Takes ids, gives `Running` rows. A bridge without an id is private: it is found by its endpoint only. The lock,
not the file and not a pid, says whether a bridge lives: the kernel drops it with the process, however it died.
Knows nothing of sockets or arms.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import ConfigError, sentence

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TAKEN_S = 0.5  # whoever looks whether a bridge lives holds its lock for an instant: no reason to refuse


@dataclass(frozen=True, slots=True)
class Running:
    """A bridge that runs on this machine, for this user."""

    id: str
    robot: str
    port: str
    endpoint: str
    status_endpoint: str
    pid: int  # of the bridge; another one after a takeover
    supervisor: int  # pid that signals go to
    started: float  # s, time.monotonic, which on Linux all processes of one boot share
    keys: str  # folder of CURVE keys, "" where none are needed


def folder() -> Path:
    """Where sockets and records of this user's bridges lie, entered by this user alone. Raises ConfigError."""
    # The folder that a login would name: a bridge that cron or a service started must be found too.
    usual = f"/run/user/{os.getuid()}"
    base = os.environ.get("XDG_RUNTIME_DIR") or (usual if os.access(usual, os.W_OK) else tempfile.gettempdir())
    path = Path(base) / f"armside-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        do = "set XDG_RUNTIME_DIR to a folder that this user may write"
        raise ConfigError(sentence(f"cannot make {path}", got=error, do=do)) from error
    found = path.lstat()
    if not path.is_dir() or path.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigError(sentence(f"{path}", expected="a folder of this user alone", do=f"remove {path}"))
    return path


def check_id(name: str) -> None:
    """Raises ConfigError for an id that cannot be part of a file's name."""
    if not ID.fullmatch(name):
        expected = "up to 64 letters, digits, dots, dashes and underscores, the first a letter or digit"
        raise ConfigError(sentence("an arm's id", expected=expected, got=repr(name)))


def default_endpoint(name: str, private: str = "") -> str:
    """The ipc endpoint of the arm `name`, the same in every process; of a private bridge when `private` tells it apart.

    Raises ConfigError.
    """
    check_id(name)
    return f"ipc://{folder()}/{name}{'~' if private else ''}{private}"


@contextlib.contextmanager
def claim(name: str, robot: str) -> Iterator[None]:
    """Hold the id `name` for as long as the block runs, and in every process forked inside it.

    Raises ConfigError with the pid of the bridge that has it.
    """
    check_id(name)
    file = os.open(_lock(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + TAKEN_S
        while not _lock_now(file):
            if time.monotonic() > deadline:
                raise ConfigError(_taken(name))
            time.sleep(0.02)
        _record(name).unlink(missing_ok=True)  # of one that died without a word
        yield
    finally:
        os.close(file)


def announce(running: Running) -> None:
    """Write the record of a bridge that is ready; its id must be claimed. Raises OSError."""
    path = _record(running.id)
    half = path.with_name(f"{path.name}~{os.getpid()}")
    half.write_text(json.dumps(dataclasses.asdict(running)))
    half.replace(path)


def withdraw(name: str) -> None:
    """Remove the record of a bridge that ends; never fails."""
    with contextlib.suppress(OSError):
        _record(name).unlink(missing_ok=True)


def find_running(name: str) -> Running | None:
    """The bridge of the arm `name`, if one runs and is ready. Raises ConfigError for a bad id."""
    check_id(name)
    running = _read(_record(name))
    if running is None:
        return None
    if not _held(name):
        _clean(name)
        return None
    return running


def all_running() -> list[Running]:
    """Every bridge of this user on this machine that has an id, by id."""
    names = sorted(path.stem for path in folder().glob("*.json"))
    found = (find_running(name) for name in names if ID.fullmatch(name))
    return [running for running in found if running is not None]


# -- inside


def _record(name: str) -> Path:
    return folder() / f"{name}.json"


def _lock(name: str) -> Path:
    return folder() / f"{name}.lock"


def _lock_now(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(name: str) -> bool:
    try:
        file = os.open(_lock(name), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _lock_now(file)
    finally:
        os.close(file)


def _clean(name: str) -> None:
    # Under the lock: a bridge that starts just now must not lose the record that it is about to write.
    file = os.open(_lock(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if _lock_now(file):
            withdraw(name)
    finally:
        os.close(file)


def _read(path: Path) -> Running | None:
    try:
        return Running(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):  # none, or one of another version
        return None


def _taken(name: str) -> str:
    running = _read(_record(name))
    who = f"pid {running.supervisor} on {running.port}" if running else "one that is still starting or ending"
    end = f"armside bridge end {name}" if running else "wait a moment, then try again"
    return sentence(f"a bridge for {name!r} runs already", got=who, do=f"use that one, or end it: {end}")
