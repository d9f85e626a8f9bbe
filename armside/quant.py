"""`armside quant samples|sensitivity|plan`: calibration samples, what each part loses, a plan made of that."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.json_out import add_json_argument

    words = parser.add_subparsers(metavar="WORD", dest="word", required=True)
    samples = words.add_parser(
        "samples",
        help="choose calibration samples and show why each was chosen",
        description="Chooses observations for coverage: extremes of each joint, every task, then whatever is farthest "
        "from the others. Writes samples.json and a picture of them.",
    )
    _add_source(samples, 32)
    samples.add_argument("-o", "--out", type=Path, metavar="DIR", help="write samples.json and samples.png there")
    sensitivity = words.add_parser(
        "sensitivity",
        help="measure what each part loses when only it is quantized",
        description="Quantizes one tensor group at a time and compares K and V, the flow's velocity and the action "
        "with the float32 graphs. What an interrupted measurement found is gone on with.",
    )
    _add_source(sensitivity, 8)
    _add_measuring(sensitivity)
    plan = words.add_parser(
        "plan",
        help="a precision plan from a measured sensitivity",
        description="Takes parts into lower precision, those first that gain most for what they lose, until the budget "
        "is used up. The plan is JSON for armside export --plan; its reasons quote the measured numbers.",
    )
    _add_plan(plan)
    for word in (samples, sensitivity, plan):
        add_json_argument(word)
        word.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _add_source(parser: argparse.ArgumentParser, count: int) -> None:
    """Which checkpoint, which observations."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a directory, or a Hugging Face id ORG/NAME")
    parser.add_argument("--revision", help="branch, tag or commit of a Hugging Face id")
    parser.add_argument(
        "--episodes",
        metavar="SOURCE",
        required=True,
        help="a LeRobot dataset (folder or hub id), a recording of armside run, or a folder with states.json",
    )
    parser.add_argument("--samples", type=int, default=count, metavar="N", help=f"how many (default: {count})")
    parser.add_argument(
        "--pool", type=int, default=256, metavar="N", help="frames that are looked at to choose them (default: 256)"
    )
    parser.add_argument("--seed", type=int, default=0, help="which frames are looked at (default: 0)")
    parser.add_argument("--task", default="", help="what is being done, where the source does not say it in words")
    parser.add_argument("--norm-tag", metavar="TAG", help="the robot, where the checkpoint knows several")
    parser.add_argument("--cameras", type=int, metavar="N", help="pictures per call (default: the norm tag's)")


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    """What is measured."""
    parser.add_argument(
        "--schemes", default="int8-w8a8,int4-g128", metavar="A,B", help="schemes to try (default: int8-w8a8,int4-g128)"
    )
    parser.add_argument("--groups", default="", metavar="A,B", help="only these tensor groups (default: all)")
    parser.add_argument("--per-layer", action="store_true", help="each layer of a group by itself too")
    parser.add_argument("--prompt-tokens", type=int, metavar="S", help="longest prompt (default: room for a long task)")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw it")
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="where it is kept while it is made (default: NAME.sensitivity)"
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of the engine (default: one per core)")
    parser.add_argument("--fresh", action="store_true", help="start over, whatever an interrupted measurement left")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    from quant.targets import TARGETS

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a directory, or a Hugging Face id ORG/NAME")
    parser.add_argument(
        "--sensitivity", type=Path, required=True, metavar="FILE", help="by armside quant sensitivity --json"
    )
    parser.add_argument("--target", default="x86-cpu", metavar="NAME", help=f"one of {', '.join(TARGETS)}")
    parser.add_argument(
        "--budget",
        default="action-error",
        metavar="KIND=X",
        help="action-error=0.05: the most that the normalised action may move; size=3.5: GB of weights "
        "(default: action-error=0.05)",
    )
    parser.add_argument("--no-samples", action="store_true", help="take only schemes that need no calibration samples")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write the plan (JSON)")
    parser.add_argument("--revision", help="branch, tag or commit of a Hugging Face id")
    parser.add_argument("--cameras", type=int, metavar="N", help="pictures per call (default: the norm tag's)")
    parser.add_argument("--prompt-tokens", type=int, metavar="S", help="longest prompt (default: room for a long task)")


def run(args: argparse.Namespace) -> int:
    """Chooses, measures or plans."""
    if args.word == "samples":
        from armside.quant_samples import samples

        return samples(args)
    if args.word == "sensitivity":
        from armside.quant_sensitivity import sensitivity

        return sensitivity(args)
    from armside.quant_plan import plan

    return plan(args)
