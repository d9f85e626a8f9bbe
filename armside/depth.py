"""`armside depth label DATASET`: depth maps become the codes that a thinking policy is taught to say before it acts."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words."""
    words = parser.add_subparsers(metavar="WORD", dest="word", required=True)
    label = words.add_parser(
        "label",
        help="add a column of 100 depth codes to a dataset",
        description="Fits a small VQ autoencoder on the dataset's depth maps (or takes one), writes for every frame "
        "the code of each of 10 x 10 cells as depth_buffer_codes, and measures what the codes lose.",
        epilog="examples: armside sim record data/deep --depth; armside depth label data/deep; armside depth label "
        "data/mine --autoencoder data/deep.depth; armside depth label data/old --monocular DEPTH-MODEL",
    )
    label.add_argument("dataset", metavar="DATASET", type=Path, help="a LeRobot dataset (v3.0) on this machine")
    what = label.add_argument_group("what is labelled")
    what.add_argument(
        "--camera",
        action="append",
        metavar="NAME",
        help="whose depth: the camera that the policy is shown first (default: the dataset's first). Given several "
        "times, each has a column of its own, for training with shuffled cameras",
    )
    what.add_argument("--depth", metavar="NAME", help="the depth camera of --camera (default: NAME_depth)")
    what.add_argument(
        "--monocular",
        metavar="MODEL",
        help="guess depth from pictures by this model: a folder, or OWNER/NAME on the hub",
    )
    what.add_argument(
        "--every-frame",
        action="store_true",
        help="each frame has codes of its own; left out, a cell keeps its code until its picture changes, as when a "
        "policy runs",
    )
    how = label.add_argument_group("the autoencoder")
    how.add_argument("--autoencoder", metavar="FOLDER", type=Path, help="take this one; left out, one is fitted")
    how.add_argument("--keep", metavar="FOLDER", type=Path, help="where it is fitted (default: DATASET.depth)")
    how.add_argument("--steps", type=int, default=1500, metavar="N", help="of the fit (default: 1500)")
    how.add_argument("--maps", type=int, default=8000, metavar="N", help="that it is fitted on at most (default: 8000)")
    how.add_argument("--seed", type=int, default=0, metavar="S", help="of the fit (default: 0)")
    from armside.json_out import add_json_argument

    add_json_argument(label)
    label.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Labels."""
    from armside.depth_label import label

    return label(args)
