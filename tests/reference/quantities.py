"""One line of the reference table: a quantity of a case, its error, its tolerance, and whether it is within."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from policy_spec.compare import cosine, max_abs, relative, worst

STAGE, ACTION, INT8_COSINE, INT8_ABS = 1e-4, 2e-4, 0.9999, 0.05  # the folder's README, "Tolerances"
FP16_ABS = 5e-3  # with its float32 islands


@dataclass(frozen=True, slots=True)
class Quantity:
    """`error` is a difference, but for cosines, where more is better (`at_least`)."""

    case: str
    quantity: str
    error: float
    tolerance: float
    detail: str = ""
    at_least: bool = False

    @property
    def ok(self) -> bool:
        """A NaN never is."""
        return self.error >= self.tolerance if self.at_least else self.error <= self.tolerance

    def to_json(self) -> dict[str, Any]:
        """For --json, which knows no infinity: what is only reported has no tolerance."""
        return {**asdict(self), "tolerance": None if np.isinf(self.tolerance) else self.tolerance, "ok": self.ok}


class Case:
    """Collects the quantities of one case."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[Quantity] = []

    def equal(self, quantity: str, got: Any, expected: Any) -> None:
        """Ids, bins, masks, text: the number of elements that differ, or 1 where the shapes do."""
        a, b = np.asarray(got), np.asarray(expected)
        if a.shape != b.shape:
            self.rows.append(Quantity(self.name, quantity, 1.0, 0.0, f"shape {a.shape}, expected {b.shape}"))
            return
        differ = np.argwhere(a != b)
        detail = "" if not len(differ) else f"first at {differ[0].tolist()}"
        self.rows.append(Quantity(self.name, quantity, float(len(differ)), 0.0, detail))

    def relative(self, quantity: str, got: Any, expected: Any) -> None:
        """max|difference| / max|reference|."""
        self._add(quantity, got, expected, relative, STAGE)

    def absolute(self, quantity: str, got: Any, expected: Any, tolerance: float = ACTION) -> None:
        """max|difference|."""
        self._add(quantity, got, expected, max_abs, tolerance)

    def cosine(self, quantity: str, got: Any, expected: Any) -> None:
        """Cosine of two chunks."""
        if np.shape(got) != np.shape(expected):
            detail = f"shape {np.shape(got)}, expected {np.shape(expected)}"
            self.rows.append(Quantity(self.name, quantity, -1.0, INT8_COSINE, detail, at_least=True))
            return
        self.rows.append(Quantity(self.name, quantity, cosine(got, expected), INT8_COSINE, at_least=True))

    def report(self, quantity: str, value: float, detail: str = "") -> None:
        """A number that nothing is held to."""
        self.rows.append(Quantity(self.name, quantity, value, float("inf"), detail.replace("\n", " ")))

    def refused(self, quantity: str, error: Exception) -> None:
        """No answer where there is one."""
        detail = f"{type(error).__name__}: {error}".replace("\n", " ")
        self.rows.append(Quantity(self.name, f"{quantity}: answers", float("inf"), 0.0, detail))

    def _add(self, quantity: str, got: Any, expected: Any, measure: Any, tolerance: float) -> None:
        if np.shape(got) != np.shape(expected):
            detail = f"shape {np.shape(got)}, expected {np.shape(expected)}"
            self.rows.append(Quantity(self.name, quantity, float("inf"), tolerance, detail))
            return
        self.rows.append(Quantity(self.name, quantity, measure(got, expected), tolerance, str(worst(got, expected))))


def table(rows: list[Quantity]) -> str:
    """Aligned text."""
    cells = [("case", "quantity", "error", "tolerance", "ok", "worst")]
    for r in rows:
        digits = ".7f" if r.at_least else ".3g"
        tolerance, mark = ("", "") if np.isinf(r.tolerance) else (f"{r.tolerance:g}", "yes" if r.ok else "NO")
        cells.append((r.case, r.quantity, format(r.error, digits), tolerance, mark, r.detail))
    widths = [max(len(line[i]) for line in cells) for i in range(5)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[5]]).rstrip() for line in cells
    )
