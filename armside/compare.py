"""`armside compare A B`: what B loses against A, on episodes of any kind: by graph, by joint, and what it gains."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.json_out import add_json_argument

    parser.add_argument("a", metavar="A", type=Path, help="the reference: a bundle, usually in full precision")
    parser.add_argument("b", metavar="B", type=Path, help="the bundle in question")
    add_sample_arguments(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, help="write report.md and report.html there")
    add_json_argument(parser)


def add_sample_arguments(parser: argparse._ActionsContainer) -> None:
    """Which samples, and how they are run; `armside report BUNDLE --against` has them too."""
    parser.add_argument(
        "--episodes",
        metavar="SOURCE",
        help="a LeRobot dataset (folder or hub id), a recording of armside run, or a folder with states.json; "
        "without it the golden observation and variations of it",
    )
    parser.add_argument("--samples", type=int, default=16, metavar="N", help="observations (default: 16)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="timed calls of each (default: 5; 0: none)")
    parser.add_argument("--norm-tag", metavar="TAG", help="where the checkpoint has several")
    parser.add_argument("--threads", type=int, default=0, help="of the engine (default: one per core)")
    parser.add_argument("--load", choices=("all", "turn"), default="all", help="graphs in memory: all, or in turn")
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory, which opens each bundle again")


def run(args: argparse.Namespace) -> int:
    """Compares, prints the tables, writes the page."""
    from armside.compare_all import compare_bundles, options_of, result
    from armside.compare_page import page
    from armside.compare_print import show
    from armside.json_out import give
    from armside.page import write_page
    from armside.progress import stages

    with stages() as progress:
        compared = compare_bundles(args.a, args.b, options_of(args), progress)
    show(compared)
    if args.out:
        paths = write_page(args.out, page(compared))
        print(f"{paths[1]}: the page; {paths[0].name} beside it")
    give(args.json, result(compared))
    return 0
