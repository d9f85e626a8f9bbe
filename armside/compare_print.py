"""A comparison on the terminal: the page's words and tables."""

from __future__ import annotations

from armside.compare_page import Compared, cost_parts, error_parts, summary
from armside.page import Part, Table, Title, Words


def show(compared: Compared) -> None:
    """Prints it."""
    print(summary(compared))
    show_parts([*error_parts(compared), *cost_parts(compared)])


def show_parts(parts: list[Part]) -> None:
    """Titles, words and tables; pictures are the page's."""
    from rich import table
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    for part in parts:
        if isinstance(part, Title):
            console.print(f"\n[bold]{escape(part.text)}[/bold]", highlight=False)
        elif isinstance(part, Words):
            console.print(escape(part.text), highlight=False)
        elif isinstance(part, Table):
            grid = table.Table(box=None, pad_edge=False)
            for number, name in enumerate(part.columns):
                grid.add_column(escape(name), justify="left" if number == 0 or name in part.left else "right")
            for row in part.rows:
                grid.add_row(*(escape(cell) for cell in row))
            console.print(grid)
