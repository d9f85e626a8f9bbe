"""The pictures of a report as PNG bytes. Matplotlib is imported when the first one is drawn, and never pyplot:
no window, no global state. Knows nothing of HTML.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from episodes.recording import Recording
from episodes.report_depth import depth_figure, has_depth
from episodes.report_numbers import WHOLE, mode_is

COMMANDED, MEASURED = "#d95f02", "#1f5fa8"
SHADES = {
    "paused": "#f2c94c",
    "estop": "#d64545",
    "fault": "#d64545",
    "parking": "#9aa5b1",
    "shadow": "#cfc4e8",
}
STAGE_COLOURS = ("#9aa5b1", "#4c8c6b", "#1f5fa8", "#d95f02", "#b889c9", "#c9a227", "#7b5c3e", "#5ab4c4", "#a33b5f")
MAX_POINTS = 6000  # per line: more than a page is wide
DPI = 110


def plots(run: Recording) -> dict[str, bytes]:
    """File name -> PNG, those for which the recording holds something."""
    drawn: dict[str, bytes] = {}
    if len(run.ticks) > 1:
        drawn["joints.png"] = _png(joints_figure(run))
        drawn["tracking.png"] = _png(tracking_figure(run))
    if run.chunks:
        drawn["latency.png"] = _png(latency_figure(run))
    if has_depth(run):
        drawn["depth.png"] = _png(_depth_figure(run))
    if len(run.chunks) > 1 and len(run.ticks) > 1:
        drawn["cadence.png"] = _png(cadence_figure(run))
    if len(run.ticks) > 1 and np.isfinite(run.ticks["temperature"]).any():
        drawn["health.png"] = _png(health_figure(run))
    return drawn


def start_of(run: Recording) -> float:
    """Second 0 of every time axis: the first status."""
    return float(run.ticks["t"][0]) if len(run.ticks) else float(run.header.started_s)


def joints_figure(run: Recording) -> Any:
    """Commanded and measured, one panel per joint, chunks as ticks at the bottom."""
    joints = run.header.joints
    columns = 2 if len(joints) > 1 else 1
    rows = -(-len(joints) // columns)
    figure = _figure(12, 0.9 + 2.1 * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    t, pick = _time(run)
    sent = [c.t - start_of(run) for c in run.chunks if c.outcome == "sent"]
    for number, joint in enumerate(joints):
        panel = panels[number // columns][number % columns]
        _shade(panel, run)
        panel.plot(t, run.ticks["commanded"][pick, number], color=COMMANDED, lw=1.6, label="commanded")
        panel.plot(t, run.ticks["measured"][pick, number], color=MEASURED, lw=1.1, label="measured")
        panel.plot(sent, np.zeros(len(sent)), "|", color="#444", ms=7, transform=panel.get_xaxis_transform(),
                   label="chunk sent", clip_on=False)  # fmt: skip
        panel.set_ylabel(f"{joint}\n{_unit(run.header.joint_units[number])}")
        panel.grid(alpha=0.25)
        if number >= len(joints) - columns:
            panel.set_xlabel("time (s)")
    for number in range(len(joints), rows * columns):
        panels[number // columns][number % columns].set_visible(False)
    _legend(figure, panels[0][0], run)
    return figure


def tracking_figure(run: Recording) -> Any:
    """Commanded minus measured; joints in rad on the left axis, grippers on the right."""
    figure = _figure(12, 3.4)
    left = figure.subplots()
    right = left.twinx() if "1" in run.header.joint_units else None
    t, pick = _time(run)
    off = run.ticks["commanded"][pick] - run.ticks["measured"][pick]
    for number, joint in enumerate(run.header.joints):
        gripper = run.header.joint_units[number] == "1"
        panel = right if gripper and right is not None else left
        label = f"{joint} (right axis)" if gripper else joint
        panel.plot(t, off[:, number], lw=1, color=f"C{number}", ls="--" if gripper else "-", label=label)
    left.set_xlabel("time (s)")
    left.set_ylabel("commanded - measured (rad)")
    left.grid(alpha=0.25)
    _shade(left, run)
    handles, labels = left.get_legend_handles_labels()
    if right is not None:
        right.set_ylabel("gripper (0 closed .. 1 open)")
        more = right.get_legend_handles_labels()
        handles, labels = handles + more[0], labels + more[1]
    figure.legend(handles, labels, loc="outside upper center", ncols=min(7, len(labels)), frameon=False)
    return figure


def latency_figure(run: Recording) -> Any:
    """Each prediction as a bar of its stages, with the whole from observation to arm above it."""
    figure = _figure(12, 3.4)
    panel = figure.subplots()
    chunks = run.chunks[-400:]  # more bars than this are no bars
    at = np.array([c.index for c in chunks])
    bottom = np.zeros(len(chunks))
    stages = [n for n in dict.fromkeys(n for c in chunks for n in c.timings_s) if n != WHOLE]
    for number, name in enumerate(stages):
        height = np.array([1000 * c.timings_s.get(name, 0.0) for c in chunks])
        colour = STAGE_COLOURS[number % len(STAGE_COLOURS)]
        panel.bar(at, height, 0.85, bottom, color=colour, label=name)
        bottom += height
    whole = [1000 * c.timings_s.get(WHOLE, np.nan) for c in chunks]
    panel.plot(at, whole, "_", color="#222", ms=max(3.0, min(14.0, 600 / len(chunks))), mew=1.6, label=WHOLE)
    panel.set_xlabel("prediction")
    panel.set_ylabel("time (ms)")
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.25, axis="y")
    figure.legend(loc="outside upper center", ncols=min(9, len(stages) + 1), frameon=False)
    return figure


def cadence_figure(run: Recording) -> Any:
    """Time between chunks, when the arm stood still for want of one, and the bridge's late ticks."""
    figure = _figure(12, 3.4)
    left = figure.subplots()
    sent = np.array([c.t for c in run.chunks if c.outcome == "sent"]) - start_of(run)
    left.plot(sent[1:], 1000 * np.diff(sent), "o-", color=MEASURED, ms=4, lw=1, label="time since the chunk before")
    aim = 1000 * run.header.execute * run.header.dt_s
    left.axhline(
        aim,
        color="#444",
        lw=1,
        ls=":",
        label=f"{run.header.execute} steps of {1000 * run.header.dt_s:.1f} ms",
    )
    left.set_ylim(0, 1.15 * max(aim, 1000 * float(np.diff(sent).max(initial=0))))
    left.set_xlabel("time (s)")
    left.set_ylabel("between chunks (ms)")
    left.grid(alpha=0.25)
    right = left.twinx()
    t, pick = _time(run)
    right.plot(t, run.ticks["late_ticks"][pick], color="#d64545", lw=1.4, label="late ticks so far (right axis)")
    right.set_ylabel("late ticks")
    right.set_ylim(bottom=0, top=max(1.0, 1.1 * float(run.ticks["late_ticks"].max())))
    right.yaxis.get_major_locator().set_params(integer=True)
    handles = left.get_legend_handles_labels()[0] + right.get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)
    return figure


def health_figure(run: Recording) -> Any:
    """Temperature and current of each servo."""
    figure = _figure(12, 3.4)
    panels = figure.subplots(1, 2)
    t, pick = _time(run)
    for panel, (name, label) in zip(
        panels, (("temperature", "temperature (degrees C)"), ("current", "current (A)")), strict=True
    ):
        for number, joint in enumerate(run.header.joints):
            panel.plot(t, run.ticks[name][pick, number], lw=1, color=f"C{number}", label=joint)
        panel.set_xlabel("time (s)")
        panel.set_ylabel(label)
        panel.grid(alpha=0.25)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(7, len(labels)), frameon=False)
    return figure


def _depth_figure(run: Recording) -> Any:
    figure = _figure(12, 3.0)
    depth_figure(run, figure.subplots())
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI)  # a Figure without pyplot draws with Agg
    return out.getvalue()


def _time(run: Recording) -> tuple[npt.NDArray[np.float64], slice]:
    """Seconds since the first status, thinned out for long runs, and the slice that thins."""
    pick = slice(None, None, max(1, len(run.ticks) // MAX_POINTS))
    return run.ticks["t"][pick] - start_of(run), pick


def _shade(panel: Any, run: Recording) -> None:
    """Colours the times in which the arm did not follow chunks, by mode."""
    t = run.ticks["t"] - start_of(run)
    for mode, colour in SHADES.items():
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mode_is(run, mode).astype(np.int8), [0]])))
        for begin, end in edges.reshape(-1, 2):
            panel.axvspan(t[begin], t[min(end, len(t) - 1)], color=colour, alpha=0.25, lw=0)


def _legend(figure: Any, panel: Any, run: Recording) -> None:
    from matplotlib.patches import Patch

    handles = list(panel.get_legend_handles_labels()[0])
    handles += [Patch(color=SHADES[m], alpha=0.25, label=m) for m in SHADES if mode_is(run, m).any()]
    figure.legend(handles=handles, loc="outside upper center", ncols=8, frameon=False)


def _unit(unit: str) -> str:
    return "0 closed .. 1 open" if unit == "1" else f"({unit})"
