"""The precision plan: which scheme each group of tensors gets, and why.

A plan is a list of choices. A choice is about a group or some layers of it; for each weight the finest choice that
holds it wins. Named plans are rows of quant.precisions; quant.plan_file reads and writes them as JSON; quant.targets
says what a computer takes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from policy_spec.errors import ExportError, UsageError, sentence
from quant.groups import BY_NAME, GROUPS, PRODUCT, REST, group_of, layer_of, nearest, part_of
from quant.precisions import AUTO, BASE, FLOATS, FULL, HALF, PRECISIONS, STAYS, Precision


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of a plan."""

    group: str  # llm.ffn, or some layers of it: llm.ffn@3, llm.ffn@0-3
    scheme: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A choice for every group; those about fewer layers come first, and win."""

    precision: str
    choices: tuple[Choice, ...]
    float_type: str = FULL  # of a graph whose products are all quantized: what they are scaled back to

    def choice(self, graph: str, initializer: str) -> Choice:
        """The choice for one weight. Raises ExportError if no group claims it, or no choice is about its group."""
        group, layer = group_of(graph, initializer).name, layer_of(initializer)
        for choice in self.choices:
            if part_of(choice.group).holds(group, layer):
                return choice
        raise ExportError(
            sentence(f"the plan has no choice for {graph}/{initializer}", expected=f"one for the group {group}")
        )

    def schemes(self) -> tuple[str, ...]:
        """Every scheme that it uses, once, in order."""
        return tuple(dict.fromkeys(choice.scheme for choice in self.choices))

    def base(self, graph: str) -> str:
        """The float type of what one graph does not quantize: FULL, FP16 or BF16; products that the plan keeps
        FULL in a graph of a lower type are islands in it. Raises UsageError where the products are of two lower types.
        """
        mine = {name for name, group in BY_NAME.items() if graph in group.graphs and group.kind == PRODUCT}
        floats = {c.scheme: c.group for c in self.choices if c.scheme in FLOATS and part_of(c.group).group in mine}
        lower = {scheme: group for scheme, group in floats.items() if scheme != FULL}
        if len(lower) > 1:
            raise UsageError(
                sentence(
                    f"a plan gives the {graph} graph several float types",
                    expected="one beside fp32, for all products that are not quantized",
                    got=", ".join(f"{group} {scheme}" for scheme, group in lower.items()),
                    do="give them the same one",
                )
            )
        return next(iter(lower or floats), self.float_type)


def ordered(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """The order of a plan: groups as in GROUPS, the finest part of each first. Raises UsageError on two choices for the
    same part, or for parts that share layers and name equally many: which wins would be an accident.
    """
    keyed = [(part_of(choice.group), choice) for choice in choices]
    places = list(BY_NAME)
    keyed.sort(key=lambda entry: (places.index(entry[0].group), entry[0].width or 10**9, entry[0].first or 0))
    for (a, first), (b, second) in itertools.pairwise(keyed):
        whole = a.group == b.group and a.width == b.width == 0
        if whole or (a.group == b.group and a.width == b.width and b.holds(a.group, a.last)):
            raise UsageError(
                sentence(
                    "a plan says twice what becomes of the same weights",
                    expected="one choice for each part",
                    got=f"{first.group} {first.scheme} and {second.group} {second.scheme}",
                )
            )
    return tuple(choice for _, choice in keyed)


def make_plan(precision: str, base: str = FULL) -> Plan:
    """The plan of a named precision on a target that computes in `base` (quant.targets.Target.base). Raises UsageError
    listing the names.
    """
    if precision not in PRECISIONS:
        raise UsageError(
            sentence(
                "unknown precision",
                expected=f"one of {', '.join((*PRECISIONS, AUTO))}",
                got=precision,
                do=nearest(precision, PRECISIONS) or "give --precision",
            )
        )
    row = PRECISIONS[precision]
    choices = tuple(_choice(row, base, group.name) for group in GROUPS)
    return Plan(precision, choices, base if row.base == BASE else row.base)


def _choice(row: Precision, base: str, group: str) -> Choice:
    table = {**row.groups, **(row.on_cpu if base == FULL else {})}
    if group in table:
        return Choice(group, *table[group])
    mine = row.base if row.base != BASE else base
    if not table:
        if mine == FULL:
            return Choice(group, FULL, "full precision was asked for")
        keeps = BY_NAME[group].kind == REST
        return Choice(group, FULL if keeps else mine, STAYS[group] if keeps else HALF[mine])
    if mine == FULL or BY_NAME[group].kind == REST:
        return Choice(group, FULL, STAYS[group])
    return Choice(group, mine, f"{mine}, no lower: {STAYS[group]}")
