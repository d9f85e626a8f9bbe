"""The predictions of `armside plan`: every board with every plan that was asked for, and their JSON.

Joins counts (armside.plan_stages) with quant's targets; prints nothing.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from armside.plan_stages import Counted
from policy_spec.errors import UsageError, sentence
from quant.auto import Candidate, Chosen, Loss, choose
from quant.fit import check_groups
from quant.plan import Plan, make_plan
from quant.plan_file import check_names, check_plan, needs_samples, plan_json, read_plan
from quant.precisions import AUTO, PRECISIONS
from quant.roofline import predict
from quant.targets import Target, target_row


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants to see."""

    targets: tuple[str, ...]
    precision: str  # all, auto, or a name
    plan_file: Path | None
    samples: bool  # there would be calibration samples
    cores: int | None = None  # of processors; None: as their rows say
    loss: Loss | None = None  # by measured sensitivity


@dataclass(frozen=True, slots=True)
class Board:
    """One target: its rows, what it refuses, and what `--precision auto` would take."""

    target: Target
    rows: tuple[Candidate, ...]
    refused: tuple[tuple[str, str], ...]  # precision, why
    auto: Chosen | None
    why_none: str = ""  # where nothing fits


def boards(counted: Counted, asked: Asked) -> list[Board]:
    """One for each target. Raises UsageError on unknown names, and on a plan that the target refuses."""
    return [_board(counted, target_row(name).with_cores(asked.cores), asked) for name in asked.targets]


def _board(counted: Counted, target: Target, asked: Asked) -> Board:
    every = counted.candidates(target)
    auto, why_none = None, ""
    try:
        auto = choose(target, every, asked.samples, asked.loss)
    except UsageError as error:
        why_none = str(error)
    if asked.plan_file:
        plan = read_plan(asked.plan_file, target.float_type)
        check_names(plan, counted.weights)
        check_groups(plan, counted.graphs)
        if len(asked.targets) == 1:
            check_plan(plan, target, samples=True)
        every = [Candidate(plan, predict(target, plan.precision, counted.cost(plan, target)))]
    elif asked.precision == AUTO:
        every = [c for c in every if auto and c.plan.precision == auto.plan.precision]
    elif asked.precision != "all":
        make_plan(asked.precision)  # refuses an unknown name
        every = [c for c in every if c.plan.precision == asked.precision]
    refused = [(name, why) for name in PRECISIONS if (why := target.why_refused(name))]
    return Board(target, tuple(every), tuple(refused), auto, why_none)


def chosen_plan(rows: list[Board]) -> Plan:
    """The one plan that --write-plan means. Raises UsageError where several are shown."""
    plans = {c.plan.precision: c.plan for board in rows for c in board.rows}
    if len(rows) == 1 and rows[0].auto and len(plans) > 1:
        return rows[0].auto.plan
    if len(plans) != 1:
        raise UsageError(
            sentence("--write-plan", expected="one target, or one precision", got=", ".join(plans), do="give --target")
        )
    return next(iter(plans.values()))


def result(counted: Counted, rows: list[Board], source: str) -> dict[str, Any]:
    """Everything as JSON: bytes, seconds, operations."""
    sizes = counted.sizes
    return {
        "format": 1,
        "kind": "prediction: counted from the graphs' shapes, nothing was timed",
        "checkpoint": source,
        "mode": sizes.variant.mode,
        "cameras": sizes.cameras,
        "bracket": sizes.bracket,
        "horizon": sizes.horizon,
        "stages": [
            {"name": s.name, "graph": s.count.name, "runs": s.runs, "operations": s.count.operations, "note": s.note}
            for s in counted.stages
        ],
        "boards": [_board_json(counted, board) for board in rows],
    }


def _board_json(counted: Counted, board: Board) -> dict[str, Any]:
    auto = None
    if board.auto:
        auto = {
            "precision": board.auto.plan.precision,
            "why": board.auto.why,
            "passed_over": [{"precision": name, "why": why} for name, why in board.auto.passed],
        }
    return {
        "target": dataclasses.asdict(board.target),
        "auto": auto,
        "why_none": board.why_none,
        "refused": [{"precision": name, "why": why} for name, why in board.refused],
        "plans": [_row_json(counted, board.target, candidate) for candidate in board.rows],
    }


def _row_json(counted: Counted, target: Target, candidate: Candidate) -> dict[str, Any]:
    prediction, cost = candidate.prediction, counted.cost(candidate.plan, target)
    return {
        "precision": candidate.plan.precision,
        "needs_samples": needs_samples(candidate.plan),
        "floor_s": prediction.floor,
        "floor_by_data_sheet_s": prediction.spec,
        "expected_s": [prediction.least, prediction.most],
        "stages": [{**dataclasses.asdict(s), "bound": s.bound} for s in prediction.stages],
        "operations": {s.name: s.operations for s in cost.stages},
        "read_bytes_per_run": {s.name: s.streamed for s in cost.stages},
        "memory": {**dataclasses.asdict(prediction.memory), "run": prediction.memory.run},
        "stored_bytes": {"graphs": cost.weights, "groups": cost.groups},
        "plan": plan_json(candidate.plan),
    }
