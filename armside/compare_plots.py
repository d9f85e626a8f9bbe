"""The charts of a comparison as PNG bytes: error by layer, by joint, latency. Matplotlib without pyplot."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from armside.compare_numbers import Numbers

A, B, THIRD = "#9aa5b1", "#1f5fa8", "#d95f02"


def layers_png(numbers: Numbers) -> bytes:
    """K and V error by layer, end to end."""
    figure = _figure(10, 2.8)
    panel = figure.subplots()
    for kind, colour in (("K", B), ("V", THIRD)):
        values = np.asarray(numbers.layers[kind])
        panel.plot(np.arange(len(values)), 100 * values, color=colour, marker="o", ms=3.5, lw=1.4, label=kind)
    panel.set_xlabel("layer")
    panel.set_ylabel("error, % of its rms")
    panel.set_ylim(bottom=0)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.legend(frameon=False)
    _quiet(panel)
    return _png(figure)


def joints_png(numbers: Numbers) -> bytes:
    """Mean, p99 and worst of each joint, one small axis per unit."""
    units = list(dict.fromkeys(joint.unit for joint in numbers.joints))
    figure = _figure(10, 1.2 + 0.34 * len(numbers.joints))
    shares = [sum(joint.unit == unit for joint in numbers.joints) for unit in units]
    panels = figure.subplots(len(units), 1, squeeze=False, height_ratios=shares)[:, 0]
    for panel, unit in zip(panels, units, strict=True):
        mine = [joint for joint in numbers.joints if joint.unit == unit]
        places = np.arange(len(mine))
        panel.barh(places, [j.worst for j in mine], height=0.62, color="#dbe4ee", label="worst")
        panel.barh(places, [j.p99 for j in mine], height=0.62, color="#7fa6d0", label="p99")
        panel.barh(places, [j.mean for j in mine], height=0.62, color=B, label="mean")
        panel.set_yticks(places, [j.name for j in mine])
        panel.invert_yaxis()
        panel.set_xlabel(f"difference, {unit}")
        _quiet(panel)
    panels[0].legend(frameon=False, ncols=3, loc="lower right")
    return _png(figure)


def latency_png(numbers: Numbers, names: tuple[str, str]) -> bytes:
    """Stages of a call, A above B."""
    stages = [row for row in numbers.latency if row.stage != "whole call"]
    figure = _figure(10, 1.9)
    panel = figure.subplots()
    colours = [A, "#4c8c6b", B, "#b889c9", THIRD, "#c9a227", "#7b5c3e"]
    for place, side in enumerate(("a", "b")):
        left = 0.0
        for number, row in enumerate(stages):
            width = 1e3 * getattr(row, side)
            label = row.stage if place == 0 else None
            panel.barh(place, width, left=left, height=0.6, color=colours[number % len(colours)], label=label)
            left += width
    panel.set_yticks((0, 1), [f"A {names[0]}", f"B {names[1]}"])
    panel.invert_yaxis()
    panel.set_xlabel("ms, medians")
    figure.legend(loc="outside upper center", ncols=len(stages), frameon=False)
    _quiet(panel)
    return _png(figure)


def _quiet(panel: Any) -> None:
    panel.grid(axis="both", color="#e3e8ee", lw=0.6)
    panel.set_axisbelow(True)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return out.getvalue()
