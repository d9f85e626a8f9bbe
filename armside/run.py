"""`armside run BUNDLE`: the policy moves an arm, simulated or real, while its next chunk is being predicted."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from edge.run import RunConfig
    from edge.state import RunResult

SIM = "sim"
# The virtual arm is calibrated by us, so its frame is known; of a real arm only its owner knows it.
SIM_FRAME = "so101-molmoact2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from firmware_bridge.config import EXIT_POLICIES
    from firmware_bridge.robots import ROBOTS
    from policy_spec.frames import frame_names

    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="the folder that armside export wrote")
    arm = parser.add_argument_group("the arm")
    arm.add_argument("--robot", choices=ROBOTS, default="so101", help="which arm (default: so101)")
    arm.add_argument("--port", required=True, help="sim: virtual servos; or the arm's serial port such as /dev/ttyACM0")
    arm.add_argument("--live", action="store_true", help="send goals to a real port; without it none is sent")
    arm.add_argument("--calibration", metavar="FILE", help="LeRobot's calibration file of this arm; sim has its own")
    arm.add_argument(
        "--joint-frame",
        choices=frame_names(),
        help=f"the policy's joint convention, never guessed for a real arm (sim: {SIM_FRAME})",
    )
    arm.add_argument(
        "--exit",
        choices=EXIT_POLICIES,
        default="park",
        help="how the arm is left: parked slowly and then torque off, held, or limp where it is (default: park)",
    )
    arm.add_argument("--speed", type=float, metavar="RAD_PER_S", help="the fastest that any joint is commanded")
    arm.add_argument(
        "--max-observation-age",
        type=float,
        metavar="S",
        help="refuse chunks predicted from an older observation (default: 5); a slow computer needs more",
    )
    policy = parser.add_argument_group("the policy")
    policy.add_argument("--task", required=True, help="what to do, in plain words")
    policy.add_argument(
        "--camera",
        action="append",
        default=[],
        metavar="SLOT=SOURCE",
        help="once for each slot of the policy: an index, device, video file, image folder, URL, or test",
    )
    policy.add_argument("--norm-tag", metavar="TAG", help="needed where the checkpoint has several")
    policy.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    policy.add_argument(
        "--execute",
        type=int,
        default=0,
        metavar="N",
        help="steps used of each chunk, about: a newer chunk takes over when it comes (default: half)",
    )
    policy.add_argument("--rate", type=float, default=30.0, metavar="HZ", help="actions per second (default: 30)")
    run_group = parser.add_argument_group("the run")
    run_group.add_argument("--duration", type=float, metavar="S", help="seconds; without it until Ctrl-C")
    run_group.add_argument("--record", metavar="DIR", type=Path, help="record everything there, for armside report")
    run_group.add_argument(
        "--record-images",
        choices=("jpeg", "png"),
        default="jpeg",
        help="png keeps every pixel, so that a prediction can be made again bit for bit (default: jpeg)",
    )
    run_group.add_argument("--threads", type=int, default=0, metavar="N", help="of inference (default: all cores)")
    run_group.add_argument("--verify", action="store_true", help="hash the whole bundle again")


def run(args: argparse.Namespace) -> int:
    """Runs until it is over, and says how the arm was left."""
    from edge.console import RunConsole
    from edge.control import Control
    from edge.run import run as run_policy

    config = make_config(args)
    control = Control()
    if args.port != SIM and not args.live:
        print(f"{args.port} is read, and no goal is sent to it: --live was not given", file=sys.stderr)
    with RunConsole(control) as console:
        result = run_policy(config, control, console)
    return say_ending(result)


def make_config(args: argparse.Namespace) -> RunConfig:
    """The run as the rooms want it. Raises UsageError for what the command line alone shows to be wrong."""
    from edge.run import RunConfig
    from firmware_bridge.client import BridgeConfig
    from firmware_bridge.config import Timing

    real = args.port != SIM
    refuse_unfit(args, real)
    settings: dict[str, Any] = {"speed": args.speed} if args.speed is not None else {}
    if args.max_observation_age is not None:
        settings["timing"] = Timing(max_observation_age_s=args.max_observation_age)
    bridge = BridgeConfig(
        robot=args.robot,
        port=args.port,
        calibration=args.calibration or "",
        live=args.live,
        exit_policy=args.exit,
        **settings,
    )
    return RunConfig(
        bundle=args.bundle,
        bridge=bridge,
        cameras=parse_cameras(args.camera),
        task=args.task,
        frame=args.joint_frame or SIM_FRAME,
        norm_tag=args.norm_tag,
        seed=args.seed,
        execute=args.execute,
        dt_s=1.0 / args.rate,
        duration_s=args.duration,
        record=args.record,
        image_format=args.record_images,
        threads=args.threads,
        verify=args.verify,
        half_ranges=half_ranges(args.robot, args.calibration),
    )


def refuse_unfit(args: argparse.Namespace, real: bool) -> None:
    """What a real arm needs, and numbers that cannot be."""
    if real and not args.calibration:
        raise UsageError(
            sentence(
                f"a real arm on {args.port} needs its calibration",
                expected="--calibration FILE, as LeRobot writes it",
                do="give the file that belongs to this very arm; --port sim needs none",
            )
        )
    if real and not args.joint_frame:
        raise UsageError(
            sentence(
                "a real arm needs the policy's joint frame by name",
                expected="--joint-frame so101-molmoact2 (the released SO-100/101 policies) or another",
                do="look at what the policy was trained with: frames look alike and differ by 90 degrees",
            )
        )
    positive = ("rate", "duration", "speed", "max_observation_age")
    for name, value in ((f"--{word.replace('_', '-')}", getattr(args, word)) for word in positive):
        if value is not None and not 0 < value < 1e6:
            raise UsageError(sentence(name, expected="a number above 0", got=value))
    for name, value in (("--seed", args.seed), ("--execute", args.execute), ("--threads", args.threads)):
        if value < 0:
            raise UsageError(sentence(name, expected="0 or more", got=value))
    if args.threads > (most := os.cpu_count() or 1):  # thousands of them never get ready
        raise UsageError(sentence("--threads", expected=f"0 (all cores) to {most}", got=args.threads))
    if not args.task.strip():
        raise UsageError(sentence("--task", expected="what to do, in plain words", got="nothing"))


def parse_cameras(given: Sequence[str]) -> dict[str, str]:
    """`SLOT=SOURCE` words as a dict; which slots there are is the bundle's to say."""
    cameras: dict[str, str] = {}
    for word in given:
        slot, equals, source = word.partition("=")
        if not (slot and equals and source):
            raise UsageError(sentence("--camera", expected="SLOT=SOURCE, such as cam0=/dev/video0", got=word))
        if slot in cameras:
            raise UsageError(sentence(f"--camera {slot} is given twice", got=f"{cameras[slot]} and {source}"))
        cameras[slot] = source
    return cameras


def half_ranges(robot_name: str, file: str | None) -> tuple[float, ...]:
    """Half of each joint's calibrated range in rad, gripper left out: what some joint frames count in."""
    from firmware_bridge import robots
    from firmware_bridge.sts import calibration
    from firmware_bridge.sts.codec import Codec
    from firmware_bridge.sts.robots import shipped_calibration

    robot = robots.find(robot_name)
    known = calibration.load(file, robot.joints) if file else shipped_calibration(robot)
    lower, upper = Codec.of(known, robot.grippers).bounds()
    joints = zip(robot.joints, lower, upper, strict=True)
    return tuple(float(high - low) / 2 for joint, low, high in joints if joint not in robot.grippers)


def say_ending(result: RunResult) -> int:
    """How it ended, how the arm was left, and the exit code."""
    from edge.state import ExitReason

    print(f"ended: {result.reason.value}{': ' + result.text if result.text else ''}")
    print(f"the arm: {result.farewell}")
    print(
        f"{result.seconds:.1f} s, {result.chunks} chunks, {result.refused} refused, "
        f"{result.waited_ticks} ticks stood still, {result.late_ticks} late ticks"
    )
    if result.recording_error:
        print(f"the recording is not whole: {result.recording_error}")
    if result.recording:
        print(f"next: armside report {shlex.quote(str(result.recording))}")
    if result.reason is ExitReason.INTERRUPT:
        return 130
    return 0 if result.ok and not result.recording_error else 1
