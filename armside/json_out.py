"""--json of every verb: a result for programs, to a file that is whole or not there, or to stdout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def add_json_argument(parser: Any) -> None:
    """--json FILE, `-` for stdout."""
    parser.add_argument("--json", metavar="FILE", type=Path, help="the result for programs; - for stdout")


def give(path: Path | None, data: dict[str, Any]) -> None:
    """Writes `data` (format, version, ...) where the user asked for it; None: nowhere. Raises OSError."""
    if path is None:
        return
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    if str(path) == "-":
        print(text, end="", flush=True)
        return
    from calib.store import write_whole

    write_whole(path, text.encode())
