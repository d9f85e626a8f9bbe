"""The tables of `armside plan` for a person."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from armside.plan_stages import Counted
from armside.plan_table import Board
from armside.say import milliseconds, size
from quant.auto import Candidate
from quant.roofline import TOO_BIG, room

NOTE = (
    "Predictions, counted from the graphs' shapes; nothing was timed. floor: the longer of computing and reading,\n"
    "stage by stage, at the shares of the data sheet that the best kernels reach (in brackets: by the data sheet\n"
    "alone; a measurement below it is a mistake). expected: the floor times what calls of this model took elsewhere.\n"
    "built in: the memory that making the engines takes; elsewhere: only on a larger computer of the same kind.\n"
    "Loading, pictures and the host's work are not in it. docs/quantization.md says how all of it is made."
)


def facts(counted: Counted, source: str) -> str:
    """What is planned, and what one call of it computes."""
    sizes = counted.sizes
    lines = [
        f"{source}: mode {sizes.variant.mode}, {sizes.cameras} cameras, prompts of {sizes.bracket} tokens, horizon "
        f"{sizes.horizon}",
        "one call: "
        + "; ".join(
            f"{s.name} {s.count.operations * s.runs / 1e12:.3g} TOP"
            + (f" in {s.runs} runs" if s.runs > 1 else "")
            + (f" ({s.note})" if s.note else "")
            for s in counted.stages
        ),
    ]
    return "\n".join(lines)


def show(rows: list[Board]) -> None:
    """A table for each board, and what each column means."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    for board in rows:
        console.print()
        console.print(_table(board))
        for line in _words(board):
            console.print(escape(line), highlight=False)
    console.print()
    console.print(escape(NOTE), highlight=False)


def _table(board: Board) -> Table:
    target = board.target
    rates = f"{target.bandwidth_gbs:g} GB/s, {target.tera[target.float_type]:g} TFLOPS {target.float_type}, "
    title = f"{target.name}: {target.about}; {rates}{target.tera['int8']:g} TOPS int8, dense"
    table = Table(title=escape(title), title_justify="left", box=None, pad_edge=False)
    table.add_column("precision")
    names = [stage.name for stage in board.rows[0].prediction.stages] if board.rows else []
    columns = ("bundle", "runs in", "", "built in", *(f"{n} ms" for n in names), "floor ms", "expected ms")
    for column in columns:
        table.add_column(column, justify="left" if column == "" else "right")
    for candidate in board.rows:
        table.add_row(*(escape(cell) for cell in _cells(board, candidate)))
    return table


def _cells(board: Board, candidate: Candidate) -> list[str]:
    p, m = candidate.prediction, candidate.prediction.memory
    mark = " *" if board.auto and board.auto.plan.precision == candidate.plan.precision else ""
    stages = [milliseconds(stage.floor) for stage in p.stages]
    floor, expected = (
        f"{milliseconds(p.floor)} ({milliseconds(p.spec)})",
        f"{milliseconds(p.least)} to {milliseconds(p.most)}",
    )
    built = size(m.build) + (" elsewhere" if room(board.target, m.build) == TOO_BIG else "")
    words = [candidate.plan.precision + mark, size(m.weights), size(m.run), m.fits, built]
    return [*words, *stages, floor, expected]


def _words(board: Board) -> list[str]:
    target = board.target
    lines = []
    if board.auto:
        lines.append(f"* --precision auto: {board.auto.plan.precision} {board.auto.why}")
    elif board.why_none:
        lines.append(board.why_none)
    lines.append(f"usable memory {target.usable_gb[0]:g} GB (a desktop runs) to {target.usable_gb[1]:g} GB (headless)")
    software = "; ".join(
        ", ".join(
            part
            for part in (
                s.system,
                f"CUDA {s.cuda}" if s.cuda else "",
                f"TensorRT {s.tensorrt}" if s.tensorrt else "",
                f"Python {s.python}",
            )
            if part
        )
        for s in target.software
    )
    lines.append(software)
    return lines + [f"refused: {name}: {why}" for name, why in board.refused]
