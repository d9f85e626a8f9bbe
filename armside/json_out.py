"""--json of every verb: a result for programs, to a file that is whole or not there, or to stdout."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from policy_spec.errors import UsageError, sentence


def add_json_argument(parser: Any) -> None:
    """--json FILE, `-` for stdout."""
    parser.add_argument("--json", metavar="FILE", type=Path, help="the result for programs; - for stdout")


_results: Any = None  # the real stdout, while words go aside


@contextlib.contextmanager
def words_aside(path: object) -> Iterator[None]:
    """With `--json -` stdout carries the result alone: inside the block all words go to stderr.

    Raises UsageError where the result could not be written after all the work is done.
    """
    global _results
    if isinstance(path, Path) and path.is_dir():
        raise UsageError(sentence("--json", expected="a file, or - for stdout", got=f"the folder {path}"))
    if not isinstance(path, Path) or str(path) != "-" or _results is not None:  # or already aside
        yield
        return
    _results = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _results = None


def give(path: Path | None, data: dict[str, Any]) -> None:
    """Writes `data` (format, version, ...) where the user asked for it; None: nowhere. Raises OSError."""
    if path is None:
        return
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    if str(path) == "-":
        print(text, end="", flush=True, file=_results or sys.stdout)
        return
    from calib.store import write_whole

    write_whole(path, text.encode())
