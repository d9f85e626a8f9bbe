"""`armside data show|stats|repair`: look at datasets, make the norm_stats.json of some, mend an interrupted one."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.data_args import add_frame_arguments
    from armside.json_out import add_json_argument

    words = parser.add_subparsers(metavar="WORD", dest="word", required=True)
    show = words.add_parser(
        "show",
        help="what a dataset holds, and a picture of it",
        description="Shows episodes, tasks, cameras and joints, and draws frames of some episodes into one picture.",
        epilog="DATASET: a LeRobot dataset (v3.0, v2.1), on disk or OWNER/NAME[@REVISION] of the hub; a recording of "
        "armside run; or a folder with states.json.",
    )
    show.add_argument("dataset", metavar="DATASET", help="what to look at")
    show.add_argument("--sheet", metavar="FILE", type=Path, help="write frames of some episodes to this PNG")
    show.add_argument("--episodes", type=int, default=6, metavar="N", help="rows of the picture (default: 6)")
    show.add_argument("--frames", type=int, default=6, metavar="N", help="frames in a row (default: 6)")
    stats = words.add_parser(
        "stats",
        help="write the norm_stats.json of datasets of one robot",
        description="Exact percentiles of states and actions over every frame, in the released format.",
    )
    stats.add_argument("datasets", metavar="DATASET", nargs="+", help="LeRobot datasets, on disk or on the hub")
    stats.add_argument("-o", "--out", metavar="FILE", type=Path, required=True, help="the norm_stats.json to write")
    _add_words(stats)
    add_frame_arguments(stats)
    repair = words.add_parser("repair", help="finish an episode that was being added when a recording was killed")
    repair.add_argument("dataset", metavar="DATASET", type=Path, help="a folder that armside wrote")
    for word in (show, stats, repair):
        add_json_argument(word)
        word.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _add_words(stats: argparse.ArgumentParser) -> None:
    """What norm_stats.json says beside numbers."""
    stats.add_argument("--tag", help="name of the entry (default: the first dataset's name)")
    stats.add_argument("--setup", metavar="TEXT", help="the robot in words, as the prompt says it (known for SO, YAM)")
    stats.add_argument(
        "--control", metavar="TEXT", default="absolute joint pose", help="(default: absolute joint pose)"
    )
    stats.add_argument("--horizon", type=int, metavar="H", help="steps of a chunk (default: those of one second)")
    stats.add_argument("--steps", type=int, metavar="N", help="of them executed at most (default: all)")
    stats.add_argument(
        "--camera",
        action="append",
        metavar="NAME",
        help="once for each camera, in the prompt's order (default: all of the first dataset)",
    )
    stats.add_argument(
        "--gripper",
        choices=("quantiles", "range", "raw"),
        help="scaled as other joints, by its least and greatest value, or not at all (default: raw where joints are in "
        "radians, as released for YAM; else quantiles, as released for SO-101)",
    )
    stats.add_argument("--add", action="store_true", help="add the entry to a file that is there")
    stats.add_argument("--overwrite", action="store_true", help="replace a file, or an entry, that is there")


def run(args: argparse.Namespace) -> int:
    """Shows, counts or repairs."""
    if args.word == "show":
        from armside.data_show import show

        return show(args)
    if args.word == "stats":
        from armside.data_stats import write_stats

        return write_stats(args)
    return _repair(args)


def _repair(args: argparse.Namespace) -> int:
    from armside.json_out import give
    from episodes.lerobot.commit import lock, recover
    from episodes.lerobot.dataset import open_dataset

    mended = False
    if args.dataset.is_dir():
        held = lock(args.dataset)  # what is being written is not broken
        try:
            mended = recover(args.dataset)
        finally:
            os.close(held)
    with open_dataset(args.dataset) as dataset:
        count = len(dataset.lengths)
    print(f"{args.dataset}: {'an episode was finished' if mended else 'nothing was left to do'}; {count} episodes")
    give(args.json, {"format": "armside-data-repair", "version": 1, "finished": mended, "episodes": count})
    return 0
