"""`armside convert RUN... DATASET`: recordings of runs become episodes of a LeRobot dataset, v3.0."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from episodes.recording import Recording
    from policy_spec.frames import Frame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.data_args import add_picture_arguments
    from armside.json_out import add_json_argument
    from policy_spec.frames import frame_names

    parser.epilog = (
        "An episode is a stretch in which the arm followed one task. A recording keeps only the pictures that the "
        "policy saw, a few in a second: each frame gets the last one. For pictures of every frame use armside run "
        "--record-dataset. Needs the data extra."
    )
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="folders that armside run --record wrote")
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="the folder to write, or a dataset to go on with")
    parser.add_argument("--fps", type=int, metavar="HZ", help="frames per second (default: the policy's actions')")
    parser.add_argument(
        "--joint-frame", choices=frame_names(), help="of states and actions (default: the policy's, as recorded)"
    )
    parser.add_argument("--calibration", metavar="FILE", help="of the arm; only lerobot-m100 needs it")
    add_picture_arguments(parser)
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Converts, and says how old the pictures are."""
    from armside.data_args import video_options
    from armside.json_out import give
    from armside.progress import stages
    from episodes.from_recording import convert, plan_of
    from episodes.lerobot.writer import require_place
    from episodes.recording import Recording

    recordings = [Recording.open(path) for path in args.runs]
    fps = args.fps if args.fps is not None else round(1 / recordings[0].header.dt_s)
    if fps < 1:
        raise UsageError(sentence("--fps", expected="1 or more", got=fps))
    joints = frame_of(recordings[0], args.joint_frame, args.calibration)
    for recording in recordings[1:]:
        _same(recordings[0], recording)
    require_place(args.dataset)
    plan = plan_of(recordings[0], fps, joints, args.pictures, video_options(args))
    with stages() as tell:
        done = convert(recordings, args.dataset, plan, joints, tell)
    said = f"{done.episodes} episode{'' if done.episodes == 1 else 's'}, {done.frames} frames at {fps} per second"
    print(f"{args.dataset}: {said}, joints in {joints.name}")
    if done.episodes:
        age = f"{done.picture_age_mean_s:.2f} s old on average, {done.picture_age_max_s:.2f} s at most"
        print(f"note: pictures are those that the policy saw: {age}")
    if done.short:
        print(f"note: {done.short} stretches were too short for an episode")
    facts = {
        "format": "armside-convert",
        "version": 1,
        "episodes": done.episodes,
        "frames": done.frames,
        "fps": fps,
        "joint_frame": joints.name,
        "short": done.short,
        "picture_age_mean_s": done.picture_age_mean_s,
        "picture_age_max_s": done.picture_age_max_s,
    }
    give(args.json, facts)
    if not done.episodes:
        print("nothing was converted: the arm followed no chunk in these recordings")
        return 1
    return 0


def frame_of(recording: Recording, asked: str | None, calibration: str | None) -> Frame:
    """The joint frame of the dataset. Raises UsageError where the recording does not say, and nobody asked."""
    from armside.run import half_ranges
    from policy_spec.frames import frame

    name = asked or recording.header.frame
    if not name:
        raise UsageError(sentence(f"{recording.path} does not say its joint frame", do="say --joint-frame"))
    ranges = recording.header.facts.get("half_ranges_rad")
    if calibration:
        ranges = half_ranges(recording.header.arm, calibration)
    return frame(name, ranges)


def _same(first: Recording, other: Recording) -> None:
    mine, theirs = ((r.header.arm, r.header.joints, tuple(r.header.cameras)) for r in (first, other))
    if mine != theirs:
        what = f"{other.path} is of another arm or other cameras than {first.path}"
        raise UsageError(sentence(what, expected=mine, got=theirs, do="convert them into datasets of their own"))
