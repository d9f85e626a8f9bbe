"""Which plan an export follows: a named precision, a file of a person's own, or the best that fits.

Takes what was asked for and the checkpoint's directory; gives the plan, checked against the target, and the words that
say why where it was chosen. Joins export (shapes) and quant (plans, targets).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from armside.plan_stages import Counted, count_checkpoint
from export.build import GraphOptions
from quant.auto import Loss, choose
from quant.fit import check_groups
from quant.plan import Plan
from quant.plan_file import check_names, check_plan, plan_json, read_plan
from quant.precisions import AUTO
from quant.roofline import predict
from quant.sensitivity_file import read_sensitivity
from quant.targets import TARGETS, check_target


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    target: str
    precision: str = AUTO  # a name or auto; the file's own, where there is a file
    plan_file: Path | None = None
    samples: bool = False  # there are calibration samples, or statistics made from some
    sensitivity: Path | None = None  # what plans lose by measurement, for auto


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan, and what a person should know of how it was chosen."""

    plan: Plan
    notes: tuple[str, ...]
    prediction: dict[str, Any]  # of every target that takes the plan, for the bundle's report


def plan_export(checkpoint_dir: Path, graphs: GraphOptions, wanted: Wanted) -> Planned:
    """Raises UsageError (names, refusals, nothing that fits), QuantError (no samples where the plan needs some), and
    what counting the checkpoint does.
    """
    target = check_target(wanted.target, wanted.precision)
    counted = count_checkpoint(checkpoint_dir, graphs)
    notes: tuple[str, ...] = ()
    if wanted.plan_file:
        plan = read_plan(wanted.plan_file, target.float_type)
        check_names(plan, counted.weights)
        check_groups(plan, counted.graphs)
    elif wanted.precision == AUTO:
        chosen = choose(target, counted.candidates(target), wanted.samples, loss_of(wanted.sensitivity))
        plan, notes = chosen.plan, chosen.words()
    else:
        plan = counted.plan(wanted.precision, target)
    check_plan(plan, target, wanted.samples)
    return Planned(plan, notes, predictions(counted, plan))


def loss_of(sensitivity: Path | None) -> Loss | None:
    """What a plan loses by a file of armside quant sensitivity; None where there is none. Raises UsageError."""
    return None if sensitivity is None else read_sensitivity(sensitivity).loss


def predictions(counted: Counted, plan: Plan) -> dict[str, Any]:
    """One plan on every target that takes its schemes, as JSON: seconds and bytes."""
    boards = []
    for target in TARGETS.values():
        if not any(target.why_refused(scheme) for scheme in plan.schemes()):
            told = predict(target, plan.precision, counted.cost(plan, target))
            boards.append(
                {
                    "target": target.name,
                    "floor_s": told.floor,
                    "floor_by_data_sheet_s": told.spec,
                    "expected_s": [told.least, told.most],
                    "stages": [asdict(stage) for stage in told.stages],
                    "memory": {**asdict(told.memory), "run": told.memory.run},
                }
            )
    return {"format": 1, "kind": "prediction: counted from the graphs' shapes, nothing was timed", "boards": boards}


def write_plan(path: Path, plan: Plan) -> None:
    """The plan as JSON, whole or not at all."""
    from calib.store import write_whole

    write_whole(path, (json.dumps(plan_json(plan), indent=1) + "\n").encode())
