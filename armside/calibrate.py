"""`armside calibrate`: an arm's zeros and ranges, and what can be checked of them. Joins the room's parts.

What it does is the one of JOBS that is given; without any it calibrates.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from armside.calib_target import add_target_arguments

# What is asked for -> the module that does it, with `run(args) -> int`.
JOBS = {
    "check": "calibrate_check",
    "against": "calibrate_against",
    "views": "calibrate_views",
    "save_views": "calibrate_views",
}
SAVED_VIEWS = "saved"  # --views without a reference
CALIBRATES = {"sts": "calibrate_so", "damiao": "calibrate_yam"}
MODES = ("mechanical", "half-turn", "pose")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.json_out import add_json_argument
    from policy_spec.frames import frame_names

    add_target_arguments(parser)
    jobs = parser.add_argument_group("instead of calibrating").add_mutually_exclusive_group()
    jobs.add_argument("--check", action="store_true", help="compare file, servo memory and mechanics; writes nothing")
    jobs.add_argument(
        "--against", metavar="BUNDLE", type=Path, help="does this arm speak the policy's language: joint by joint"
    )
    jobs.add_argument(
        "--views",
        metavar="REFERENCE",
        nargs="?",
        const=SAVED_VIEWS,
        help="live pictures beside those of a recording, a bundle or a folder; without one: beside the arm's own",
    )
    jobs.add_argument("--save-views", action="store_true", help="keep the present pictures as the arm's own")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--mode",
        choices=MODES,
        default=MODES[0],
        help="where zero comes from: the stops (mechanical), the middle pose and the sweep as LeRobot does it "
        f"(half-turn), or a drawn pose (default: {MODES[0]})",
    )
    how.add_argument("--drive", action="store_true", help="mechanical: the motors go to the stops, gently")
    how.add_argument("--from", dest="source", metavar="FILE", type=Path, help="take over a LeRobot file of this arm")
    how.add_argument(
        "--lerobot",
        choices=("auto", "always", "never"),
        default="auto",
        help="write LeRobot's own folders too; auto: those that are there already (default: auto)",
    )
    how.add_argument("--gripper", default="", metavar="TYPE", help="of a YAM: linear_4310, linear_3507, crank_4310...")
    how.add_argument("--yes", action="store_true", help="answer every question with its usual answer; nobody is asked")
    how.add_argument("--script", metavar="FILE", type=Path, help='answers by name: {"answers": {"release": "yes"}}')
    policy = parser.add_argument_group("with --against and --views")
    policy.add_argument("--norm-tag", help="the policy's norm tag, where its checkpoint has several")
    policy.add_argument("--joint-frame", choices=frame_names(), help="the policy's joint frame, never guessed")
    policy.add_argument("--no-directions", action="store_true", help="without moving joints by hand to see their signs")
    policy.add_argument("--camera", action="append", default=[], metavar="SLOT=SOURCE", help="beside the profile's")
    policy.add_argument("--picture", metavar="FILE", type=Path, help="PNG that shows the result")
    add_json_argument(parser)
    parser.epilog = (
        "examples: armside calibrate --robot so101 --id blue --port /dev/ttyACM0; "
        "armside calibrate --robot blue --check; armside calibrate --robot blue --against BUNDLE"
    )


def run(args: argparse.Namespace) -> int:
    """Does the one thing that was asked for."""
    job = next((module for name, module in JOBS.items() if getattr(args, name)), None)
    if args.source is not None and (job is not None or args.port == "sim"):
        from policy_spec.errors import UsageError, sentence

        expected = "--from alone, on a real arm's port"
        raise UsageError(sentence("--from takes over a file into an arm", expected=expected, do="leave the other out"))
    if job is None:
        from armside.calib_target import choose_target

        job = CALIBRATES[choose_target(args, needs_id=False, needs_port=False).robot.family]
    return int(importlib.import_module(f"armside.{job}").run(args))
