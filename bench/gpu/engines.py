"""The TensorRT engines of a bundle as one more way, through the same Session as on a Jetson.

Takes a bundle of the shapes that are measured; gives times, or in words why there are none.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from bench.gpu.timing import Progress
from bench.gpu.ways import Choices

LIBRARIES = ("tensorrt", "tensorrt_rtx")


def measured(bundle: Path | None, choices: Choices, progress: Progress) -> dict[str, Any]:
    """By library: times, or {"skipped": why}."""
    found = [name for name in LIBRARIES if importlib.util.find_spec(name) is not None]
    if not found:
        return {"skipped": f"none of {', '.join(LIBRARIES)} is installed"}
    if choices.device.type != "cuda":
        return {"skipped": "no CUDA device"}
    if bundle is None:
        return {"skipped": "no --bundle was given"}
    return {"skipped": "not wired"}


def text(result: dict[str, Any]) -> str:
    """A line, or a table."""
    return f"TensorRT: not run, {result['skipped']}."
