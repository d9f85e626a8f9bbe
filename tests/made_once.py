"""What is dear to make and only read is made once for all workers of a run; tests that share more stay together.

Knows nothing of what is made. pytest-xdist gives every worker its own session fixtures, so without this each of four
workers would export the same checkpoint.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

# Fixtures that stay in memory, across files; those of one module stay together by themselves.
TOGETHER = ("built", "thought", "answered")


def once(base: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The path `name` that `make(path)` wrote: by the first worker that asks, for all. Nobody may write into it.

    A worker that asks meanwhile waits. When `make` fails, its error is the asker's, and the next asker tries anew.
    """
    root = base.getbasetemp()
    shared = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "made-once"
    shared.mkdir(exist_ok=True)
    path, done = shared / name, shared / f"{name}.done"
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(path, ignore_errors=True)
            make(path)
            done.touch()
    return path


def together(items: list[pytest.Item]) -> None:
    """Marks what shares a dear fixture for one worker (`--dist loadgroup`), and puts the longest first."""
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _group(item: pytest.Item) -> str:
    """The fixture that is shared, "": none. With its parameter: workers may share out the parameters."""
    named = getattr(item, "_fixtureinfo", None)
    names = sorted(named.names_closure, key=lambda name: name not in TOGETHER) if named else ()
    for name in names:
        definitions = named.name2fixturedefs.get(name, ())
        if definitions and (name in TOGETHER or definitions[-1].scope == "module"):
            chosen = getattr(item, "callspec", None)
            parameter = chosen.params.get(name, "") if chosen else ""
            return f"{definitions[-1].baseid}-{name}-{parameter}"
    return ""
