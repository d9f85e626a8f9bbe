"""`armside doctor`: what is missing on this machine, and what to do. Exits 1 where something needed is."""

from __future__ import annotations

import argparse
import dataclasses
import json


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
    missing = [check for check in checks if check.state == MISSING]
    if args.json:
        print(json.dumps([dataclasses.asdict(check) for check in checks], indent=1))
        return bool(missing)
    from rich.console import Console
    from rich.table import Table

    colours = {"ok": "green", "note": "yellow", "missing": "bold red"}
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "state", "found", "what to do"):
        table.add_column(column, overflow="fold")
    group = None
    for check in checks:
        state = f"[{colours[check.state]}]{check.state}[/]"
        do = check.do if check.state != "ok" else ""
        table.add_row(check.group if check.group != group else "", check.name, state, check.text, do)
        group = check.group
    console = Console()
    console.print(table, width=None if console.is_terminal else 140)
    words = ", ".join(check.name for check in missing)
    print(f"\nmissing for `{args.needed}`: {words}" if missing else f"\nready for `{args.needed}`")
    return bool(missing)
