"""Plans made of a measured sensitivity: within their budget, with reasons that quote the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policy_spec.errors import UsageError
from quant.loss import Measured
from quant.plan import Plan, make_plan
from quant.plan_file import plan_json, read_plan
from quant.plan_measured import ACTION, SIZE, Budget, Price, plan_from, read_budget
from quant.sensitivity_file import Joint, Sensitivity, Told, read_sensitivity
from quant.targets import TARGETS

W8A8, INT4 = "int8-w8a8", "int4-g128"
SIZES = {"llm.attention": 2e9, "llm.ffn": 6e9, "expert.mlp": 1e9, "vision.vit": 1e9}  # bytes in float32
SHARE = {W8A8: 0.25, INT4: 0.14, "int4-g128-awq": 0.14}


def row(part: str, scheme: str, action: float, kv: float = 0.004) -> Measured:
    return Measured(
        part=part, scheme=scheme, tensors=3, saved=100, kv=(0.001, kv), kv_worst=kv, kv_layer=7, kv_sample=1,
        velocity=1e-4, velocity_worst=2e-4, velocity_sample=0, flow=0.5, action_mean=action / 2, action_worst=action,
        action_joint=1, action_sample=12, joints=(0.0, action), cosine=0.999,
    )  # fmt: skip


def measured(*rows: Measured) -> Sensitivity:
    samples = tuple(Told(f"run, episode 0, frame {n}", "lowest elbow (1)", "ab" * 32) for n in range(13))
    joints = (Joint("elbow", "rad", 2.0), Joint("wrist", "rad", 0.3))
    return Sensitivity("made up", "run", "cd" * 32, samples, joints, 8, 0.4, True, 0.9, rows)


ALL = measured(
    row("llm.ffn", W8A8, 0.01),
    row("llm.ffn", INT4, 0.08),
    row("llm.attention", W8A8, 0.03),
    row("llm.attention", INT4, 0.3),
    row("expert.mlp", W8A8, 0.005, kv=0.0),
    row("vision.vit", W8A8, 0.5),
    row("llm.ffn@3", W8A8, 0.001),
)


def price(plan: Plan) -> Price:
    """As if time went with bytes."""
    stored = sum(SIZES.get(c.group, 0.0) * SHARE.get(c.scheme, 1.0) for c in plan.choices)
    return Price(stored / 1e11, int(stored))


def schemes(plan: Plan) -> dict[str, str]:
    return {c.group: c.scheme for c in plan.choices if c.group in SIZES}


def test_the_budget_is_kept_and_the_reasons_quote_the_numbers() -> None:
    made = plan_from(ALL, TARGETS["x86-cpu"], Budget(ACTION, 0.05), price)
    assert schemes(made.plan) == {
        "llm.ffn": W8A8, "llm.attention": W8A8, "expert.mlp": W8A8, "vision.vit": "fp32",
    }  # fmt: skip
    assert made.lost == pytest.approx(0.045) and made.price == price(made.plan)
    why = {c.group: c.reason for c in made.plan.choices}
    assert why["llm.ffn"] == (
        "measured alone: K/V error 0.4 % worst layer 7, action 0.003 rad (wrist) worst sample 12: int8-w8a8"
    )
    assert why["expert.mlp"].startswith("measured alone: action 0.0015 rad")  # it has no K and V
    assert why["vision.vit"] == "stays fp32: int8-w8a8 moves the action by 0.15 rad"
    assert schemes(plan_from(ALL, TARGETS["x86-cpu"], Budget(ACTION, 1e-4), price).plan) == dict.fromkeys(SIZES, "fp32")


def test_a_size_is_reached_where_it_costs_least() -> None:
    made = plan_from(ALL, TARGETS["x86-cpu"], Budget(SIZE, 4.2e9), price)
    assert made.price.bytes <= 4.2e9 and schemes(made.plan)["vision.vit"] == "fp32"
    small = plan_from(ALL, TARGETS["x86-cpu"], Budget(SIZE, 1.9e9), price)
    assert schemes(small.plan) == {
        "llm.ffn": INT4, "llm.attention": W8A8, "expert.mlp": W8A8, "vision.vit": W8A8,
    }  # fmt: skip
    with pytest.raises(UsageError, match=r"no plan of what was measured is so small; expected: at most 0.5 GB; got: 1"):
        plan_from(ALL, TARGETS["x86-cpu"], Budget(SIZE, 0.5e9), price)


def test_what_a_target_computes_in_is_the_rest() -> None:
    plan = plan_from(ALL, TARGETS["orin-nano-8"], Budget(ACTION, 0.05), price).plan
    assert schemes(plan)["vision.vit"] == "fp16" and plan.base("vision") == "fp16"


def test_without_samples_no_scheme_that_needs_some() -> None:
    found = measured(row("llm.ffn", "int4-g128-awq", 0.001))
    assert schemes(plan_from(found, TARGETS["x86-cpu"], Budget(), price).plan)["llm.ffn"] == "int4-g128-awq"
    assert schemes(plan_from(found, TARGETS["x86-cpu"], Budget(), price, False).plan)["llm.ffn"] == "fp32"


def test_the_plan_can_be_given_back(tmp_path: Path) -> None:
    made = plan_from(ALL, TARGETS["x86-cpu"], Budget(), price).plan
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan_json(made)))
    assert read_plan(path) == made


def test_a_measurement_survives_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "sensitivity.json"
    path.write_text(json.dumps(ALL.to_json()))
    assert read_sensitivity(path) == ALL
    assert ALL.loss(make_plan("fp32")) == 0.0 and ALL.loss(make_plan("int4")) is None
    path.write_text(path.read_text().replace('"kv_layer"', '"layer"'))
    with pytest.raises(UsageError, match=r"holds no measured sensitivity.*; what to do: make one with armside quant"):
        read_sensitivity(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_sensitivity(tmp_path / "none.json")


@pytest.mark.parametrize("text", ["size", "size=x", "speed=2", "action-error=-1"])
def test_budgets(text: str) -> None:
    assert read_budget("size=3.5") == Budget(SIZE, 3.5e9) and read_budget("action-error") == Budget()
    with pytest.raises(UsageError, match="--budget"):
        read_budget(text)
