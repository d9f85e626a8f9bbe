"""The tables and the chart of bench.precisions. Takes its result, gives Markdown and a PNG. Measures nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Result = dict[str, Any]
HEAD = (
    "| | faster than eager torch | ms (p50) | bundle MB | peak GB | action cosine | max abs | where the time goes |\n"
    "|---|---|---|---|---|---|---|---|"
)
PNG_SIZE = (8.0, 4.6)  # inches
LEAST = 1e-7  # of 1 - cosine, that it can be drawn on a logarithmic axis


def markdown(result: Result, short: bool = False) -> str:
    """The table; short: of the precisions alone."""
    wanted = [row for row in result["rows"] if not short or row["kind"] != "scheme"]
    eager = [row["eager_ms"] for row in result["rows"] if row["timed"]]
    lines = [
        f"{result['checkpoint']}, prompt {result['prompt_tokens']} tokens; eager float32 torch {result['torch']}: "
        f"{min(eager, default=0):.0f} to {max(eager, default=0):.0f} ms beside the rows; {result['rounds']} rounds; "
        f"errors: worst of {result['samples']} samples",
        "",
        HEAD,
    ]
    return "\n".join(lines + [line(row) for row in wanted])


def line(row: Result) -> str:
    """One row."""
    error = f"{row['cosine']:.6f} | {row['max_abs']:.2g}"
    if not row["timed"]:
        return f"| {row['name']} | - | - | - | - | {error} | |"
    return (
        f"| {row['name']} | {row['faster']:.2f}x | {row['call_ms']:.0f} | {row['bytes'] / 1e6:.0f} | "
        f"{row['peak_gb']:.2f} | {error} | {where(row['where'])} |"
    )


def where(shares: Result) -> str:
    """What bounds the rest of the gain (Amdahl): products, what converts for them, the largest others."""
    others = ", ".join(f"{name} {share:.0%}" for name, share in shares["rest"][:3])
    return f"products {shares['products']:.0%}, conversions {shares['conversions']:.0%}, {others}"


def write_png(path: Path, result: Result) -> None:
    """Error against speed; the area of a dot is the size of the bundle."""
    from matplotlib.figure import Figure

    rows = [row for row in result["rows"] if row["timed"]]
    figure = Figure(figsize=PNG_SIZE, dpi=130, layout="constrained")
    panel = figure.add_subplot()
    largest = max(row["bytes"] for row in rows)
    for kind, colour in (("scheme", "#b9c4cc"), ("precision", "#1f6f8b")):
        mine = [row for row in rows if row["kind"] == kind]
        panel.scatter(
            [row["faster"] for row in mine],
            [max(1 - row["cosine"], LEAST) for row in mine],
            s=[600 * row["bytes"] / largest for row in mine],
            color=colour,
            alpha=0.8,
            label=f"{kind}s" if kind == "precision" else "one scheme, language model alone",
        )
    for row in rows:
        if row["kind"] == "precision":
            place = (row["faster"], max(1 - row["cosine"], LEAST))
            label = f"{row['name']}\n{row['bytes'] / 1e6:.0f} MB"
            panel.annotate(label, place, (7, 5), textcoords="offset points", fontsize=8)
    panel.axhline(1e-3, color="#999999", linewidth=0.8, linestyle="--")
    panel.text(0.01, 1.1e-3, "cosine 0.999", transform=panel.get_yaxis_transform(), fontsize=7, color="#666666")
    panel.set_yscale("log")
    panel.set_xlabel("times faster than eager float32 torch, whole call")
    panel.set_ylabel("1 - cosine of actions, worst sample")
    panel.margins(x=0.15, y=0.12)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8, loc="lower right", markerscale=0.4)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png")
    temporary.replace(path)
