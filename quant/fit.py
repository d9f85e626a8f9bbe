"""A named precision fitted to a checkpoint's shapes: groups of rows that divide every matrix they are cut from.

The released sizes are multiples of 128; small models may not be. Only named precisions are fitted: a plan that a person
wrote is refused instead, by the scheme itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from policy_spec.errors import UsageError, sentence
from quant.count import GraphCount
from quant.plan import Choice, Plan
from quant.schemes import SCHEMES


def fitted(plan: Plan, graphs: Iterable[GraphCount]) -> Plan:
    """The plan with smaller groups where its own do not divide the rows of every product they are for; int8 weights
    where none does.
    """
    rows = _rows(plan, graphs)
    return Plan(plan.precision, tuple(_fitted(c, rows.get(c, set())) for c in plan.choices), plan.float_type)


def check_groups(plan: Plan, graphs: Iterable[GraphCount]) -> None:
    """Raises UsageError where a group of a choice's scheme does not divide the rows of a product that it is for."""
    for choice, rows in _rows(plan, graphs).items():
        size = SCHEMES[choice.scheme].group
        if size and any(count % size for count in rows):
            raise UsageError(
                sentence(
                    f"the plan gives {choice.group} {choice.scheme}",
                    expected=f"products whose rows {size} divides",
                    got=f"{_listed(rows, size)} rows",
                    do="choose a smaller group, int8-weight or fp16 for it",
                )
            )


def _rows(plan: Plan, graphs: Iterable[GraphCount]) -> dict[Choice, set[int]]:
    """Rows of the products that each choice is for."""
    rows: dict[Choice, set[int]] = {}
    for graph in graphs:
        products = {product.weight for product in graph.products}
        for weight in graph.weights:
            if weight.name in products:
                rows.setdefault(plan.choice(graph.name, weight.name), set()).add(weight.shape[0])
    return rows


def _fitted(choice: Choice, rows: set[int]) -> Choice:
    group = SCHEMES[choice.scheme].group
    if not group or all(count % group == 0 for count in rows):
        return choice
    smaller = [g for g in sorted({s.group for s in SCHEMES.values() if 0 < s.group < group}, reverse=True)]
    for size in smaller:
        if all(count % size == 0 for count in rows):
            why = f"{choice.reason}; groups of {size}: {group} do not divide {_listed(rows, group)} rows"
            return Choice(choice.group, choice.scheme.replace(f"-g{group}", f"-g{size}"), why)
    return Choice(choice.group, "int8-weight", f"int8: no group of int4 divides {_listed(rows, group)} rows")


def _listed(rows: set[int], group: int) -> str:
    return ", ".join(str(count) for count in sorted(rows) if count % group)
