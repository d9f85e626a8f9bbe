"""`armside data show`: a dataset in a table, and frames of it in one picture."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from episodes.observations import ObservationSource

TASKS = 12  # that are listed


def show(args: argparse.Namespace) -> int:
    """Prints the table; writes the picture where it was asked for."""
    from armside.json_out import give
    from calib.store import write_whole
    from episodes.observations import open_observations
    from episodes.pictures import encode_png

    for name in ("episodes", "frames"):
        if getattr(args, name) < 1:
            raise UsageError(sentence(f"--{name}", expected="1 or more", got=getattr(args, name)))
    source = open_observations(args.dataset)
    facts = facts_of(source)
    for line in lines_of(facts):
        print(line)
    if args.sheet is not None:
        from episodes.contact_sheet import contact_sheet

        write_whole(args.sheet, encode_png(contact_sheet(source, args.episodes, args.frames)))
        print(f"frames of some episodes: {args.sheet}")
    give(args.json, {"format": "armside-data-show", "version": 1, **facts})
    return 0


def facts_of(source: ObservationSource) -> dict[str, Any]:
    """What there is to know, without decoding a picture."""
    lengths = np.array(source.lengths)
    facts: dict[str, Any] = {
        "name": source.name,
        "episodes": len(lengths),
        "frames": int(lengths.sum()),
        "frames_shortest": int(lengths.min()),
        "frames_longest": int(lengths.max()),
        "cameras": list(source.cameras),
        "state_names": list(source.state_names),
    }
    dataset = getattr(source, "dataset", None)
    if dataset is not None:
        tasks = Counter(task for row in dataset.index.episodes for task in row.tasks)
        facts |= {
            "version": dataset.info.version,
            "fps": dataset.fps,
            "robot_type": dataset.info.robot_type,
            "joint_frame": dataset.info.joint_frame,
            "action_names": list(dataset.action_names),
            "annotated_episodes": len(dataset.annotated.tasks),
            "frozen_episodes": len(dataset.annotated.frozen),
            "tasks": dict(tasks.most_common()),
        }
    return facts


def lines_of(facts: dict[str, Any]) -> list[str]:
    """The table for a person."""
    head = facts["name"]
    if "fps" in facts:
        head += f": LeRobot {facts['version']}, {facts['robot_type'] or 'robot not said'}, {facts['fps']:g} per second"
    span = f"{facts['frames_shortest']} to {facts['frames_longest']}"
    lines = [head, f"episodes     {facts['episodes']}, {facts['frames']} frames ({span} each)"]
    if "fps" in facts:
        seconds = facts["frames"] / facts["fps"]
        lines[-1] += f", {int(seconds // 60)} min {seconds % 60:.0f} s"
    lines.append(f"cameras      {', '.join(facts['cameras']) or 'none'}")
    lines.append(f"state        {', '.join(facts['state_names'])}")
    if "fps" not in facts:
        return lines
    if facts["action_names"] != facts["state_names"]:
        lines.append(f"action       {', '.join(facts['action_names'])}")
    lines.append(f"joint frame  {facts['joint_frame'] or 'not said; say it where it matters (--joint-frame)'}")
    if facts["annotated_episodes"] or facts["frozen_episodes"]:
        lines.append(f"annotated    {facts['annotated_episodes']} episodes; left out {facts['frozen_episodes']}")
    listed = list(facts["tasks"].items())
    lines.append(f"tasks        {len(listed)}")
    lines += [f"  {count:5}  {task}" for task, count in listed[:TASKS]]
    if len(listed) > TASKS:
        lines.append(f"         ... and {len(listed) - TASKS} more (--json)")
    return lines
