"""`armside report RUN`: a recording as one HTML page that opens without a network."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "run_folder", metavar="RUN", type=Path, help="the folder that armside run --record wrote"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="where to write it (default: into the recording)"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the page and its plots, and says where."""
    from episodes.report import make_report

    page = make_report(args.run_folder, args.out)
    print(f"{page}: latency, cadence and joints; plots as PNG in {page.parent / 'plots'}")
    return 0
