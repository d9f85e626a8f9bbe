"""What a sensitivity measurement tries: every part of the precision plan alone, in every scheme that it can have.

Takes float graphs (shapes alone are looked at), schemes and perhaps groups; gives Trials, each a plan that changes one
group, or one layer of it. A group of rows that does not divide a small model's matrices becomes a smaller one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from policy_spec.errors import UsageError, sentence
from quant.cost import Stage, cost_of
from quant.count import GraphCount, count_graph
from quant.fit import fitted
from quant.groups import BY_NAME, GROUPS, LOOKUP, PRODUCT, REST, group_of, layer_of, nearest
from quant.plan import Choice, Plan, ordered
from quant.plan_file import CUSTOM
from quant.precisions import FLOATS, FULL
from quant.rewrite import ORT
from quant.schemes import SCHEMES, W8
from quant.sensitivity import Trial

DEFAULT = ("int8-w8a8", "int4-g128")


def trials(
    models: Mapping[str, ir.Model], schemes: Sequence[str] = DEFAULT, groups: Sequence[str] = (), layers: bool = False
) -> list[Trial]:
    """groups: only these; none: all. layers: each layer of a group too. Raises UsageError on unknown names."""
    check_schemes(schemes)
    for name in groups:
        if name not in BY_NAME:
            raise UsageError(
                sentence("group to measure", expected=", ".join(measurable()), got=name, do=nearest(name, BY_NAME))
            )
    counts = [count_graph(model) for model in models.values()]
    found: dict[tuple[str, str], Trial] = {}
    for group in GROUPS:
        if group.kind == REST or group.name not in (groups or measurable()):
            continue
        for part, graph in _parts(group.name, group.kind, counts, layers):
            for scheme in schemes:
                trial = _trial(part, graph, _takes(group.kind, scheme), counts)
                if trial.tensors:
                    found.setdefault((trial.part, trial.scheme), trial)
    return list(found.values())


def measurable() -> list[str]:
    """Groups that a measurement can change. What adaLN reads is a table of float32 in every precision."""
    return [group.name for group in GROUPS if group.kind != REST and group.name != "expert.modulations"]


def check_schemes(schemes: Sequence[str]) -> None:
    """Raises UsageError on an unknown scheme, on none, and on float32."""
    for name in schemes:
        if name not in SCHEMES or name == FULL:
            known = ", ".join(scheme for scheme in SCHEMES if scheme != FULL)
            raise UsageError(
                sentence("scheme to measure", expected=f"one of {known}", got=name, do=nearest(name, SCHEMES))
            )
    if not schemes:
        raise UsageError(sentence("schemes to measure", expected="at least one", got="none"))


def _parts(group: str, kind: str, counts: Sequence[GraphCount], layers: bool) -> list[tuple[str, str]]:
    """The group, then its layers, with the graph that holds each."""
    parts: dict[str, str] = {}
    for count in counts:
        products = {product.weight for product in count.products}
        for weight in count.weights:
            usable = weight.table if kind == LOOKUP else weight.name in products and len(weight.shape) == 2
            if usable and group_of(count.name, weight.name).name == group:
                parts.setdefault(group, count.name)
                layer = layer_of(weight.name)
                if layers and layer is not None:
                    parts.setdefault(f"{group}@{layer}", count.name)
    return list(parts.items())


def _takes(kind: str, scheme: str) -> str:
    """A table has rows in int8, or floats."""
    return scheme if kind == PRODUCT or scheme in FLOATS else W8


def _trial(part: str, graph: str, scheme: str, counts: Sequence[GraphCount]) -> Trial:
    rest = [Choice(group.name, FULL, "as trained") for group in GROUPS if group.name != part]
    asked = Plan(CUSTOM, ordered([Choice(part, scheme, "tried"), *rest]))
    plan = fitted(asked, counts)
    mine = next(choice for choice in plan.choices if choice.group == part)
    count = next(count for count in counts if count.name == graph)
    products = {product.weight for product in count.products}
    weights = [
        w for w in count.weights
        if plan.choice(graph, w.name).group == part and (w.table or w.name in products) and len(w.shape) == 2
    ]  # fmt: skip
    full = Plan(CUSTOM, tuple(Choice(c.group, FULL, "") for c in plan.choices))
    stage = Stage(graph, count, 1)
    saved = cost_of(full, [stage], ORT).stored - cost_of(plan, [stage], ORT).stored
    return Trial(part, mine.scheme, graph, plan, len(weights), saved)
