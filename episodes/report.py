"""`make_report(recording)`: one HTML page that opens without a network, its plots inside and beside it as PNG.

Takes a recording's folder, writes `report.html` and `plots/*.png` into it (or into another folder). Numbers come
from report_numbers.py, pictures from report_plots.py; here is only the page.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from episodes.recording import Recording
from episodes.report_depth import answer_section, depth_section
from episodes.report_html import inline, small_jpeg, table
from episodes.report_numbers import Numbers, Spread, numbers
from episodes.report_plots import plots, start_of
from policy_spec.errors import RecordingError, sentence

PAGE = "report.html"
PLOTS = "plots"
FRAME_WIDTH = 420  # pixels of a camera's picture in the page
CAPTIONS = {
    "joints.png": "Commanded against measured. Marks at the bottom: a chunk was sent.",
    "tracking.png": "How far each joint was from its goal.",
    "latency.png": "Time of each prediction by stage; the dash above a bar is the whole, observation to arm.",
    "cadence.png": "How evenly chunks came, and ticks that the bridge started late.",
    "depth.png": "What each depth map cost.",
    "health.png": "What the servos said of themselves.",
}
STYLE = """
:root { color-scheme: light; } * { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1c2430; max-width: 1120px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.sub { color: #5a6675; margin: 0 0 1rem; } img { max-width: 100%; height: auto; border: 1px solid #e3e8ee; }
figure { margin: 0 0 1rem; } figcaption { color: #5a6675; font-size: .9rem; }
table { border-collapse: collapse; margin: .3rem 0 1rem; } th, td { padding: .25rem .8rem; text-align: right; }
th { font-weight: 600; border-bottom: 1px solid #c9d2dc; } td { border-bottom: 1px solid #eef1f5; }
th:first-child, td:first-child { text-align: left; } td { font-variant-numeric: tabular-nums; }
table.facts td { text-align: left; } table.facts td:first-child { color: #5a6675; white-space: nowrap; }
.cams { display: flex; gap: 1rem; flex-wrap: wrap; } .bad { color: #b3261e; font-weight: 600; }
.scroll { overflow-x: auto; }
"""


def make_report(recording: Path | str, folder: Path | str | None = None) -> Path:
    """Writes the page and gives its path. RecordingError where there is no recording or the disk is full."""
    run = Recording.open(recording)
    out = Path(folder) if folder is not None else run.path
    pictures = plots(run)
    try:
        (out / PLOTS).mkdir(parents=True, exist_ok=True)
        for name, data in pictures.items():
            (out / PLOTS / name).write_bytes(data)
        page = out / PAGE
        partial = page.with_suffix(".html.partial")
        partial.write_text(make_page(run, pictures), encoding="utf-8")
        partial.replace(page)
    except OSError as error:
        raise RecordingError(
            sentence(f"the report cannot be written to {out}: {error.strerror}", do="give another folder")
        ) from None
    return page


def make_page(run: Recording, pictures: dict[str, bytes]) -> str:
    """The whole page as text."""
    said = numbers(run)
    head = run.header
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Run: {html.escape(head.task)}</title>",
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>",
        f"<h1>{html.escape(head.task)}</h1>",
        f"<p class=sub>{html.escape(head.arm)}, {html.escape(head.started_utc or 'time unknown')}</p>",
        _summary(run, said),
        "<h2>Latency per stage</h2>",
        _spread_table(said.stages, "stage"),
        _picture(pictures, "latency.png"),
        "<h2>Chunks</h2>",
        table(("outcome", "chunks"), said.outcomes) if said.outcomes else "<p>No prediction was made.</p>",
        _spread_table(said.cadence, "interval"),
        _picture(pictures, "cadence.png"),
        depth_section(run, _picture(pictures, "depth.png")),
        answer_section(run),
        "<h2>Joints</h2>",
        _picture(pictures, "joints.png"),
        _tracking_table(said),
        _picture(pictures, "tracking.png"),
        "<h2>What was limited</h2>",
        _clamp_table(said),
        "<h2>Cameras</h2>",
        _cameras(run),
        _spread_table(said.frame_ages, "age of the picture when looked at"),
        _picture(pictures, "health.png", "<h2>Servos</h2>"),
        "<h2>What happened</h2>",
        _events(run),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _summary(run: Recording, said: Numbers) -> str:
    head, end = run.header, run.end
    ended = f"{end.reason}: {end.text}" if end else "it was cut off: the process was killed or the power went"
    torn = ", ".join(f"{size} bytes of {name}" for name, size in run.torn.items())
    sent = dict(said.outcomes).get("sent", 0)
    rows = [
        ("ended by", ended),
        ("lasted", f"{said.seconds:.1f} s, {len(run.ticks)} ticks of the bridge at {head.rate_hz:g} Hz"),
        (
            "predictions",
            f"{said.predictions}, of which {sent} sent; {head.execute} of {head.horizon} steps used",
        ),
        ("stood still for want of a chunk", f"{said.waited_s:.2f} s"),
        ("late ticks", f"{said.late_ticks} (worst lateness {1000 * said.worst_lateness_s:.1f} ms)"),
        ("statuses that were not recorded", str(said.missing_statuses)),
        ("left out at the end (torn)", torn or "nothing"),
        ("bundle", f"{head.bundle} (norm tag {head.norm_tag}, joint frame {head.frame})"),
        ("seed", str(head.seed)),
        *((name.replace("_", " "), _fact(value)) for name, value in head.facts.items()),
    ]
    bad = end is None or end.reason not in ("duration", "interrupt", "quit")
    cells = [
        f"<tr><td>{html.escape(name)}</td><td{' class=bad' if bad and name == 'ended by' else ''}>"
        f"{html.escape(value)}</td></tr>"
        for name, value in rows
    ]
    return f"<table class=facts>{''.join(cells)}</table>"


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items() if inner is not None)
    return str(value)


def _spread_table(rows: Sequence[Spread], name: str) -> str:
    if not rows:
        return ""
    cells = [
        (row.name, row.count, *(f"{1000 * v:.1f}" for v in (row.p50, row.p95, row.p99, row.worst)))
        for row in rows
    ]
    return table((name, "count", "p50 ms", "p95 ms", "p99 ms", "worst ms"), cells)


def _tracking_table(said: Numbers) -> str:
    if not said.tracking:
        return "<p>Torque was never on.</p>"
    rows = []
    for row in said.tracking:
        scale, unit = (1.0, "of its opening") if row.unit == "1" else (180 / np.pi, "degrees")
        values = (scale * v for v in (row.low, row.high, row.rms, row.worst))
        rows.append((row.joint, unit, *(f"{v:.3f}" if scale == 1.0 else f"{v:.2f}" for v in values)))
    return table(("joint", "unit", "lowest", "highest", "rms error", "worst error"), rows)


def _clamp_table(said: Numbers) -> str:
    if not said.clamps:
        return "<p>Nothing: every goal was within limits and speed.</p>"
    rows = [(clamp.what, clamp.ticks, f"{100 * clamp.share:.1f} %") for clamp in said.clamps]
    return table(("limit", "ticks", "of the ticks that moved"), rows)


def _cameras(run: Recording) -> str:
    if not run.observations:
        return "<p>No observation was made.</p>"
    figures = []
    for slot, source in run.header.cameras.items():
        for observation, when in ((run.observations[0], "first"), (run.observations[-1], "last")):
            text = f"{slot} ({source}), {when} observation, {observation.t - start_of(run):.1f} s"
            try:
                image = run.image(observation, slot)
            except RecordingError as error:
                figures.append(f"<p class=bad>{html.escape(f'{text}: {error}')}</p>")
                continue
            size = f"{image.shape[1]}x{image.shape[0]}"
            figures.append(
                f"<figure>{inline(small_jpeg(image, FRAME_WIDTH), 'jpeg', text)}"
                f"<figcaption>{html.escape(text)}, {size}</figcaption></figure>"
            )
    return f"<div class=cams>{''.join(figures)}</div>"


def _events(run: Recording) -> str:
    rows = [(f"{event.t - start_of(run):.2f}", event.name, event.text) for event in run.events]
    return table(("s", "what", ""), rows, "facts") if rows else "<p>Nothing was noted.</p>"


def _picture(pictures: dict[str, bytes], name: str, title: str = "") -> str:
    if name not in pictures:
        return ""
    caption = CAPTIONS[name]
    return (
        f"{title}<figure>{inline(pictures[name], 'png', caption)}<figcaption>{caption}</figcaption></figure>"
    )
