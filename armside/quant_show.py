"""The table of a measured sensitivity for a person: worst first, by what the action feels."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from armside.say import size
from quant.loss import Measured
from quant.sensitivity_file import Sensitivity

MOST = 60  # rows; the JSON has all


def show(found: Sensitivity) -> None:
    """The table and what its columns mean."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=170)
    console.print(_table(found))
    for line in words(found):
        console.print(escape(line), highlight=False)


def ranked(found: Sensitivity) -> list[Measured]:
    """The part that moves the action most first."""
    return sorted(found.rows, key=lambda row: -row.action_worst)


def words(found: Sensitivity) -> list[str]:
    """What the numbers are."""
    target = "the recorded actions" if found.recorded else "the float model's own chunk"
    lines = [
        f"{len(found.samples)} samples of {found.source}; each part alone, all else float32. K/V: root mean square of "
        "the difference, as a share.",
        f"velocity: mean squared difference from the float model's; flow loss: towards {target}, float32 has "
        f"{found.flow:.4g}.",
        f"action: largest difference of the normalised chunk, and in the unit of its joint; another noise seed moves "
        f"it by {found.control:.3g}.",
    ]
    worst = ranked(found)[0]
    sample = found.samples[worst.action_sample]
    lines.append(
        f"worst of all: {worst.part} in {worst.scheme}, sample {worst.action_sample}: {sample.place} ({sample.why})"
    )
    return lines


def _table(found: Sensitivity) -> Table:
    table = Table(title=escape(f"Sensitivity of {found.checkpoint}"), title_justify="left", box=None, pad_edge=False)
    for name in ("part", "scheme"):
        table.add_column(name)
    for name in ("saves", "K/V worst", "layer", "velocity", "flow loss", "action", "", "joint", "sample", "cosine"):
        table.add_column(name, justify="right")
    for row in ranked(found)[:MOST]:
        table.add_row(
            row.part,
            row.scheme,
            size(row.saved),
            f"{row.kv_worst:.2%}" if row.kv_worst else "-",
            str(row.kv_layer) if row.kv_worst else "-",
            f"{row.velocity:.2e}",
            f"{row.flow:.4g}",
            f"{row.action_worst:.2e}",
            found.amount(row),
            found.joints[row.action_joint].name,
            str(row.action_sample),
            f"{row.cosine:.6f}",
        )
    return table
