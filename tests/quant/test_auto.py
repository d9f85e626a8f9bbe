"""`--precision auto`: the least loss that fits, then the fastest; measured losses change the order; nothing fits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy_spec.errors import UsageError
from quant.auto import Candidate, choose
from quant.plan import Plan, make_plan
from quant.precisions import PRECISIONS
from quant.roofline import Memory, Prediction, StageTime, room
from quant.targets import TARGETS

NANO = TARGETS["orin-nano-8"]
# precision -> GB while it runs, floor in ms
FULL_SIZE = {
    "fp32": (19.7, 1500), "fp16": (10.1, 820), "bf16": (10.1, 820), "int8-weight": (5.3, 780), "int8": (7.1, 570),
    "int8-fast": (5.7, 450), "int4-awq": (4.1, 776), "int4-gptq": (4.1, 776), "int4": (4.1, 776),
}  # fmt: skip


def candidates(scale: float = 1.0) -> list[Candidate]:
    made = []
    for name in PRECISIONS:
        size, floor = int(FULL_SIZE[name][0] * scale * 1e9), FULL_SIZE[name][1] / 1e3
        stage = StageTime("llm", 1, floor, 0.0, floor, floor)
        memory = Memory(size, 0, 0, 0, 0, 0, room(NANO, size))
        made.append(Candidate(make_plan(name, "fp16"), Prediction(NANO.name, name, (stage,), floor, floor, memory)))
    return made


def test_the_least_loss_that_fits() -> None:
    chosen = choose(NANO, candidates(), samples=False)
    assert chosen.plan.precision == "int4"
    passed = dict(chosen.passed)
    assert passed.keys() == PRECISIONS.keys() - {"int4"}
    assert "10.1 GB while it runs: orin-nano-8 has 7.0 GB" in passed["fp16"]
    assert "only with nothing else" in passed["int8-fast"]
    assert "needs calibration samples" in passed["int4-awq"]
    assert "--precision auto took int4" in chosen.words()[0] and "int8-fast (5.7 GB" in chosen.words()[1]


def test_samples_and_room_change_the_choice() -> None:
    assert choose(NANO, candidates(), samples=True).plan.precision == "int4-awq"
    assert choose(NANO, candidates(0.6), samples=False).plan.precision == "int8"  # of one class the faster
    assert choose(NANO, candidates(0.45), samples=False).plan.precision in ("fp16", "bf16")
    assert choose(NANO, candidates(0.1), samples=False).plan.precision != "fp32"  # it loses as little, and is slower


def test_measured_losses_come_before_the_order_of_the_rows() -> None:
    def loss(plan: Plan) -> float | None:
        return {"int8-fast": 0.001, "int8": 0.5}.get(plan.precision, 0.01)

    chosen = choose(NANO, candidates(0.6), samples=False, loss=loss)
    assert chosen.plan.precision == "int8-fast" and "measured sensitivity" in chosen.why
    partly = choose(NANO, candidates(0.6), False, lambda plan: None if plan.precision == "int4" else 0.0)
    assert "order of the precisions (nobody measured int4)" in partly.why and partly.plan.precision == "int8"


def test_nothing_fits() -> None:
    with pytest.raises(UsageError, match=r"no precision fits orin-nano-8; expected: at most 5.2 GB .*; got: 12.3 GB"):
        choose(NANO, candidates(3), samples=True)
    choose(replace(NANO, usable_gb=(20.0, 22.0)), [replace_room(c) for c in candidates()], samples=False)  # the control


def replace_room(candidate: Candidate) -> Candidate:
    memory = replace(candidate.prediction.memory, fits="fits")
    return replace(candidate, prediction=replace(candidate.prediction, memory=memory))
