"""`armside check-arm`: small slow moves through the bridge, and what they say of each joint, with a verdict.

Joins calib.health with an arm, a terminal and the folder of earlier checks. Exit code 1 where something is bad or the
check did not come to its end, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import armside.armed as arms

if TYPE_CHECKING:
    from armside.arm_args import ArmChoice
    from armside.check_arm_drive import Checked
    from calib.health.plan import Exercise
    from calib.health.result import Health

EXAMPLES = (
    "examples: armside check-arm --robot blue --live; "
    "armside check-arm --robot blue --live --quick --joint elbow_flex; "
    "armside check-arm --robot blue --live --json - > blue.json"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    arms.add_move_arguments(parser, "held where the servos can, else parked")
    parser.set_defaults(speed=None)  # --quick has its own
    parser.add_argument("--quick", action="store_true", help="once instead of three times, faster: about half a minute")
    parser.add_argument("--joint", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--home", action="store_true", help="go to the home pose first, slowly; default: from here")
    parser.add_argument(
        "--amplitude", type=float, default=4.0, metavar="DEG", help="how far each joint goes, both ways (default: 4)"
    )
    parser.add_argument("--json", metavar="FILE", help="all numbers for programs; - for stdout, words then to stderr")
    parser.add_argument("--picture", metavar="FILE", type=Path, help="PNG of each joint's way, there and back")
    parser.add_argument("--no-save", action="store_true", help="leave the folder of earlier checks as it is")
    parser.epilog = EXAMPLES


def run(args: argparse.Namespace) -> int:
    """Checks, tells, saves."""
    with contextlib.redirect_stdout(sys.stderr) if args.json == "-" else contextlib.nullcontext():
        checked = check(args)
    if checked is None:
        return 1
    if args.json == "-":
        from calib.health.result import to_json

        print(to_json(checked.health), end="", flush=True)
    if checked.stopped:
        return 130
    return 0 if checked.health.verdict in ("good", "worn") else 1


def check(args: argparse.Namespace) -> Checked | None:
    """The whole, but for the JSON on stdout."""
    from armside.check_arm_drive import drive
    from calib.health.plan import at_its_pace
    from firmware_bridge.robots import find

    exercise = exercise_of(args)
    args.speed = exercise.speed
    choice = arms.choose_to_move(args, "check-arm", exit=args.exit)
    exercise = at_its_pace(exercise, find(choice.profile.type).family)
    with arms.armed(choice, arms.holding(choice)) as arm:
        checked = drive(arm, choice, exercise, tuple(args.joint), args.home)
    if checked is None:
        return None
    checked = dataclasses.replace(checked, health=finish(checked.health, choice, args))
    if args.picture is not None:
        from calib.health.picture import write_png

        write_png(checked.series, checked.marks, checked.health, args.picture)
        print(f"written: {args.picture}", flush=True)
    return checked


def exercise_of(args: argparse.Namespace) -> Exercise:
    """What the words ask for, files included. Raises UsageError."""
    from calib.health.plan import QUICK, Exercise
    from policy_spec.errors import UsageError, sentence

    for path in (args.json, args.picture):  # before anything moves
        if path not in (None, "-") and not Path(path).absolute().parent.is_dir():
            raise UsageError(sentence(f"{path} cannot be written", expected="a file in a folder that exists"))
    if not 1.5 <= args.amplitude <= 20.0:
        raise UsageError(sentence("--amplitude", expected="1.5 to 20 degrees", got=args.amplitude))
    exercise = QUICK if args.quick else Exercise()
    speed = exercise.speed if args.speed is None else args.speed
    return dataclasses.replace(exercise, amplitude_deg=args.amplitude, speed=speed)


def finish(health: Health, choice: ArmChoice, args: argparse.Namespace) -> Health:
    """Compares it with the last one, says it, and saves it: what is known is kept, whatever ended it."""
    from armside.calib_target import state_folder
    from calib.health import history
    from calib.health.words import report

    profile = choice.profile
    folder = state_folder() / "check-arm" / profile.name
    if not health.facts.simulated:
        health = history.compared(health, history.last(folder, "" if profile.id else health.facts.fingerprint))
    print("\n".join(report(health)), flush=True)
    if not (args.no_save or health.facts.simulated):
        print(f"kept: {history.save(folder, health)}", flush=True)
    if args.json not in (None, "-"):
        history.write(Path(args.json), health)
        print(f"written: {args.json}", flush=True)
    return health
