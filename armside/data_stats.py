"""`armside data stats`: the norm_stats.json of datasets of one robot, by exact percentiles over every frame."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_spec.errors import DatasetError, UsageError, sentence

if TYPE_CHECKING:
    from episodes.lerobot.dataset import Dataset
    from episodes.norm_stats import Source, TagWords

SETUPS = {  # word in the dataset's robot_type -> what the released prompts say
    "so10": "single so100/so101 robotic arm in molmoact2",
    "so_follower": "single so100/so101 robotic arm in molmoact2",
    "yam": "bimanual yam robotic arms in molmoact2",
}


def write_stats(args: argparse.Namespace) -> int:
    """Counts, writes, and prints the ranges."""
    from armside.data_args import joints_of
    from armside.json_out import give
    from armside.progress import stages
    from calib.store import write_whole
    from episodes.lerobot.dataset import open_dataset
    from episodes.norm_stats import Source, tag_entry, whole_file

    datasets = [open_dataset(path) for path in args.datasets]
    first = datasets[0]
    tag = args.tag or re.sub(r"\W+", "_", first.name.rpartition("/")[2])
    entries = entries_there(args.out, tag, args.add, args.overwrite)
    sources = [Source(dataset, joints_of(dataset, args), args.joint_frame or "") for dataset in datasets]
    words = words_of(first, sources[0], args)
    with stages() as tell:
        entry = tag_entry(sources, words, tell)
    file = whole_file({**entries, tag: entry})
    write_whole(args.out, (json.dumps(file, indent=1, allow_nan=False) + "\n").encode())
    frames = entry["action_stats"]["count"][0]
    print(f"{args.out}: tag {tag}, {frames} frames of {len(datasets)} dataset{'' if len(datasets) == 1 else 's'}")
    print(
        f"setup {words.setup_type!r}, control {words.control_mode!r}, cameras {', '.join(words.camera_keys) or 'none'}"
    )
    print(f"chunks of {words.action_horizon} steps, {words.n_action_steps} executed; gripper: {words.gripper}")
    for line in table(entry):
        print(line)
    give(args.json, {"format": "armside-data-stats", "version": 1, "tag": tag, "entry": entry})
    return 0


def entries_there(out: Path, tag: str, add: bool, overwrite: bool) -> dict[str, Any]:
    """The entries of a file that is to be kept. Raises UsageError on what would be lost unasked."""
    if not out.exists():
        return {}
    if not add:
        if not overwrite:
            raise UsageError(sentence(f"{out} is there", do="say --add to keep its other tags, or --overwrite"))
        return {}
    try:
        entries = dict(json.loads(out.read_bytes())["metadata_by_tag"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(sentence(f"{out} cannot be read", expected="a norm_stats.json", got=repr(error))) from None
    if tag in entries and not overwrite:
        raise UsageError(sentence(f"{out} has the tag {tag}", do="say another --tag, or --overwrite"))
    return entries


def words_of(dataset: Dataset, source: Source, args: argparse.Namespace) -> TagWords:
    """What the entry says beside numbers. Raises UsageError on what nobody says."""
    from episodes.norm_stats import TagWords

    robot = dataset.info.robot_type.lower()
    setup = args.setup or next((text for word, text in SETUPS.items() if word in robot), None)
    if setup is None:
        what = f"{dataset.name} is of a robot that no released prompt knows ({dataset.info.robot_type or 'not said'})"
        raise UsageError(sentence(what, do="say --setup TEXT, such as 'single widowx robotic arm'"))
    horizon = args.horizon or max(1, round(dataset.fps))
    return TagWords(
        setup_type=setup,
        control_mode=args.control,
        action_horizon=horizon,
        n_action_steps=args.steps or horizon,
        camera_keys=cameras_of(dataset, args.camera),
        gripper=args.gripper or ("raw" if source.frame == "radians" else "quantiles"),
    )


def cameras_of(dataset: Dataset, asked: list[str] | None) -> tuple[str, ...]:
    """Whole keys. Raises UsageError on a camera that is not there."""
    short = dict(zip(dataset.camera_slots, dataset.cameras, strict=True))
    keys = tuple(short.get(name, name) for name in asked) if asked else dataset.cameras
    missing = [key for key in keys if key not in dataset.cameras]
    if missing:
        raise UsageError(sentence("--camera", expected=f"one of {', '.join(short)}", got=", ".join(missing)))
    return keys


def table(entry: dict[str, Any]) -> list[str]:
    """Ranges of each joint, states and actions side by side."""
    state, action = entry["state_stats"], entry["action_stats"]
    width = max(len(name) for name in action["names"])
    lines = [f"{'':{width}}  {'state 1 % .. 99 %':>24}  {'action 1 % .. 99 %':>24}"]
    for i, name in enumerate(action["names"]):
        spans = []
        for stats in (state, action):
            there = i < len(stats["q01"])
            spans.append(f"{stats['q01'][i]:11.3f} ..{stats['q99'][i]:11.3f}" if there else "")
        raw = "" if action["mask"][i] else "  not normalized"
        lines.append(f"{name:{width}}  {spans[0]:>24}  {spans[1]:>24}{raw}")
    return lines
