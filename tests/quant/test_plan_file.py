"""Plans as files: written and read back, edited, and every mistake named before anything is exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from armside.plan_choice import Wanted, plan_export, write_plan
from export.build import GraphOptions
from policy_spec.errors import QuantError, UsageError
from quant.groups import GROUPS
from quant.plan import make_plan
from quant.plan_file import CUSTOM, check_names, check_plan, plan_json, plan_of, read_plan
from quant.precisions import FP16, FULL, PRECISIONS
from quant.targets import TARGETS, check_target

CPU, NANO = TARGETS["x86-cpu"], TARGETS["orin-nano-8"]


def changed(*choices: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"precision": "int8", "choices": list(choices), **more}


@pytest.mark.parametrize("base", [FULL, FP16])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_plan_comes_back_as_it_was(precision: str, base: str, tmp_path: Path) -> None:
    plan = make_plan(precision, base)
    write_plan(tmp_path / "plan.json", plan)
    assert read_plan(tmp_path / "plan.json", base) == plan


def test_a_file_may_hold_only_what_differs() -> None:
    plan = plan_of(changed({"group": "llm.ffn@0-1", "scheme": "int8-weight", "reason": "mine"}))
    default = make_plan("int8")
    assert plan.precision == CUSTOM and len(plan.choices) == len(GROUPS) + 1
    assert plan.choice("llm", "model.transformer.blocks.1.mlp.ff_out.weight").reason == "mine"
    assert plan.choice("llm", "model.transformer.blocks.2.mlp.ff_out.weight").scheme == "int8-w8a8"
    assert [c for c in plan.choices if "@" not in c.group] == list(default.choices)
    assert plan_of(changed()) == default  # the control: nothing differs, so it is the named one
    assert plan_of(plan_json(plan)) == plan


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "is no plan"),
        (changed(extra=1), "unknown key; expected: choices or float_type or precision; got: extra"),
        (changed({"group": "llm.ffn"}), 'a choice; expected: {"group", "scheme", "reason"}'),
        (changed({"group": "llm.fnn", "scheme": "fp32"}), "did you mean llm.ffn"),
        (changed({"group": "llm.ffn", "scheme": "int8-w8a9"}), "did you mean int8-w8a8"),
        (changed({"group": "llm.norms", "scheme": "int8-w8a8"}), "llm.norms is no product; expected: one of fp32"),
        (changed({"group": "llm.embeddings", "scheme": "int4-g32"}), "expected: one of fp32, fp16, bf16, int8-weight"),
        (
            changed({"group": "llm.ffn", "scheme": "fp16"}, {"group": "llm.attention", "scheme": "bf16"}),
            "llm graph several float types",
        ),
        (changed(float_type="int8"), "float_type; expected: one of fp32, fp16, bf16"),
        (
            {"choices": [{"group": "llm.ffn", "scheme": "fp32"}]},
            "says nothing of vision.patches, .*; got: no precision",
        ),
        ({"precision": "int9", "choices": []}, "got: precision 'int9'"),
        (changed(*[{"group": "llm.ffn", "scheme": "fp32"}] * 2), "says twice"),
    ],
)
def test_mistakes_are_named(data: object, words: str) -> None:
    with pytest.raises(UsageError) as error:
        plan_of(data)
    assert all(part in str(error.value) for part in words.split(", .*"))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_plan(tmp_path / "absent.json")
    (tmp_path / "half.json").write_text('{"precision": ')
    with pytest.raises(UsageError, match="is not JSON"):
        read_plan(tmp_path / "half.json")


def test_layers_that_are_not_there_are_refused() -> None:
    weights = [("llm", f"model.transformer.blocks.{layer}.mlp.ff_out.weight") for layer in range(4)]
    check_names(plan_of(changed({"group": "llm.ffn@3", "scheme": "fp32"})), weights)
    for group in ("llm.ffn@4", "llm.ffn@2-9"):
        with pytest.raises(
            UsageError, match=rf"names {group}; expected: layers of this checkpoint; got: layers 0 to 3"
        ):
            check_names(plan_of(changed({"group": group, "scheme": "fp32"})), weights)
    with pytest.raises(UsageError, match="no weight of that group"):
        check_names(plan_of(changed({"group": "expert.mlp@0", "scheme": "fp32"})), weights)


def test_what_a_target_refuses_is_refused_with_the_reason() -> None:
    for precision, words in (("fp8", "capability 8.9, and Orin's GPU is 8.7"), ("nvfp4", "no FP4 units")):
        with pytest.raises(UsageError, match=words) as error:
            check_target("orin-nano-8", precision)
        assert "broken without a word" in str(error.value) and "--precision auto" in str(error.value)
    with pytest.raises(UsageError, match="the GPU could"):
        check_target("thor", "fp8")
    with pytest.raises(UsageError, match="no bfloat16 product"):
        check_target("x86-cpu", "bf16")
    with pytest.raises(UsageError, match="did you mean orin-nano-8"):
        check_target("orin-nano", "int8")
    half = plan_of({"precision": "bf16", "choices": []})
    check_plan(half, NANO, samples=False)
    with pytest.raises(UsageError, match=r"x86-cpu cannot take bf16 for vision\.patches"):
        check_plan(half, CPU, samples=False)


def test_schemes_that_need_samples_say_what_works_without() -> None:
    plan = make_plan("int4-awq")
    check_plan(plan, CPU, samples=True)
    with pytest.raises(QuantError) as error:
        check_plan(plan, CPU, samples=False)
    for words in ("int4-g128-awq needs activations", "for llm.attention, llm.ffn", "--episodes", "int8-weight, int8"):
        assert words in str(error.value)
    assert "gptq" not in str(error.value).split("without samples")[1] and "bf16" not in str(error.value)


def test_groups_are_fitted_to_small_models_and_a_person_s_are_not(tiny_checkpoint: Path, tmp_path: Path) -> None:
    named = plan_export(tiny_checkpoint, GraphOptions(), Wanted("x86-cpu", "int4")).plan
    ffn = named.choice("llm", "model.transformer.blocks.0.mlp.ff_out.weight")
    assert ffn.scheme == "int4-g64" and "128 do not divide 64 rows" in ffn.reason
    data = changed({"group": "llm.ffn", "scheme": "int4-g128"})
    (tmp_path / "plan.json").write_text(json.dumps(data))
    wanted = Wanted("x86-cpu", plan_file=tmp_path / "plan.json")
    with pytest.raises(
        UsageError, match=r"gives llm.ffn int4-g128; expected: products whose rows 128 divides; got: 64"
    ):
        plan_export(tiny_checkpoint, GraphOptions(), wanted)
    (tmp_path / "plan.json").write_text(json.dumps(changed({"group": "llm.ffn", "scheme": "int4-g32"})))
    assert plan_export(tiny_checkpoint, GraphOptions(), wanted).plan.precision == CUSTOM
