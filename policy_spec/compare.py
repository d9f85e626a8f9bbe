"""The words of every parity report: worst element, relative error, cosine, and rows of a table.

Takes two arrays, gives numbers and text. The one in doubt comes first, the truth second. Knows nothing of
what they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Worst:
    """The element with the largest absolute difference; a NaN on one side alone is infinitely wrong."""

    index: tuple[int, ...]
    got: float
    expected: float
    error: float

    def __str__(self) -> str:
        return f"{self.error:.3g} at {list(self.index)}: {self.got:.6g}, expected {self.expected:.6g}"


def _pair(got: ArrayLike, expected: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape}, expected {b.shape}")
    return a, b


def worst(got: ArrayLike, expected: ArrayLike) -> Worst:
    """Where two arrays of one shape differ most. Raises ValueError on shapes that differ."""
    a, b = _pair(got, expected)
    if a.size == 0:
        return Worst((), 0.0, 0.0, 0.0)
    with np.errstate(invalid="ignore"):  # inf - inf; equal infinities are no difference
        difference = np.abs(a - b)
    difference[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    difference[np.isnan(difference)] = np.inf
    index = np.unravel_index(int(np.argmax(difference)), difference.shape)
    return Worst(tuple(int(i) for i in index), float(a[index]), float(b[index]), float(difference[index]))


def max_abs(got: ArrayLike, expected: ArrayLike) -> float:
    """max |got - expected|."""
    return worst(got, expected).error


def relative(got: ArrayLike, expected: ArrayLike) -> float:
    """max |got - expected| / max |expected|; the bare difference where the truth is all zero."""
    _, b = _pair(got, expected)
    scale = float(np.max(np.abs(b))) if b.size else 0.0
    return max_abs(got, expected) / (scale or 1.0)


def cosine(got: ArrayLike, expected: ArrayLike) -> float:
    """Cosine of two arrays taken as vectors; 1 where both are zero, 0 where one is."""
    a, b = _pair(got, expected)
    sizes = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if 0.0 in sizes:
        return float(sizes[0] == sizes[1])
    return float(np.dot(a.ravel(), b.ravel()) / (sizes[0] * sizes[1]))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a parity table."""

    name: str
    error: float
    tolerance: float
    detail: str = ""
    at_least: bool = False  # True: `error` is a likeness (a cosine) that must not fall below the tolerance

    @property
    def ok(self) -> bool:
        """Within the tolerance. A NaN never is."""
        return self.error >= self.tolerance if self.at_least else self.error <= self.tolerance

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for parity.json and the manifest."""
        return {
            "name": self.name,
            "error": self.error,
            "tolerance": self.tolerance,
            "detail": self.detail,
            "at_least": self.at_least,
            "ok": self.ok,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Row:
        """The inverse of to_json; `ok` is computed again."""
        return cls(**{key: value for key, value in data.items() if key != "ok"})


def row(name: str, got: ArrayLike, expected: ArrayLike, tolerance: float) -> Row:
    """A row of the largest absolute difference, its place as detail."""
    found = worst(got, expected)
    return Row(name, found.error, tolerance, str(found))


def table(rows: Iterable[Row]) -> str:
    """Rows as aligned text: name, error, tolerance, ok, detail."""
    cells = [("quantity", "error", "tolerance", "ok", "worst")]
    for r in rows:
        digits = ".6f" if r.at_least else ".3g"  # a likeness near 1 differs in its last places
        cells.append((r.name, format(r.error, digits), f"{r.tolerance:g}", "yes" if r.ok else "NO", r.detail))
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[4]]).rstrip()
        for line in cells
    )
