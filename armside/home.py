"""`armside home`: slowly to the home pose, with the limits on."""

from __future__ import annotations

import argparse

import armside.armed as arms

EXAMPLES = "examples: armside home --robot so101 --port sim; armside home --robot blue --live --speed 0.2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    arms.add_move_arguments(parser, "held where the servos can, else parked")
    parser.epilog = f"The pose is the profile's poses.home, else the arm's own. {EXAMPLES}"


def run(args: argparse.Namespace) -> int:
    """Moves, and says where it ended."""
    import numpy as np

    choice = arms.choose_to_move(args, "home", exit=args.exit)
    with arms.armed(choice, arms.holding(choice)) as arm:
        return arms.tell(arm, arms.go(arm, np.array(arm.info.home_pose), args.speed))
