"""`armside plan CHECKPOINT`: what each precision would cost on each computer, before anything is exported.

Counts operations and bytes from the graphs' shapes; no weight is read. Prints tables, draws them (PNG), writes JSON.
Everything that it says of times is a prediction.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.json_out import add_json_argument
    from policy_spec.graphs import HEADS, MODES
    from quant.precisions import PRECISIONS
    from quant.targets import TARGETS

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a directory, or a Hugging Face id ORG/NAME")
    parser.add_argument(
        "--target", default="all", metavar="NAME", help=f"all, or one of {', '.join(TARGETS)} (default: all)"
    )
    parser.add_argument(
        "--precision", default="all", metavar="NAME", help=f"all, or one of {', '.join(PRECISIONS)} (default: all)"
    )
    parser.add_argument("--plan", type=Path, metavar="FILE", help="a plan of your own (JSON) instead of a precision")
    parser.add_argument("--write-plan", type=Path, metavar="FILE", help="write the chosen plan as JSON, to edit")
    parser.add_argument("--revision", help="branch, tag or commit of a Hugging Face id")
    parser.add_argument("--cameras", type=int, metavar="N", help="pictures per call (default: the norm tag's)")
    parser.add_argument("--prompt-tokens", type=int, metavar="S", help="longest prompt (default: room for a long task)")
    parser.add_argument("--mode", choices=MODES, default="continuous", help="as in armside export")
    parser.add_argument(
        "--head", choices=sorted({h for heads in HEADS.values() for h in heads if h}), default="", help="as in export"
    )
    parser.add_argument(
        "--sensitivity", type=Path, metavar="FILE", help="what plans lose, by armside quant sensitivity; for auto"
    )
    parser.add_argument("--cores", type=int, metavar="N", help="of a processor (default: what its row says)")
    parser.add_argument(
        "--samples", action="store_true", help="count on calibration samples: AWQ and GPTQ may be chosen"
    )
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw it: stages by board and precision")
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Counts, predicts, prints; writes what was asked for."""
    from quant.targets import check_target

    if args.target != "all":
        check_target(args.target, args.precision)  # what a single target refuses is an error, not an empty table

    from armside.json_out import give
    from armside.plan_choice import loss_of, write_plan
    from armside.plan_show import facts, show
    from armside.plan_stages import count_checkpoint
    from armside.plan_table import Asked, boards, chosen_plan, result
    from export import hub
    from export.build import GraphOptions
    from quant.targets import TARGETS

    asked = Asked(
        targets=tuple(TARGETS) if args.target == "all" else (args.target,),
        precision=args.precision,
        plan_file=args.plan,
        samples=args.samples,
        cores=args.cores,
        loss=loss_of(args.sensitivity),
    )
    resolved = hub.resolve_checkpoint(args.checkpoint, revision=args.revision, wanted=hub.FACTS)
    options = GraphOptions(args.cameras, args.prompt_tokens, mode=args.mode, head=args.head)
    counted = count_checkpoint(resolved.path, options)
    rows = boards(counted, asked)
    print(facts(counted, resolved.source))
    show(rows)
    if args.write_plan:
        plan = chosen_plan(rows)
        write_plan(args.write_plan, plan)
        print(f"{args.write_plan}: the plan of {plan.precision}; edit it, then armside export --plan {args.write_plan}")
    if args.png:
        from armside.plan_plot import draw
        from calib.store import write_whole

        write_whole(args.png, draw(rows, Path(resolved.source).name))
        print(f"{args.png}: the plot")
    give(args.json, result(counted, rows, resolved.source))
    return 0
