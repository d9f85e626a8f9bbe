"""`armside setup-motors`: the motors of a new arm get their ids, one at a time. Joins a terminal and calib/setup.

An SO arm's servos are written. A YAM's motors are only read: the maker's tool sets their ids, and this tells which.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from armside.calib_target import add_target_arguments, choose_target, refuse_running, state_folder
from policy_spec.errors import Cancelled, UsageError, sentence

if TYPE_CHECKING:
    from armside.calib_target import Target
    from calib.setup.flow import Result
    from calib.setup.progress import Progress
    from calib.setup.yam import Survey

WAIT_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    add_target_arguments(parser)
    parser.add_argument("--only", default="", metavar="JOINT", help="one motor, such as one that was replaced")
    parser.add_argument("--restart", action="store_true", help="forget what was done before and begin again")
    parser.add_argument(
        "--no-cycle", action="store_true", help="without unplugging each motor to see that it remembers"
    )
    parser.add_argument(
        "--wait", type=float, default=WAIT_S, metavar="S", help=f"for hands, in seconds (default: {WAIT_S:g})"
    )
    parser.add_argument(
        "--gripper", default="", metavar="TYPE", help="of a YAM: linear_4310, linear_3507, crank_4310..."
    )
    parser.add_argument(
        "--yes", action="store_true", help="answer every question with its usual answer; nobody is asked"
    )
    parser.add_argument("--script", metavar="FILE", type=Path, help='answers by name: {"answers": {"chain": "skip"}}')
    parser.epilog = (
        "examples: armside setup-motors --robot so101 --id blue --port /dev/ttyACM0; "
        "armside setup-motors --robot blue --only elbow_flex"
    )


def run(args: argparse.Namespace) -> int:
    """By the arm's family."""
    target = choose_target(args, needs_id=False, needs_port=False)
    if target.port == "sim":
        raise UsageError(sentence("a virtual arm has its ids", expected="the port of a real arm", got="--port sim"))
    target = _with_port(target)
    refuse_running(target)
    return _yam(args, target) if target.robot.family == "damiao" else _so(args, target)


def _with_port(target: Target) -> Target:
    """The port that was named, else the only one that it can be. Raises UsageError."""
    import dataclasses

    from calib.ports import Place, look

    if target.port:
        return target
    can = target.robot.family == "damiao"
    likely = [port for port in look(Place()) if port.likely and port.speaks_can == can]
    if len(likely) != 1 or len(target.robot.bodies) != 1:
        got = ", ".join(port.device for port in likely) or "none"
        do = "armside find-port tells which it is; then --port PORT"
        raise UsageError(sentence("which port is the arm on", expected="--port, or one known adapter", got=got, do=do))
    print(f"port: {likely[0].name}, the only known adapter")
    return dataclasses.replace(target, profile=target.profile.having(port=likely[0].name))


def _so(args: argparse.Namespace, target: Target) -> int:
    from armside.person_args import person_of
    from calib.setup.any_baud import AnyBaud
    from calib.setup.flow import Plan, run
    from calib.setup.progress import Progress

    if args.only and args.only not in target.robot.joints:
        raise UsageError(sentence("--only", expected=" or ".join(target.robot.joints), got=args.only))
    path = state_folder() / "setup" / f"{target.profile.name}.json"
    if args.restart:
        path.unlink(missing_ok=True)
    progress = Progress.load(path, target.robot.name)
    plan = Plan(target.robot, args.only, not args.no_cycle, args.wait)
    try:
        with person_of(args) as person, AnyBaud(target.port) as port:
            result = run(person, port, plan, progress)
    except (Cancelled, KeyboardInterrupt):
        _show(target, progress)
        raise
    _show(target, progress)
    _tell(target, result)
    return 0


def _show(target: Target, progress: Progress) -> None:
    """What each motor is by now, also after a cancelled run."""
    print()
    for joint in target.robot.joints:
        done = progress.joints.get(joint)
        print(f"{joint:14} " + (f"id {done.id}, {done.how}, firmware {done.firmware}" if done else "as it was"))


def _tell(target: Target, result: Result) -> None:
    from armside.calib_profile import remember

    print(f"written now: {', '.join(result.written) or 'nothing'}")
    if result.seen is None:
        print("not checked: all motors together")
    if target.id:
        print(remember(target))
        print(f"next: armside calibrate --robot {target.id}")
    else:
        print(f"next: armside calibrate --robot {target.robot.name} --id NAME --port {target.port}")


def _yam(args: argparse.Namespace, target: Target) -> int:
    from calib.setup.yam import survey

    found = survey(target.robot, target.port, args.gripper or target.profile.gripper)
    _show_yam(found)
    return 0 if found.good else 1


def _show_yam(found: Survey) -> None:
    for place in found.places:
        named = f"{place.joint:15} id {place.motor.id}, {place.motor.type}"
        print(
            f"{named}: {'no answer' if place.heard is None else 'as it should be' if not place.wrong else 'see below'}"
        )
        if place.heard is not None:
            print(f"{'':16}{place.heard}")
    advice = list(found.advice())
    print("\n".join(["", *advice]) if advice else "\nall motors answer as they should")
    if advice:
        print("nothing was written: ids and registers of these motors are set with Damiao's own tool")
