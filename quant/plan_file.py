"""A plan as JSON: written for a person to edit, read back with every mistake named.

    {"precision": "int8", "choices": [{"group": "llm.ffn@0-3", "scheme": "fp16", "reason": "..."}, ...]}

A group that the file does not name keeps what the named precision gives it, so a file may hold only what differs.
Checked here: groups, layers, schemes. What a target refuses and what calibration samples are for: `check_plan`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from policy_spec.errors import QuantError, UsageError, sentence
from policy_spec.graphs import EVERY_GRAPH
from quant.groups import GROUPS, LOOKUP, PRODUCT, REST, group_of, layer_of, nearest, part_of
from quant.plan import Choice, Plan, make_plan, ordered
from quant.precisions import FLOATS, FULL, PRECISIONS
from quant.schemes import SCHEMES
from quant.targets import Target

CUSTOM = "custom"  # the precision of a plan that differs from every named one; nothing is promised of its error
_KEYS = ("group", "scheme", "reason")
_LOOKED_UP = (*FLOATS, "int8-weight")  # schemes of a table that rows are taken from


def plan_json(plan: Plan) -> dict[str, Any]:
    """What `read_plan` reads."""
    choices = [{"group": c.group, "scheme": c.scheme, "reason": c.reason} for c in plan.choices]
    return {"precision": plan.precision, "float_type": plan.float_type, "choices": choices}


def read_plan(path: Path, base: str = FULL) -> Plan:
    """The plan of a file, for a target that computes in `base`. Raises UsageError: no such file, not JSON, an unknown
    key, group, precision or scheme with the nearest name, a group that nothing says anything of.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(sentence(f"the plan {path} cannot be read", got=error.strerror)) from error
    except ValueError as error:
        raise UsageError(sentence(f"the plan {path} is not JSON", got=error)) from error
    return plan_of(data, base, str(path))


def plan_of(data: object, base: str = FULL, where: str = "the plan") -> Plan:
    """The plan of parsed JSON. Raises UsageError, as `read_plan`."""
    known = {"precision", "float_type", "choices"}
    if not isinstance(data, dict) or not isinstance(data.get("choices", []), list):
        raise UsageError(sentence(f"{where} is no plan", expected='{"precision": ..., "choices": [...]}'))
    odd = sorted(data.keys() - known)
    if odd:
        raise UsageError(
            sentence(
                f"{where}: an unknown key", expected=" or ".join(sorted(known)), got=odd[0], do=nearest(odd[0], known)
            )
        )
    precision = str(data.get("precision", ""))
    given = [_choice(entry, where) for entry in data.get("choices", [])]
    start = make_plan(precision, base) if precision in PRECISIONS else Plan(CUSTOM, (), base)
    named = {c.group for c in given}
    left = [c for c in start.choices if c.group not in named]
    _refuse_gaps(named | {c.group for c in left}, precision, where)
    float_type = data.get("float_type", start.float_type)
    if float_type not in FLOATS:
        raise UsageError(sentence(f"{where}: float_type", expected=f"one of {', '.join(FLOATS)}", got=repr(float_type)))
    choices = ordered([*given, *left])
    changed = {(c.group, c.scheme) for c in choices} != {(c.group, c.scheme) for c in start.choices}
    plan = Plan(CUSTOM if changed or float_type != start.float_type else precision, choices, float_type)
    for graph in EVERY_GRAPH:
        plan.base(graph)  # refuses several float types in one
    return plan


def _refuse_gaps(named: set[str], precision: str, where: str) -> None:
    missing = [group.name for group in GROUPS if group.name not in named]
    if missing:
        raise UsageError(
            sentence(
                f"{where} says nothing of {', '.join(missing)}",
                expected="a choice for every group, or a precision to take the others from",
                got=f"precision {precision!r}" if precision else "no precision",
                do=f"give precision one of {', '.join(PRECISIONS)}",
            )
        )


def _choice(entry: object, where: str) -> Choice:
    if not isinstance(entry, dict) or not {"group", "scheme"} <= entry.keys() or not entry.keys() <= set(_KEYS):
        raise UsageError(
            sentence(f"{where}: a choice", expected='{"group", "scheme", "reason"}', got=json.dumps(entry))
        )
    group, scheme = str(entry["group"]), str(entry["scheme"])
    part = part_of(group)
    if scheme not in SCHEMES:
        raise UsageError(
            sentence(
                f"{where}: the scheme of {group}",
                expected=f"one of {', '.join(SCHEMES)}",
                got=scheme,
                do=nearest(scheme, SCHEMES),
            )
        )
    kind = next(g.kind for g in GROUPS if g.name == part.group)
    takes = {PRODUCT: None, LOOKUP: _LOOKED_UP, REST: FLOATS}[kind]
    if takes is not None and scheme not in takes:
        raise UsageError(sentence(f"{where}: {group} is no product", expected=f"one of {', '.join(takes)}", got=scheme))
    return Choice(group, scheme, str(entry.get("reason") or "a person chose it"))


def check_plan(plan: Plan, target: Target, samples: bool) -> None:
    """Raises UsageError where the target refuses a scheme of the plan, QuantError where a scheme needs calibration
    samples and there are none: it says which groups, what is missing, and what works without.
    """
    for choice in plan.choices:
        if why := target.why_refused(choice.scheme):
            raise UsageError(
                sentence(f"{target.name} cannot take {choice.scheme} for {choice.group}: {why}", do="change the plan")
            )
    hungry = [c for c in plan.choices if SCHEMES[c.scheme].needs]
    if hungry and not samples:
        without = [name for name in PRECISIONS if not needs_samples(make_plan(name, target.float_type))]
        raise QuantError(
            sentence(
                f"{', '.join(dict.fromkeys(c.scheme for c in hungry))} needs activations that nobody measured",
                expected=f"calibration samples, for {', '.join(c.group for c in hungry)}",
                got="none",
                do="give --episodes a LeRobot dataset, a recording of armside run or a folder of pictures and states; "
                f"without samples: --precision {', '.join(n for n in without if target.why_refused(n) is None)}",
            )
        )


def needs_samples(plan: Plan) -> bool:
    """Whether a scheme of the plan is fitted to activations."""
    return any(SCHEMES[scheme].needs for scheme in plan.schemes())


def check_names(plan: Plan, weights: Iterable[tuple[str, str]]) -> None:
    """weights: (graph, initializer) of a checkpoint's graphs. Raises UsageError where a choice names layers that are
    not there. A whole group may be empty: another mode has it.
    """
    layers: dict[str, set[int]] = {}
    for graph, name in weights:
        layer = layer_of(name)
        if layer is not None:
            layers.setdefault(group_of(graph, name).name, set()).add(layer)
    for choice in plan.choices:
        part = part_of(choice.group)
        there = layers.get(part.group, set())
        if part.width and (part.first not in there or part.last not in there):
            got = f"layers {min(there)} to {max(there)}" if there else "no weight of that group"
            raise UsageError(sentence(f"the plan names {choice.group}", expected="layers of this checkpoint", got=got))
