"""`armside report RUN|BUNDLE`: a recording, or a bundle and its cost, as one HTML page that needs no network."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.compare import add_sample_arguments

    parser.add_argument(
        "run_folder", metavar="RUN|BUNDLE", type=Path, help="what armside run --record or armside export wrote"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="where to write it (default: into the recording; beside the bundle)"
    )
    bundles = parser.add_argument_group("of a bundle")
    bundles.add_argument(
        "--against", metavar="A", type=Path, help="a bundle in full precision: what was lost, by joint"
    )
    bundles.add_argument("--sensitivity", metavar="FILE", type=Path, help="by armside quant sensitivity: its plot")
    add_sample_arguments(bundles)


def run(args: argparse.Namespace) -> int:
    """Writes the page and its plots, and says where."""
    if (args.run_folder / "manifest.json").is_file():
        from armside.bundle_report import report_bundle
        from armside.progress import stages

        with stages() as progress:
            page = report_bundle(args, progress)
        print(f"{page}: predictions, latency, memory, errors, the plan; report.md beside it")
        return 0
    from episodes.report import make_report

    page = make_report(args.run_folder, args.out)
    print(f"{page}: latency, cadence and joints; plots as PNG in {page.parent / 'plots'}")
    return 0
