"""The plot of a measured sensitivity: action and K/V error by part and scheme; by layer where layers were measured.

Takes a Sensitivity, gives PNG bytes. Matplotlib is imported when it is drawn, and never pyplot.
"""

from __future__ import annotations

import io
from typing import Any

from quant.groups import part_of
from quant.loss import Measured
from quant.sensitivity_file import Sensitivity

COLOURS = ("#1f5fa8", "#d95f02", "#4c8c6b", "#b889c9", "#c9a227", "#7b5c3e")
INK, GRID = "#24292f", "#e3e8ee"


def draw(found: Sensitivity) -> bytes:
    """PNG."""
    from matplotlib.figure import Figure

    whole = [row for row in found.rows if "@" not in row.part]
    layered = sorted({part_of(row.part).group for row in found.rows if "@" in row.part})
    parts = list(dict.fromkeys(row.part for row in whole))
    schemes = list(dict.fromkeys(row.scheme for row in found.rows))
    colours = {scheme: COLOURS[i % len(COLOURS)] for i, scheme in enumerate(schemes)}
    height = 1.6 + 0.36 * len(parts) + 1.9 * len(layered)
    figure = Figure(figsize=(12, height), layout="constrained", dpi=110)
    rows = (["action", "kv"],) if parts else ()
    mosaic = [*rows, *([group, group] for group in layered)]
    ratios = [*([0.36 * len(parts) + 0.6] if parts else []), *[1.9] * len(layered)]
    panels = figure.subplot_mosaic(mosaic, height_ratios=ratios)
    if parts:
        _bars(panels["action"], whole, parts, colours, "action_worst")
        panels["action"].axvline(found.control, color=INK, lw=1, ls=":")
        panels["action"].set_xlabel(
            "largest difference of the normalised action (dotted: another noise seed)", fontsize=9
        )
        _bars(panels["kv"], [row for row in whole if row.kv_worst > 0], parts, colours, "kv_worst")
        panels["kv"].set_xlabel("worst layer's K/V error, share of its rms", fontsize=9)
        panels["kv"].set_yticklabels([])
        handles, labels = panels["action"].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    for group in layered:
        _layers(panels[group], group, found.rows, colours)
    figure.suptitle(f"One part at a time in low precision: {len(found.samples)} samples of {found.source}", fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _bars(panel: Any, rows: list[Measured], parts: list[str], colours: dict[str, str], what: str) -> None:
    """A dot for each scheme on the part's line, over magnitudes."""
    for place, part in enumerate(parts):
        mine = [row for row in rows if row.part == part]
        values = [max(getattr(row, what), 1e-9) for row in mine]
        if values:
            panel.plot((min(values), max(values)), (place, place), color="#c3ccd6", lw=1.4, zorder=1)
        for row, value in zip(mine, values, strict=True):
            panel.scatter(value, place, s=34, color=colours[row.scheme], zorder=2)
    for scheme, colour in colours.items():
        panel.scatter([], [], s=34, color=colour, label=scheme)
    panel.set_xscale("log")
    panel.set_yticks(range(len(parts)), parts, fontsize=8.5)
    panel.set_ylim(len(parts) - 0.5, -0.5)
    _quiet(panel)


def _layers(panel: Any, group: str, rows: tuple[Measured, ...], colours: dict[str, str]) -> None:
    for scheme, colour in colours.items():
        mine = [row for row in rows if "@" in row.part and part_of(row.part).group == group and row.scheme == scheme]
        mine.sort(key=lambda row: part_of(row.part).first or 0)
        if mine:
            layers = [part_of(row.part).first for row in mine]
            panel.plot(
                layers, [row.action_worst for row in mine], color=colour, marker="o", ms=3.5, lw=1.3, label=scheme
            )
    panel.set_yscale("log")
    panel.set_title(f"{group}, one layer at a time", fontsize=9, loc="left", color=INK)
    panel.set_xlabel("layer", fontsize=8)
    panel.set_ylabel("action", fontsize=8)
    panel.xaxis.get_major_locator().set_params(integer=True)
    _quiet(panel)


def _quiet(panel: Any) -> None:
    panel.grid(color=GRID, lw=0.6)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=8.5)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
