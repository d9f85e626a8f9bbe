"""`armside run BUNDLE`: the policy moves an arm, simulated or real, while its next chunk is being predicted."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from armside.arm_args import ArmChoice, add_arm_arguments, add_exit_arguments, choose, frame_of
from armside.scenes import add_scene_argument, find_cameras, task_of, with_scene
from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from edge.attach import Attach
    from edge.run import RunConfig
    from edge.state import RunResult
    from firmware_bridge.config import BridgeConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from policy_spec.frames import frame_names

    parser.epilog = (
        "examples: armside run BUNDLE --robot so101 --port sim --camera cam0=test --camera cam1=test --task 'wave'; "
        "armside run BUNDLE --robot blue --live --task 'pick up the cube' --record runs/1"
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="the folder that armside export wrote")
    arm = parser.add_argument_group("the arm", "A bridge of this robot that runs already is used, and goes on.")
    add_arm_arguments(arm)
    add_scene_argument(arm)
    arm.add_argument(
        "--joint-frame",
        choices=frame_names(),
        help="the policy's joint convention, never guessed for a real arm (sim: known)",
    )
    add_exit_arguments(arm, "park")
    arm.add_argument("--speed", type=float, metavar="RAD_PER_S", help="the fastest that any joint is commanded")
    arm.add_argument(
        "--start-pose",
        action="store_true",
        help="move slowly (0.3 rad/s) to where the policy's data were, if the arm stands elsewhere; without it a real "
        "arm is refused there",
    )
    arm.add_argument(
        "--max-observation-age",
        type=float,
        metavar="S",
        help="refuse chunks predicted from an older observation (default: 5); a slow computer needs more",
    )
    _add_policy_arguments(parser.add_argument_group("the policy"))
    run_group = parser.add_argument_group("the run")
    run_group.add_argument("--duration", type=float, metavar="S", help="seconds; without it until Ctrl-C")
    run_group.add_argument("--record", metavar="DIR", type=Path, help="record everything there, for armside report")
    run_group.add_argument(
        "--record-dataset",
        metavar="DIR",
        type=Path,
        help="record a LeRobot dataset there, an episode for each task that is followed; or go on with one (needs the "
        "data extra)",
    )
    run_group.add_argument(
        "--record-images",
        choices=("jpeg", "png"),
        default="jpeg",
        help="png keeps every pixel, so that a prediction can be made again bit for bit (default: jpeg)",
    )
    run_group.add_argument("--threads", type=int, default=0, metavar="N", help="of inference (default: all cores)")
    run_group.add_argument(
        "--load",
        choices=("all", "turn"),
        default="all",
        help="graphs in memory: all, or the one that runs, for a board with little memory (slow; default: all)",
    )
    add_engine_argument(run_group)
    run_group.add_argument("--verify", action="store_true", help="hash the whole bundle again")


def add_engine_argument(group: Any) -> None:
    """--engine NAME, for every verb that opens a bundle."""
    from edge.engine import ENGINES

    group.add_argument(
        "--engine",
        choices=tuple(ENGINES),
        default="auto",
        help="what runs the graphs; never another one in its place (default: auto, " + ENGINES["auto"] + ")",
    )


def _add_policy_arguments(policy: Any) -> None:
    from edge.policies import ANSWERS, ORDERS

    policy.add_argument("--task", help="what to do, in plain words; with --scene what it asks for, unless given")
    policy.add_argument(
        "--camera",
        action="append",
        default=[],
        metavar="SLOT=SOURCE",
        help="once for each slot of the policy: an index, device, video file, image folder, URL, test, or of a "
        "scene sim:front; beats the profile's of that slot",
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
    policy.add_argument(
        "--depth-order",
        choices=ORDERS,
        default=ORDERS[0],
        help="of a think bundle: the whole map as a draft in one pass, corrected; or cell by cell, as released. Both "
        "give the same codes (default: draft)",
    )
    policy.add_argument(
        "--answers",
        choices=ANSWERS,
        default=ANSWERS[0],
        help="of a discrete bundle: held to action tokens; or any token, as released, for bundles of --head full "
        "(default: constrained)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs until it is over, and says how the arm was left."""
    from edge.console import RunConsole
    from edge.control import Control
    from edge.run import run as run_policy

    args.task = task_of(args)
    refuse_unfit(args)
    choice = choose(args, exit=args.exit, speed=args.speed, max_observation_age_s=args.max_observation_age)
    config = make_config(args, choice)
    control = Control()
    if not (choice.simulated or choice.live):
        print(f"{config.bridge.port} is read, and no goal is sent to it: --live was not given", file=sys.stderr)
    with RunConsole(control) as console:
        result = run_policy(config, control, console)
    return say_ending(result)


def make_config(args: argparse.Namespace, choice: ArmChoice) -> RunConfig:
    """The run as the rooms want it. Raises UsageError for what the command line alone shows to be wrong."""
    from armside.armed import holding
    from edge.run import RunConfig
    from edge.start_pose import StartPose

    calibration = calibration_of(choice)
    frame = frame_of(choice, args.joint_frame)
    return RunConfig(
        bundle=args.bundle,
        bridge=in_scene(choice, args.scene),
        cameras=find_cameras({**choice.profile.cameras, **parse_cameras(args.camera)}, choice),
        task=args.task,
        frame=frame,
        norm_tag=args.norm_tag,
        seed=args.seed,
        execute=args.execute,
        dt_s=1.0 / args.rate,
        duration_s=args.duration,
        record=args.record,
        record_dataset=args.record_dataset,
        image_format=args.record_images,
        threads=args.threads,
        resident=args.load,
        engine=args.engine,
        verify=args.verify,
        depth_order=args.depth_order,
        answers=args.answers,
        half_ranges=half_ranges(choice.profile.type, calibration),
        start_pose=StartPose(broken_exit=holding(choice)) if args.start_pose else None,
    )


def in_scene(choice: ArmChoice, scene: str | None) -> BridgeConfig | Attach:
    """The bridge to start, in that scene; or the one that runs, which has its own. UsageError, SimError."""
    from edge.attach import Attach

    bridge = choice.bridge()
    if not isinstance(bridge, Attach):
        return with_scene(bridge, scene)
    if scene:
        do = f"leave --scene out, or end that bridge first: armside bridge end {bridge.where}"
        raise UsageError(sentence(f"the bridge of {bridge.where} runs already with its own scene", got=scene, do=do))
    return bridge


def calibration_of(choice: ArmChoice) -> str | None:
    """The calibration file of the arm, None for a virtual one's own. UsageError for a real arm without."""
    if choice.info is not None:
        return None if choice.info.calibration == "shipped" else choice.info.calibration
    if not choice.simulated and choice.profile.port and not choice.profile.calibration:
        raise UsageError(
            sentence(
                f"a real arm on {choice.profile.port} needs its calibration",
                expected="--calibration FILE, as LeRobot writes it, or calibration in its profile",
                do="give the file that belongs to this very arm; --port sim needs none",
            )
        )
    return choice.profile.calibration or None


def refuse_unfit(args: argparse.Namespace) -> None:
    """Numbers that cannot be."""
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


def half_ranges(robot_name: str, file: str | None) -> tuple[float, ...] | None:
    """Half of each joint's calibrated range in rad, gripper left out: what some joint frames count in.

    None for arms that have no calibrated ranges (YAM).
    """
    from firmware_bridge import robots
    from firmware_bridge.sts import calibration
    from firmware_bridge.sts.codec import Codec
    from firmware_bridge.sts.robots import shipped_calibration

    robot = robots.find(robot_name)
    if robot.family != "sts":
        return None
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
    if result.thoughts:
        print(result.thoughts)
    if result.recording_error:
        print(f"the recording is not whole: {result.recording_error}")
    if result.dataset:
        print(f"dataset: {result.dataset}")
    if result.dataset_error:
        print(f"the dataset is not whole: {result.dataset_error}")
    if result.recording:
        print(f"next: armside report {shlex.quote(str(result.recording))}")
    if result.reason is ExitReason.INTERRUPT:
        return 130
    return 0 if result.ok and not (result.recording_error or result.dataset_error) else 1
