"""Arguments that verbs share which write or read datasets: how pictures are kept, joint frames."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from episodes.lerobot.dataset import Dataset
    from episodes.lerobot.plan import VideoOptions
    from policy_spec.frames import Frame

CODECS = {"h264": "libx264", "av1": "libsvtav1"}


def add_picture_arguments(parser: Any) -> None:
    """--pictures, --codec, --crf."""
    parser.add_argument(
        "--pictures",
        choices=("video", "image"),
        default="video",
        help="image: PNG inside the parquet files, every pixel kept, about ten times the size (default: video)",
    )
    parser.add_argument(
        "--codec",
        choices=tuple(CODECS),
        default="h264",
        help="of videos: h264 is read everywhere; av1 is LeRobot's own default (default: h264)",
    )
    parser.add_argument("--crf", type=int, metavar="N", help="quality of videos, lower is better (default: 23, av1 30)")


def video_options(args: argparse.Namespace) -> VideoOptions:
    """What was chosen."""
    from episodes.lerobot.plan import VideoOptions

    crf = args.crf if args.crf is not None else {"h264": 23, "av1": 30}[args.codec]
    return VideoOptions(CODECS[args.codec], crf=crf)


def add_frame_arguments(parser: Any) -> None:
    """--joint-frame, --to-frame, --calibration."""
    from policy_spec.frames import frame_names

    names = frame_names()
    parser.add_argument("--joint-frame", choices=names, help="of the datasets, where they do not say it themselves")
    parser.add_argument("--to-frame", choices=names, help="convert joints to this frame (default: as they are)")
    parser.add_argument("--calibration", metavar="FILE", help="of the SO arm; only lerobot-m100 needs it")


def joints_of(dataset: Dataset, args: argparse.Namespace) -> tuple[Frame, Frame] | None:
    """The frames to convert from and to; None: nothing to do. Raises UsageError where nobody says the first."""
    from armside.run import half_ranges
    from policy_spec.errors import UsageError, sentence
    from policy_spec.frames import frame

    stored = dataset.info.joint_frame
    if args.joint_frame and stored and args.joint_frame != stored:
        raise UsageError(sentence(f"--joint-frame: {dataset.name} says its own", expected=stored, got=args.joint_frame))
    given = stored or args.joint_frame
    if not args.to_frame or given == args.to_frame:
        return None
    if not given:
        raise UsageError(
            sentence(
                f"{dataset.name} does not say in which joint frame its joints are",
                expected="--joint-frame with --to-frame; it is never guessed",
                do="lerobot-degrees: recorded by LeRobot with use_degrees; lerobot-m100: without",
            )
        )
    ranges = half_ranges("so101", args.calibration) if args.calibration else None
    return frame(given, ranges), frame(args.to_frame, ranges)
