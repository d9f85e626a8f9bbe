"""A precision plan from a measured sensitivity: what saves most for what it loses, until the budget is used up.

Takes the measurement, a target and a budget: the most that the action may move (normalised, the parts' errors added
up, as if each pushed the same way) or the most bytes. Starts from the target's float type and takes, step by step, the
part whose change gains most per error. Gives the plan, every reason with its numbers. Knows no graphs: what a plan
costs it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policy_spec.errors import UsageError, sentence
from quant.groups import GROUPS, REST
from quant.loss import Measured
from quant.plan import Choice, Plan, make_plan, ordered
from quant.plan_file import CUSTOM
from quant.precisions import FULL, HALF, STAYS
from quant.schemes import SCHEMES
from quant.sensitivity_file import Sensitivity
from quant.targets import GB, Target

ACTION, SIZE = "action-error", "size"
ACTION_ERROR = 0.05  # normalised: the default budget, what `int8` may lose at most by quant.verify
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent."""

    kind: str = ACTION
    most: float = ACTION_ERROR  # normalised action, or bytes


@dataclass(frozen=True, slots=True)
class Price:
    """What a plan costs on the target."""

    seconds: float  # floor of a call
    bytes: int  # of weights, stored


@dataclass(frozen=True, slots=True)
class Made:
    """The plan, what it is expected to lose, and what that says to a person."""

    plan: Plan
    lost: float  # normalised action, the parts' worst added up
    price: Price
    notes: tuple[str, ...]


def read_budget(text: str) -> Budget:
    """`action-error`, `action-error=0.02`, `size=3.5` (GB). Raises UsageError."""
    kind, _, amount = text.partition("=")
    try:
        value = float(amount) if amount else ACTION_ERROR
    except ValueError:
        value = -1.0
    if kind not in (ACTION, SIZE) or value <= 0 or (kind == SIZE and not amount):
        raise UsageError(
            sentence(
                "--budget",
                expected=f"{ACTION}=X (of a normalised action, default {ACTION_ERROR}) or {SIZE}=GB",
                got=repr(text),
            )
        )
    return Budget(kind, value * GB if kind == SIZE else value)


def plan_from(
    measured: Sensitivity, target: Target, budget: Budget, price: Callable[[Plan], Price], samples: bool = True
) -> Made:
    """price: of a plan on the target. samples: whether schemes that need activations may be taken. Raises UsageError
    where nothing that was measured keeps the budget.
    """
    options = _options(measured, target, samples)
    taken: dict[str, Measured] = {}
    now = price(_plan(measured, target, taken))
    while budget.kind == ACTION or now.bytes > budget.most:
        best = _best(measured, target, budget, (taken, now), options, price)
        if best is None:
            break
        taken[best[0].part], now = best
    lost = sum(row.action_worst for row in taken.values())
    if budget.kind == SIZE and now.bytes > budget.most:
        raise UsageError(
            sentence(
                "no plan of what was measured is so small",
                expected=f"at most {budget.most / GB:.3g} GB",
                got=f"{now.bytes / GB:.3g} GB with every part in its smallest scheme",
                do="measure smaller schemes (armside quant sensitivity --schemes int4-g128), or allow more",
            )
        )
    return Made(_plan(measured, target, taken), lost, now, _notes(measured, budget, taken, lost))


def _options(measured: Sensitivity, target: Target, samples: bool) -> dict[str, list[Measured]]:
    """What each whole group may become on the target."""
    found: dict[str, list[Measured]] = {}
    for row in measured.rows:
        refused = target.why_refused(row.scheme) or (SCHEMES[row.scheme].needs and not samples)
        if "@" not in row.part and not refused and row.scheme not in (FULL, *HALF):
            found.setdefault(row.part, []).append(row)
    return found


def _best(
    measured: Sensitivity,
    target: Target,
    budget: Budget,
    so_far: tuple[Mapping[str, Measured], Price],
    options: Mapping[str, list[Measured]],
    price: Callable[[Plan], Price],
) -> tuple[Measured, Price] | None:
    """The change that gains most for each error that it adds; None where none gains or keeps the budget."""
    taken, now = so_far
    lost, found = sum(row.action_worst for row in taken.values()), []
    for part, rows in options.items():
        before = taken[part].action_worst if part in taken else 0.0
        for row in rows:
            if taken.get(part) is row:
                continue
            more = row.action_worst - before
            cost = price(_plan(measured, target, {**taken, part: row}))
            gain = (now.bytes - cost.bytes) / GB if budget.kind == SIZE else now.seconds - cost.seconds
            keeps = budget.kind == SIZE or lost + more <= budget.most
            if gain > TINY and keeps:
                found.append((gain / max(more, TINY), row, cost))
    best = max(found, key=lambda entry: entry[0], default=None)
    return None if best is None else (best[1], best[2])


def _plan(measured: Sensitivity, target: Target, taken: Mapping[str, Measured]) -> Plan:
    base = target.float_type
    start = make_plan("fp32" if base == FULL else base)
    rest = {group.name for group in GROUPS if group.kind == REST}
    choices = []
    for choice in start.choices:
        row = taken.get(choice.group)
        if row is not None:
            choices.append(Choice(choice.group, row.scheme, measured.words(row)))
        else:
            choices.append(Choice(choice.group, choice.scheme, _why(measured, choice, rest)))
    return Plan(CUSTOM, ordered(choices), base)


def _why(measured: Sensitivity, choice: Choice, rest: set[str]) -> str:
    """Why a group stays: what each scheme that was tried would have lost."""
    tried = [row for row in measured.rows if row.part == choice.group]
    if choice.group in rest or not tried:
        return STAYS[choice.group]
    words = ", ".join(f"{row.scheme} moves the action by {measured.amount(row)}" for row in tried)
    return f"stays {choice.scheme}: {words}"


def _notes(measured: Sensitivity, budget: Budget, taken: Mapping[str, Measured], lost: float) -> tuple[str, ...]:
    spent = f"of {budget.most:.3g} that may be lost" if budget.kind == ACTION else "added up"
    notes = [
        f"{len(taken)} groups quantized; their worst action errors, each measured alone, come to {lost:.3g} {spent} "
        f"(normalised, {len(measured.samples)} samples of {measured.source})"
    ]
    if lost > measured.control:
        notes.append(f"that is more than another noise seed does ({measured.control:.3g})")
    return tuple(notes)
