"""`armside replay RUN --to sim|ROBOT`: the arm goes slowly to a recording's first pose, then moves as it did."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import armside.armed as arms
from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from armside.arm_args import ArmChoice
    from episodes.recording import Recording

DT_S = 1 / 50
SIM = "sim"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.arm_args import add_exit_arguments

    parser.add_argument("run_folder", metavar="RUN", type=Path, help="the folder that armside run --record wrote")
    parser.add_argument("--to", metavar="sim|ROBOT", required=True, help="sim: virtual servos; or a profile, or a type")
    parser.add_argument("--port", help="of the arm, where its profile has none")
    parser.add_argument("--live", action="store_true", help="send goals to a real port: needed unless it is sim")
    parser.add_argument("--calibration", metavar="FILE", help="calibration file of this very arm; sim has its own")
    parser.add_argument("--rate", type=float, default=1.0, metavar="X", help="of the recording's time (default: 1)")
    parser.add_argument(
        "--speed",
        type=float,
        default=arms.SLOW,
        metavar="RAD_PER_S",
        help="on the way to its first pose (default: 0.3)",
    )
    add_exit_arguments(parser, "park")
    parser.epilog = "examples: armside replay runs/1 --to sim; armside replay runs/1 --to blue --live --rate 0.5"


def run(args: argparse.Namespace) -> int:
    """Replays, and says how far the arm was from what was recorded."""
    from armside.replay_path import check_arm, commanded_path
    from episodes.recording import Recording
    from firmware_bridge.robots import ROBOTS

    if not 0 < args.rate <= 4:
        raise UsageError(sentence("--rate", expected="above 0, at most 4 times as fast", got=args.rate))
    recording = Recording.open(args.run_folder)
    choice = choose(args, recording)
    robot = ROBOTS[choice.profile.type]
    check_arm(recording, robot.name, robot.joints)
    path = commanded_path(recording, DT_S, args.rate)
    if recording.torn:
        print(f"the end of {args.run_folder} was cut off: what is there is replayed", file=sys.stderr)
    with arms.armed(choice, "park") as arm:
        check_arm(recording, arm.info.arm, arm.info.joints)
        print(f"to the first pose, at most {args.speed:g} rad/s")
        code = arms.tell(arm, arms.go(arm, path[0], args.speed))
        if code:
            arm.policy = arms.holding(choice)
            return code
        print(f"replaying {len(path) * DT_S:.1f} s, {args.rate:g} times as fast as recorded", flush=True)
        return follow_it(arm, path, choice)


def choose(args: argparse.Namespace, recording: Recording) -> ArmChoice:
    """`--to sim` is a virtual arm of the recording's own kind."""
    from firmware_bridge.robots import ROBOTS

    args.robot = args.to
    if args.to == SIM:
        if recording.header.arm not in ROBOTS:
            raise UsageError(
                sentence(f"{recording.path} is of an unknown arm", expected=", ".join(ROBOTS), got=recording.header.arm)
            )
        args.robot, args.port = recording.header.arm, SIM
    return arms.choose_to_move(args, "replay", exit=args.exit)


def follow_it(arm: arms.Armed, path: object, choice: ArmChoice) -> int:
    """The replay itself, and its largest deviations."""
    import numpy as np

    from armside.moving import degrees, follow
    from firmware_bridge.moves import track

    status = arm.client.status(timeout_s=1.0)
    moved = follow(arm.client, track(np.asarray(path), arm.info, status, DT_S), arm.stop)
    joints = arm.info.joints
    for what, values in (("the arm was off", moved.lag), ("the limits changed the commands", moved.bent)):
        worst = int(values.argmax())
        print(f"{what} by at most {degrees(arm.info, worst, values[worst])}, at {joints[worst]}")
    for what, count in sorted(moved.clamps.items()):
        print(f"limited: {what}, {count} ticks")
    if moved.ok:
        return 0
    print(f"armside: the replay was broken off: {moved.why}", file=sys.stderr)
    arm.policy = arms.holding(choice)
    return 130 if arm.stop.asked else 1
