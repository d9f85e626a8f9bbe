"""What the command line says: one block for an error, the words for sizes and times. Knows no room."""

from __future__ import annotations

import os

from armside.extras import extra_of
from policy_spec.errors import Cancelled, UsageError


def describe(error: Exception, known: tuple[type[Exception], ...]) -> tuple[str, int | None]:
    """The text for a person and the exit code; None for an error that nobody foresaw: a traceback is due."""
    if isinstance(error, Cancelled):
        return f"armside: {error}", 130
    if isinstance(error, known):
        return block(type(error).__name__, str(error)), 2 if isinstance(error, UsageError) else 1
    if isinstance(error, ModuleNotFoundError):
        name = (error.name or "").partition(".")[0]
        if extra := extra_of(name):
            text = (
                f"this verb needs {name}; what to do: pip install 'armside[{extra}]' (docs/install.md), "
                f"or ask: armside doctor --for {extra}"
            )
            return block("Missing package", text), 1
    if isinstance(error, OSError) and error.errno is not None:
        where = f" ({error.filename})" if error.filename else ""
        return block("System", f"{os.strerror(error.errno)}{where}"), 1
    return str(error), None


def block(kind: str, text: str) -> str:
    """An error as a few lines: the sentence's parts (expected, got, what to do) one under the other."""
    for mark in ("; expected: ", "; got: ", "; what to do: "):
        text = text.replace(mark, "\n  " + mark[2:], 1)
    return f"armside: {kind}: {text}"


def size(count: float) -> str:
    """A number of bytes for a person, in powers of 1000 as disks and downloads are sold."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def seconds(duration: float) -> str:
    """A duration in seconds for a person."""
    if duration < 100:
        return f"{duration:.1f} s"
    return f"{int(duration // 60)} min {int(duration % 60)} s"


def milliseconds(duration: float) -> str:
    """A duration in seconds as ms, three digits where it is short."""
    return f"{1e3 * duration:.3g}" if duration < 0.01 else f"{1e3 * duration:.0f}"
