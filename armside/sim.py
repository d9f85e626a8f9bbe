"""`armside sim`: the simulated arm at its table: what a machine needs for it, its scenes, and recording its experts.

Each word is a module of its own with `add_arguments` and `run`.
"""

from __future__ import annotations

import argparse
import importlib

# word -> module, what it does
WORDS: dict[str, tuple[str, str]] = {
    "setup": ("sim_setup", "install what drawing without a display needs: one system package"),
    "view": ("sim_view", "show a scene: what lies where, what is asked for, a picture of each camera"),
    "record": ("sim_record", "record episodes of the experts as a LeRobot dataset"),
    "points": ("sim_points", "draw scenes and ask where things are in them, to learn to see from"),
}
EXAMPLES = (
    "examples: armside sim setup; armside sim view reach:0 --out scene.png; "
    "armside sim record data/reach --task reach --episodes 100 --jobs 2"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words."""
    parser.epilog = EXAMPLES
    words = parser.add_subparsers(metavar="WORD", dest="word", required=True)
    for name, (module, summary) in WORDS.items():
        word = words.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        found = importlib.import_module(f"armside.{module}")
        found.add_arguments(word)
        word.set_defaults(run_word=found.run)
        word.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """The word that was given."""
    return int(args.run_word(args))
