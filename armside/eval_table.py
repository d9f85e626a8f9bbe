"""What outcomes say: a row per policy, task and condition, and the difference of two policies on the same scenes.

Takes Outcomes, gives rows of data, a table for people and JSON for programs. Rates with Wilson's 95 % intervals, times
and ways of the successes alone.
"""

from __future__ import annotations

import collections
import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from armside.eval_cases import Outcome

if TYPE_CHECKING:
    from rich.table import Table

    from sim.paired import Difference

FORMAT, VERSION = "armside-eval", 1


@dataclass(frozen=True, slots=True)
class Row:
    """One policy at one task under one condition."""

    policy: str
    task: str
    condition: str
    episodes: int
    successes: int
    low: float  # of the 95 % interval
    high: float
    chance: float  # who does any of the things that could be meant
    seconds: float | None  # mean of the successes
    path_rad: float | None
    followed: float | None  # with a wrong word: how often it did what it was told
    refused: int  # chunks
    endings: Mapping[str, int]

    @property
    def rate(self) -> float:
        return self.successes / self.episodes


@dataclass(frozen=True, slots=True)
class Compared:
    """Another policy against the first, on the same scenes."""

    policy: str
    against: str
    task: str
    condition: str
    difference: Difference


def make_rows(policy: str, outcomes: Iterable[Outcome]) -> list[Row]:
    """In the order in which tasks and conditions first come."""
    groups: dict[tuple[str, str], list[Outcome]] = collections.defaultdict(list)
    for outcome in outcomes:
        groups[outcome.case.task, outcome.case.condition.name].append(outcome)
    return [_row(policy, task, condition, found) for (task, condition), found in groups.items()]


def _row(policy: str, task: str, condition: str, found: Sequence[Outcome]) -> Row:
    from sim.metrics import wilson
    from sim.tasks.table import task_of

    good = [outcome for outcome in found if outcome.success]
    low, high = wilson(len(good), len(found))
    told = [outcome.followed for outcome in found if outcome.followed is not None]
    return Row(
        policy=policy,
        task=task,
        condition=condition,
        episodes=len(found),
        successes=len(good),
        low=low,
        high=high,
        chance=task_of(task).chance,
        seconds=statistics.fmean(o.seconds for o in good) if good else None,
        path_rad=statistics.fmean(o.path_rad for o in good) if good else None,
        followed=sum(told) / len(told) if told else None,
        refused=sum(o.refused for o in found),
        endings=dict(collections.Counter(o.ending for o in found if not o.success).most_common()),
    )


def compare(outcomes: Mapping[str, Sequence[Outcome]]) -> list[Compared]:
    """Every further policy against the first, case by case."""
    from sim.paired import difference

    (first, base), *others = outcomes.items()
    found = []
    for policy, mine in others:
        by_case = {outcome.case: outcome.success for outcome in mine}
        groups: dict[tuple[str, str], list[tuple[bool, bool]]] = collections.defaultdict(list)
        for outcome in base:
            pair = outcome.success, by_case[outcome.case]
            groups[outcome.case.task, outcome.case.condition.name].append(pair)
        for (task, condition), pairs in groups.items():
            split = difference([a for a, _ in pairs], [b for _, b in pairs])
            found.append(Compared(policy, first, task, condition, split))
    return found


def table_of(rows: Sequence[Row]) -> Table:
    """For a terminal."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    named = len({row.policy for row in rows}) > 1
    told = any(row.followed is not None for row in rows)
    for column in (*(("policy",) if named else ()), "task", "condition"):
        table.add_column(column, overflow="fold")
    for column in ("episodes", "success", "95 % interval", "chance", "time", "way", *(("as told",) if told else ())):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        cells = [
            *((row.policy,) if named else ()),
            row.task,
            row.condition,
            str(row.episodes),
            f"{100 * row.rate:.1f} %",
            f"{100 * row.low:.1f} to {100 * row.high:.1f}",
            f"{100 * row.chance:.0f} %",
            "-" if row.seconds is None else f"{row.seconds:.2f} s",
            "-" if row.path_rad is None else f"{row.path_rad:.2f} rad",
        ]
        if told:
            cells.append("-" if row.followed is None else f"{100 * row.followed:.0f} %")
        table.add_row(*cells)
    return table


def lines_of(compared: Sequence[Compared]) -> list[str]:
    """A line for each difference."""
    lines = []
    for one in compared:
        split = one.difference
        lines.append(
            f"{one.policy} against {one.against}, {one.task} {one.condition}: {100 * split.value:+.1f} points, 95 % "
            f"{100 * split.low:+.1f} to {100 * split.high:+.1f} ({split.pairs} pairs, {split.only_second} only it, "
            f"{split.only_first} only the other, p = {split.chance:.2g})"
        )
    return lines


def to_json(rows: Sequence[Row], compared: Sequence[Compared], settings: Mapping[str, Any]) -> dict[str, Any]:
    """For programs."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "settings": dict(settings),
        "rows": [{**dataclasses.asdict(row), "rate": row.rate} for row in rows],
        "differences": [dataclasses.asdict(one) for one in compared],
    }
