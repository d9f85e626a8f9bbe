"""The table and the chart of bench.ablations. Takes an evaluation's result and the runs' logs; measures nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from train.trainer.events import read_log

LAST = 0.1  # share of the logged steps that the loss is a mean of
PNG_SIZE = (7.2, 3.2)  # inches


def page(out: Path, result: Mapping[str, Any], said: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    """Writes ablations.json, .md and .png, each whole or not at all; gives the Markdown.

    result: results.json of `armside eval`; said: variant -> its words, the first is what others are compared with.
    """
    from calib.store import write_whole

    rows = [row_of(out, name, words, result) for name, words in said.items()]
    data = {"format": "armside-bench-ablations", "version": 1, **facts, "rows": rows}
    text = markdown(rows, facts)
    write_whole(out / "ablations.json", (json.dumps(data, indent=1) + "\n").encode())
    write_whole(out / "ablations.md", (text + "\n").encode())
    draw(out / "ablations.png", rows, facts)
    return text


def row_of(out: Path, name: str, words: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """One variant: how it trained, how often it succeeded, how that differs from the first."""
    found = next(row for row in result["rows"] if row["policy"] == name)
    against = next((d["difference"] for d in result["differences"] if d["policy"] == name), None)
    keys = ("episodes", "successes", "rate", "low", "high", "seconds", "path_rad")
    return {"name": name, "said": words, "loss": loss(out / "runs" / name), "difference": against} | {
        key: found[key] for key in keys
    }


def loss(run: Path) -> float | None:
    """Mean flow loss of the last steps that were logged. None where nothing was."""
    logged = [float(line["flow"]) for line in read_log(run) if line["kind"] == "step"]
    kept = logged[-max(1, round(LAST * len(logged))) :]
    return sum(kept) / len(kept) if kept else None


def markdown(rows: list[dict[str, Any]], facts: Mapping[str, Any]) -> str:
    """The table."""
    lines = [
        f"{facts['steps']} steps of {facts['batch']} rows each, seed {facts['seed']}; reach on {rows[0]['episodes']} "
        "held-out scenes, the same for all; 95 % intervals (Wilson; of differences Bonett and Price)",
        "",
        "| variant | flow loss at the end | success | interval | against the first, points | interval | time |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [line(row) for row in rows])


def line(row: Mapping[str, Any]) -> str:
    """One row."""
    loss, seconds, other = row["loss"], row["seconds"], row["difference"]
    cells = [row["said"], "-" if loss is None else f"{loss:.4f}", f"{100 * row['rate']:.1f} %"]
    cells.append(f"{100 * row['low']:.1f} to {100 * row['high']:.1f}")
    if other is None:
        cells += ["", ""]
    else:
        cells += [f"{100 * other['value']:+.1f}", f"{100 * other['low']:+.1f} to {100 * other['high']:+.1f}"]
    return "| " + " | ".join([*cells, "-" if seconds is None else f"{seconds:.2f} s"]) + " |"


def draw(path: Path, rows: list[dict[str, Any]], facts: Mapping[str, Any]) -> None:
    """A bar for each variant with its interval."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=PNG_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.add_subplot()
    places = range(len(rows))[::-1]
    rates = [100 * row["rate"] for row in rows]
    below = [100 * max(0.0, row["rate"] - row["low"]) for row in rows]
    above = [100 * max(0.0, row["high"] - row["rate"]) for row in rows]
    panel.barh(places, rates, height=0.6, color="#7fa6d0", xerr=[below, above], capsize=4, ecolor="#1c2430")
    panel.set_yticks(places, [row["said"] for row in rows])
    panel.set_xlim(0, 100)
    panel.set_xlabel(f"reach: success on {rows[0]['episodes']} held-out scenes, %; {facts['steps']} steps each")
    panel.grid(axis="x", alpha=0.3)
    half = path.with_name(f".{path.name}")
    figure.savefig(half, dpi=110, format="png")
    half.replace(path)
