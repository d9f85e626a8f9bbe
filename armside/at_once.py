"""The emergency stop before anything else: `armside bridge stop` signals the bridges, then reads its own command line.

Takes the words after `bridge stop`; signals the supervisors that registry.py records, of which a held lock says that
they live. Knows registry.py's file names (a test holds it to them) and imports none of it: a third of the time from
the Enter key to the bus would be imports.
"""

import fcntl
import json
import os
import signal


def folder() -> str:
    """registry.folder(), without making it."""
    usual = f"/run/user/{os.getuid()}"
    base = os.environ.get("XDG_RUNTIME_DIR") or (usual if os.access(usual, os.W_OK) else "")
    if not base:
        base = next((os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)), "/tmp")
    return os.path.join(base, f"armside-{os.getuid()}")


def stop_now(words: list[str]) -> int:
    """Signals the bridges that `words` name, every one where none is named; how many.

    Does nothing for words that it does not know, such as --help: the command line is read afterwards anyway.
    """
    if any(word.startswith("-") and word != "--cut" for word in words):
        return 0
    ids = {word for word in words if not word.startswith("-")}
    try:
        files = os.listdir(folder())
    except OSError:
        return 0
    names = [file[: -len(".json")] for file in files if file.endswith(".json")]
    return sum(_stop(os.path.join(folder(), name)) for name in names if not ids or name in ids)


def _stop(path: str) -> bool:
    try:
        with open(f"{path}.json", encoding="utf-8") as file:
            record = json.load(file)
        pids = [int(record[who]) for who in ("supervisor", "pid")]  # the second where the first has died
        if min(pids) > 1 and _lives(f"{path}.lock"):
            return any(_signalled(pid) for pid in pids)
    except (OSError, ValueError, KeyError, TypeError):  # none, or not ours: the slower road says so
        pass
    return False


def _signalled(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGUSR1)
    except ProcessLookupError:
        return False
    return True


def _lives(lock: str) -> bool:
    """Whether a process holds it; a record that was left behind must not signal who has its pid now."""
    with open(lock, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
