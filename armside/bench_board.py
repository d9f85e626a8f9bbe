"""The board beside a measurement: looks before, between and after calls, and what of them goes into the JSON.

Takes a function that looks (edge/board.py), gives plain data. Knows nothing of calls.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge.board import Board, throttled
from edge.jetson import parse_release

Look = Callable[[], Board]
PACKAGES = (
    "numpy", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "cuda-python", "cuda-bindings",
    "opencv-python-headless", "tokenizers",
)  # fmt: skip


@dataclass(slots=True)
class Watch:
    """Looks at the board; a look costs about a millisecond and falls between two calls."""

    look: Look
    before: Board = field(init=False)
    seen: list[Board] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.before = self.look()

    def again(self) -> None:
        """One more look, right after a call: clocks have not come down yet."""
        self.seen.append(self.look())

    def result(self) -> dict[str, Any]:
        """Before, after, the extremes between, and whether the machine was throttled."""
        after = self.look()
        boards = (self.before, *self.seen, after)
        why = throttled(self.before, after, tuple(self.seen))
        return {
            "before": asdict(self.before),
            "after": asdict(after),
            "hottest_c": max((c for board in boards for c in board.celsius.values()), default=None),
            "gpu_hz": span([clock.now for board in boards for clock in board.gpu]),
            "cpu_hz": span([clock.now for board in boards for clock in board.cpu]),
            "least_free_bytes": min(board.free_bytes for board in boards),
            "throttled": bool(why),
            "why_throttled": list(why),
            "unsettled": unsettled(self.before),
        }


def span(values: list[int]) -> list[int] | None:
    """Least and most; None where nothing was seen."""
    return [min(values), max(values)] if values else None


def unsettled(board: Board) -> list[str]:
    """Why numbers of this board do not compare with others; empty: they do."""
    why = []
    if board.power is not None and not board.power.unlimited:
        why.append(f"power mode {board.power.text}, not the one without a limit")
    loose = [clock.name for clock in (*board.gpu, *board.cpu) if not clock.locked]
    if board.gpu and loose:
        why.append(f"clocks are not locked ({', '.join(loose[:3])}{', ...' if len(loose) > 3 else ''})")
    return why


def software(root: Path = Path("/")) -> dict[str, str]:
    """Versions of what computes, and of the system."""
    from armside import __version__

    found = {"armside": __version__, "python": platform.python_version(), "kernel": platform.release()}
    found["machine"] = platform.machine()
    file = root / "etc/nv_tegra_release"
    release = parse_release(file.read_text(errors="replace")) if file.is_file() else None
    if release is not None:
        found["jetson"] = release.text
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
