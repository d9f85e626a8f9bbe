"""The plot of `armside plan`: a panel per board, a bar per precision, its stages stacked, the expected range as a line.

Takes boards, gives PNG bytes. Matplotlib is imported when it is drawn, and never pyplot.
"""

from __future__ import annotations

import io
from typing import Any

from armside.plan_table import Board
from quant.roofline import FITS, TIGHT

COLOURS = ("#1f5fa8", "#d95f02", "#4c8c6b", "#b889c9", "#c9a227")
INK, FAINT = "#24292f", "#8b949e"
MARKS = {FITS: "", TIGHT: " (tight)"}


def draw(boards: list[Board], source: str) -> bytes:
    """PNG."""
    from matplotlib.figure import Figure

    shown = [board for board in boards if board.rows]
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    most = max(len(board.rows) for board in shown)
    figure = Figure(figsize=(6.6 * columns, 0.9 + rows * (0.9 + 0.27 * most)), layout="constrained", dpi=120)
    panels = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for panel, board in zip(panels, shown, strict=False):
        _panel(panel, board)
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    handles, labels = [*handles[1:], handles[0]], [*labels[1:], labels[0]]  # the range last
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    figure.suptitle(f"Predicted time of one call, {source}", fontsize=11, color=INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _panel(panel: Any, board: Board) -> None:
    names = []
    for place, candidate in enumerate(board.rows):
        prediction, left = candidate.prediction, 0.0
        fits = prediction.memory.fits
        for stage, colour in zip(prediction.stages, COLOURS, strict=False):
            milliseconds = stage.floor * 1e3
            label = f"{stage.name} (floor)" if place == 0 else None
            alpha = 0.3 if fits not in MARKS else 1.0
            panel.barh(place, milliseconds, left=left, height=0.6, color=colour, alpha=alpha, label=label)
            left += milliseconds
        label = "expected range" if place == 0 else None
        ends = prediction.least * 1e3, prediction.most * 1e3
        panel.plot(ends, (place, place), color=INK, lw=2.2, marker="|", ms=7, solid_capstyle="butt", label=label)
        auto = board.auto is not None and board.auto.plan.precision == candidate.plan.precision
        names.append(f"{candidate.plan.precision}{' *' if auto else ''}{MARKS.get(fits, ' (does not fit)')}")
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.invert_yaxis()
    panel.set_xlim(left=0)
    panel.set_title(f"{board.target.name}: {board.target.about.split(';')[0]}", fontsize=9, loc="left", color=INK)
    panel.set_xlabel("ms", fontsize=8, color=FAINT)
    panel.tick_params(axis="x", labelsize=8)
    panel.grid(axis="x", color="#d0d7de", lw=0.5)
    panel.set_axisbelow(True)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
