"""`armside park`: slowly to the park pose, with the limits on, then torque off."""

from __future__ import annotations

import argparse
import sys

import armside.armed as arms

EXAMPLES = "examples: armside park --robot so101 --port sim; armside park --robot blue --live --speed 0.2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    arms.add_move_arguments(parser)
    parser.set_defaults(exit=None)
    parser.epilog = f"The pose is the profile's poses.park, else the arm's own. {EXAMPLES}"


def run(args: argparse.Namespace) -> int:
    """Moves, lets the bridge switch the torque off there, and says where it ended."""
    import numpy as np

    choice = arms.choose_to_move(args, "park", exit="park")
    with arms.armed(choice, "park") as arm:
        code = arms.tell(arm, arms.go(arm, np.array(arm.info.park_pose), args.speed))
        if code:
            arm.policy = arms.holding(choice)  # something was in its way, or Ctrl-C: no further move
        elif not arms.park(arm):
            arm.policy = arms.holding(choice)
            code = 130
        else:
            status = arm.client.status(timeout_s=1.0)
            if status.torque != "off":
                print(f"armside: not parked: {status.fault or status.note}", file=sys.stderr)
                arm.policy, code = arms.holding(choice), 1
        return code
