"""What a call may take on the boards that Armside is made for: aims as rows, and the judgement of a measurement.

Takes facts of a bundle and a board and measured ms; gives Judgements. An aim is for the released size, two cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

FULL_LAYERS = 36  # of the language model, at the released size
CALL, RATIO = "call", "think / plain"
LEAST_CHANGED = 0.19  # the ratio's aim is set for 20 % of the cells


@dataclass(frozen=True, slots=True)
class Aim:
    """One row. `precision` and `board` are beginnings and parts of names; "" fits all."""

    what: str  # CALL (ms, median) or RATIO
    board: str
    precision: str
    most: float
    stretch: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What was measured."""

    board: str
    precision: str
    layers: int
    cameras: int
    changed: float = 0.0  # share of the cells, measured; of thinking


@dataclass(frozen=True, slots=True)
class Judgement:
    """An aim beside what was measured."""

    what: str
    aim: float
    stretch: float | None
    got: float
    met: bool


AIMS = (
    Aim(CALL, "AGX Orin", "int8", 300.0, 250.0),
    Aim(CALL, "AGX Orin", "fp16", 400.0),
    Aim(CALL, "Orin Nano", "int4", 1000.0),
    Aim(RATIO, "Orin", "", 1.6),
)


def judge(subject: Subject, measured: dict[str, float]) -> list[Judgement]:
    """Every aim that fits and was measured; `measured` by CALL and RATIO. Empty: no aim is set for such a run."""
    if subject.layers < FULL_LAYERS or subject.cameras != 2:
        return []
    fits = [aim for aim in AIMS if aim.board in subject.board and subject.precision.startswith(aim.precision)]
    return [
        Judgement(aim.what, aim.most, aim.stretch, measured[aim.what], measured[aim.what] <= aim.most)
        for aim in fits
        if aim.what in measured and (aim.what != RATIO or subject.changed >= LEAST_CHANGED)
    ]
