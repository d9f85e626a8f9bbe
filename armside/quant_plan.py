"""`armside quant plan`: a precision plan from a measured sensitivity, priced on a target, within a budget."""

from __future__ import annotations

import argparse
import shlex

from armside.plan_stages import Counted
from quant.plan import Plan
from quant.plan_measured import Budget, Made, Price, plan_from, read_budget
from quant.sensitivity_file import Sensitivity, read_sensitivity
from quant.targets import Target


def plan(args: argparse.Namespace) -> int:
    """Makes it, prints it, writes it."""
    from armside.json_out import give
    from armside.plan_choice import write_plan
    from armside.plan_stages import count_checkpoint
    from armside.say import size
    from export import hub
    from export.build import GraphOptions
    from quant.plan_file import plan_json
    from quant.targets import target_row

    measured, target, budget = read_sensitivity(args.sensitivity), target_row(args.target), read_budget(args.budget)
    resolved = hub.resolve_checkpoint(args.checkpoint, revision=args.revision, wanted=hub.FACTS)
    counted = count_checkpoint(resolved.path, GraphOptions(args.cameras, args.prompt_tokens))
    made = make(measured, target, budget, counted, not args.no_samples)
    for choice in made.plan.choices:
        print(f"{choice.group:18} {choice.scheme:22} {choice.reason}")
    milliseconds = 1e3 * made.price.seconds
    print(f"weights {size(made.price.bytes)}; predicted floor of a call on {target.name} {milliseconds:.3g} ms")
    for note in made.notes:
        print(f"note: {note}")
    if args.out:
        write_plan(args.out, made.plan)
        where = shlex.quote(str(args.out))
        print(f"{args.out}: the plan; armside export {args.checkpoint} BUNDLE --target {target.name} --plan {where}")
    give(
        args.json,
        {
            "format": "armside-quant-plan",
            "version": 1,
            "plan": plan_json(made.plan),
            "action_error": made.lost,
            "bytes": made.price.bytes,
            "floor_s": made.price.seconds,
            "notes": list(made.notes),
        },
    )
    return 0


def make(measured: Sensitivity, target: Target, budget: Budget, counted: Counted, samples: bool) -> Made:
    """The plan, priced by the checkpoint's shapes."""
    from quant.fit import check_groups
    from quant.roofline import predict

    def price(plan: Plan) -> Price:
        cost = counted.cost(plan, target)
        return Price(predict(target, plan.precision, cost).floor, cost.stored)

    made = plan_from(measured, target, budget, price, samples)
    check_groups(made.plan, counted.graphs)
    return made
