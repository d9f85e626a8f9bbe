"""The errands as a table: how long each may take, what is drawn for it, what chance would do. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy_spec.errors import SimError, sentence


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of errand."""

    kind: str
    limit_s: float  # an episode that is not done by then has failed
    things: int  # objects of different colours, of which the words mean one
    area: tuple[tuple[float, float], tuple[float, float]]  # m: x and y in which they stand in training
    shapes: tuple[str, ...]
    sides: tuple[str, ...] = ("",)  # one is drawn; "" where there is none to name
    corridor: float = 0.0  # m that must be free along the side, behind and before the object

    @property
    def chance(self) -> float:
        """Success of who does one of the things that could be meant, whatever the words."""
        return 1.0 / (self.things * len(self.sides))


TASKS: Mapping[str, Task] = {
    task.kind: task
    for task in (
        Task("reach", 8.0, 3, ((0.16, 0.26), (-0.12, 0.12)), ("cube", "cylinder", "ball")),
        Task("push", 12.0, 3, ((0.16, 0.24), (-0.10, 0.10)), ("cube", "cylinder"), ("left", "right"), 0.11),
        Task("pick", 12.0, 3, ((0.17, 0.25), (-0.10, 0.10)), ("cube", "cylinder")),
    )
}


def task_of(kind: str) -> Task:
    """The row of `kind`. Raises SimError that lists the known ones."""
    if kind not in TASKS:
        raise SimError(sentence("task", expected=" or ".join(TASKS), got=kind))
    return TASKS[kind]
