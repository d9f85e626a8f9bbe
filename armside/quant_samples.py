"""`armside quant samples`: which observations would calibrate a policy, why each, and a picture of them."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from armside.progress import Stages, stages
from policy_spec.norm import NormTag
from policy_spec.spec import PolicySpec
from quant.samples import SampleOptions, SampleSet, select

FILE, SHEET = "samples.json", "samples.png"


def samples(args: argparse.Namespace) -> int:
    """Chooses, prints, writes."""
    from armside.json_out import give
    from calib.store import write_whole
    from export import hub

    resolved = hub.resolve_checkpoint(args.checkpoint, revision=args.revision, wanted=hub.FACTS)
    spec = PolicySpec.from_checkpoint(resolved.path)
    with stages() as progress:
        found = read_set(args.episodes, spec.tag(args.norm_tag), args.cameras, options_of(args), progress)
    print(f"{found.source}: {len(found.samples)} samples for {found.tag}, sha256 {found.sha256[:12]}")
    for number, sample in enumerate(found.samples):
        print(f"{number:3}  {sample.place}: {sample.why}")
    for note in found.notes:
        print(f"note: {note}")
    if args.out:
        from armside.json_out import give as write
        from armside.quant_sheet import sheet

        write(args.out / FILE, set_json(found))
        write_whole(args.out / SHEET, sheet(found))
        print(f"{args.out / FILE}: the list; {SHEET} beside it")
    give(args.json, set_json(found))
    return 0


def options_of(args: argparse.Namespace) -> SampleOptions:
    """What was asked for."""
    return SampleOptions(args.samples, args.pool, args.seed, args.task)


def read_set(
    episodes: str | Path, tag: NormTag, cameras: int | None, options: SampleOptions, progress: Stages
) -> SampleSet:
    """The samples of a source. Raises UsageError (another robot), DatasetError."""
    from edge.policies import camera_slots
    from episodes.observations import open_observations

    slots = camera_slots(tag, cameras or len(tag.camera_slots))
    return select(open_observations(episodes), tag, slots, options, progress)


def set_json(found: SampleSet) -> dict[str, Any]:
    """The set for programs: where from, why, which bytes."""
    return {
        "format": "armside-samples",
        "version": 1,
        "source": found.source,
        "norm_tag": found.tag,
        "cameras": list(found.cameras),
        "sha256": found.sha256,
        "notes": list(found.notes),
        "samples": [
            {**asdict(s.where), "task": s.task, "seed": s.seed, "why": s.why, "sha256": s.sha256,
             "recorded_action": s.chunk is not None}
            for s in found.samples
        ],
    }  # fmt: skip
