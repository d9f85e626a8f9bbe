"""What language.py found, for people and programs: a table of bars in text, findings, a picture, plain data.

A bar is the policy's range of one joint with half a width on either side, the present value on it, and blanks where
the arm's own limits end. Takes a Language; knows no arm and no terminal.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from calib.language import INSIDE, UNKNOWN, Language, Row

COLUMNS, NARROW = 33, 21  # of a bar, in a terminal that has WIDE columns and in one that has not
WIDE = 118
AROUND = 0.5  # widths drawn on either side of the range
ONE_POSE = "one pose proves little: a mirrored joint passes it, and every round trip of units"
# The parts of a bar: beyond the arm's limits, within them, in the policy's range, its two ends, the value, off the bar.
NICE = {"beyond": " ", "reach": "·", "range": "─", "low": "├", "high": "┤", "value": "●", "left": "◀", "right": "▶"}
PLAIN = {"beyond": " ", "reach": ".", "range": "-", "low": "[", "high": "]", "value": "O", "left": "<", "right": ">"}


def bar(row: Row, plain: bool = False, columns: int = COLUMNS) -> str:
    """So many characters; blank where the policy's range is not known."""
    known, marks = row.place.range, PLAIN if plain else NICE
    if not known.known:
        return " " * columns
    start, span = known.low - AROUND * known.width, (1 + 2 * AROUND) * known.width

    def column(value: float) -> int:
        return round((value - start) / span * (columns - 1))

    low, high = column(known.low), column(known.high)
    cells = []
    for place in range(columns):
        at = start + place / (columns - 1) * span
        kind = "range" if low < place < high else "reach"
        cells.append(marks["beyond" if not row.reach[0] <= at <= row.reach[1] else kind])
    cells[low], cells[high] = marks["low"], marks["high"]
    if math.isfinite(row.place.value):
        place = column(row.place.value)
        mark = "left" if place < 0 else "right" if place >= columns else "value"
        cells[min(max(place, 0), columns - 1)] = marks[mark]
    return "".join(cells)


def number(value: float) -> str:
    """Degrees and percents with one decimal, rad and shares with two."""
    return f"{value:.2f}" if abs(value) < 9.995 else f"{value:.1f}"


def table(language: Language, plain: bool = False, wide: int = WIDE) -> list[str]:
    """A line for each joint under a line of headings; `wide`: columns of the terminal, a narrow one shows less."""
    columns = COLUMNS if wide >= WIDE else NARROW
    width = max(len(row.joint) for row in language.rows)
    kinds = {row.place.range.kind for row in language.rows if row.place.range.known}
    kind = kinds.pop() if len(kinds) == 1 else "range"
    lines = [f"{'':{width}} {'now':>7} {'':>7} {kind:^{columns}} {'':<7} {'the arm can' if wide >= WIDE else ''}"]
    for row in language.rows:
        known, (low, high) = row.place.range, row.reach
        ends = (number(known.low), number(known.high)) if known.known else ("", "")
        reach = f"{number(low)}..{number(high)}" if math.isfinite(high - low) else "no limits"
        lines.append(
            f"{row.joint:{width}} {number(row.place.value):>7} {ends[0]:>7} {bar(row, plain, columns)} {ends[1]:<7} "
            + (f"{reach:<16} {said(row)}" if wide >= WIDE else row.verdict)
        )
    return [line.rstrip() for line in lines]


def said(row: Row) -> str:
    """The verdict of one joint, with how far it is out or why nothing is known."""
    if row.verdict == UNKNOWN:
        return f"{UNKNOWN}: {row.place.range.why}"
    beyond = row.place.beyond
    if row.place.inside:
        return row.verdict if row.verdict != INSIDE or not beyond else f"{INSIDE} (by the margin)"
    return f"{row.verdict} by {number(abs(beyond))}, {abs(row.place.widths):.1f} widths"


def verdict(language: Language) -> list[str]:
    """The findings and the sentence about all of it."""
    lines = [f"! {finding.text}" for finding in language.findings]
    outside = [row.joint for row in language.rows if row.verdict not in (INSIDE, UNKNOWN)]
    if outside:
        lines.append(f"in the frame {language.frame} these do not fit: {', '.join(outside)}")
    else:
        lines.append(f"in the frame {language.frame} this pose lies where the policy's data were")
        if language.also:
            lines.append(f"it would in {', '.join(language.also)} as well: this pose does not tell them apart")
    return lines


def to_json(language: Language) -> dict[str, Any]:
    """Plain data for programs; what is not finite is null."""
    rows = [
        {
            "joint": row.joint,
            "value": _finite(row.place.value),
            "low": _finite(row.place.range.low),
            "high": _finite(row.place.range.high),
            "kind": row.place.range.kind,
            "margin": row.place.range.margin,
            "reach": [_finite(end) for end in row.reach],
            "unreached": round(row.unreached, 4),
            "beyond": _finite(row.place.beyond),
            "verdict": row.verdict,
            "why": row.place.range.why,
        }
        for row in language.rows
    ]
    findings = [dataclasses.asdict(finding) for finding in language.findings]
    return {
        "frame": language.frame,
        "ok": language.ok,
        "joints": rows,
        "findings": findings,
        "also_fits": list(language.also),
    }


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def picture(language: Language, path: Path, title: str = "") -> None:
    """A PNG of the table: a bar for each joint, green or red, the present value as a needle. Raises OSError."""
    from calib.language_png import write_png  # Pillow is not needed for text

    write_png(language, path, title)
