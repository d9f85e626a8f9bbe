"""curves.png of a training run: losses, learning rates, gradient norms and speed over steps, from its log.jsonl.

Takes a run's folder, which may still be written; gives the picture's path. Knows nothing of training.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

NAME = "curves.png"
SMOOTH = 50  # logged steps that a smooth line looks at, at most


def draw(out: Path) -> Path | None:
    """Writes the picture, whole; None where nothing was logged yet."""
    from train.trainer.events import read_log

    lines = [line for line in read_log(out) if line["kind"] == "step"]
    if not lines:
        return None
    figure, ((losses, rates), (norms, speed)) = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
    at = np.array([line["total"] for line in lines])
    for name, label in (("loss", "loss"), ("flow", "flow"), ("ce", "next token")):
        _line(losses, at, [line.get(name) for line in lines], label)
    losses.set(title="losses", yscale="log")
    for table, axes, title in (("rates", rates, "learning rates"), ("norms", norms, "gradient norms")):
        for part in lines[-1][table]:
            _line(axes, at, [line[table].get(part) for line in lines], part)
        axes.set(title=title)
    norms.set(yscale="log")
    _line(speed, at, [line["rows_per_s"] for line in lines], "rows per second")
    speed.set(title="speed", ylim=(0, None))
    for axes in (losses, rates, norms, speed):
        axes.set_xlabel("steps")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        for edge in _edges(lines):
            axes.axvline(edge, color="black", linewidth=0.6, alpha=0.5)
    partial = out / f"{NAME}.partial"
    figure.savefig(partial, format="png", dpi=110)
    plt.close(figure)
    partial.replace(out / NAME)
    return out / NAME


def _line(axes: Any, at: np.ndarray, values: list[Any], label: str) -> None:
    known = np.array([value is not None and not isinstance(value, str) and value > 0 for value in values])
    if not known.any():
        return
    x = at[known]
    y = np.array([value for value, there in zip(values, known, strict=True) if there], np.float64)
    (line,) = axes.plot(x, y, linewidth=0.8, alpha=0.35 if len(y) > SMOOTH else 1.0, label=label)
    if len(y) > SMOOTH:
        kernel = np.ones(SMOOTH) / SMOOTH
        smooth = np.convolve(y, kernel, "valid")
        axes.plot(x[SMOOTH - 1 :], smooth, linewidth=1.6, color=line.get_color())


def _edges(lines: list[dict[str, Any]]) -> list[int]:
    """Steps at which a stage ended."""
    return [before["total"] for before, after in pairwise(lines) if before["stage"] != after["stage"]]
