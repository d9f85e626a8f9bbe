"""`armside doctor`: what is missing on this machine, and what to do. Exits 1 where something needed is."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from armside.checks import Check


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "--for",
        dest="needed",
        choices=("edge", "export", "train"),
        default="edge",
        help="what the machine is to do: run an arm (edge, the default), make bundles (export), or train",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    """Prints one line for each check."""
    from armside.checks import MISSING, Machine, all_checks

    checks = list(all_checks(Machine.this_one(), args.needed))
    if args.json:
        print(json.dumps([dataclasses.asdict(check) for check in checks], indent=1))
    else:
        show(checks)
        missing = ", ".join(check.name for check in checks if check.state == MISSING)
        print(f"\nmissing for `{args.needed}`: {missing}" if missing else f"\nready for `{args.needed}`")
    return int(any(check.state == MISSING for check in checks))


def show(checks: list[Check]) -> None:
    """The checks as a table, each group under its first line."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colours = {"ok": "green", "note": "yellow", "missing": "bold red"}
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "state", "found", "what to do"):
        table.add_column(column, overflow="fold")
    group = None
    for check in checks:
        state = f"[{colours[check.state]}]{check.state}[/]"
        do = check.do if check.state != "ok" else ""
        start = check.group if check.group != group else ""
        # Escaped: rich would take the brackets of armside[edge] for a style.
        table.add_row(start, check.name, state, escape(check.text), escape(do))
        group = check.group
    console = Console()
    if not console.is_terminal:  # a log has no width
        console = Console(width=140)
    console.print(table)
