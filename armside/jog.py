"""`armside jog`: single joints slowly, by numbers (`shoulder_pan=+5deg`) or with the keys of a terminal."""

from __future__ import annotations

import argparse
import sys

import armside.armed as arms


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "moves",
        metavar="JOINT=VALUE",
        nargs="*",
        help="shoulder_pan=+5deg moves by, shoulder_pan=20deg moves to, shoulder_pan=@-20deg to a negative one, "
        "gripper=0.3 or 30%%; without any: with keys, in a terminal",
    )
    arms.add_move_arguments(parser, "held where the servos can, else parked")
    parser.epilog = (
        "keys: arrows choose a joint and move it, [ ] change the step, space stops, e is the emergency stop, q ends. "
        "examples: armside jog --robot so101 --port sim; "
        "armside jog --robot blue --live shoulder_pan=+5deg elbow_flex=@-10deg gripper=0.3"
    )


def run(args: argparse.Namespace) -> int:
    """Moves, and says where it ended."""
    from armside.jog_words import wishes
    from firmware_bridge.moves import goal_of
    from firmware_bridge.robots import ROBOTS
    from policy_spec.errors import UsageError, sentence

    if not args.moves and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(sentence("jog without numbers needs a terminal", expected="JOINT=VALUE, or a terminal"))
    choice = arms.choose_to_move(args, "jog", exit=args.exit)
    moves = wishes(args.moves, ROBOTS[choice.profile.type].grippers)
    with arms.armed(choice, arms.holding(choice)) as arm:
        if not moves:
            from armside.jog_keys import Jogger

            return Jogger(arm, args.speed).run()
        status = arm.client.status(timeout_s=1.0)
        return arms.tell(arm, arms.go(arm, goal_of(arm.info, status.commanded, moves), args.speed))
