"""Plans: every group has a choice with a reason; finer choices win; what is misspelt, doubled or unknown is refused."""

from __future__ import annotations

import re

import pytest

from policy_spec.errors import ExportError, UsageError
from quant.groups import GROUPS, Part, group_of, layer_of, part_of
from quant.plan import Choice, Plan, make_plan, ordered
from quant.precisions import BF16, FP16, FULL, PRECISIONS, STAYS, W8A8

FFN = "model.transformer.blocks.{}.mlp.ff_out.weight"


@pytest.mark.parametrize("base", [FULL, FP16])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_group_has_a_choice_and_a_reason(precision: str, base: str) -> None:
    plan, row, names = make_plan(precision, base), PRECISIONS[precision], {g.name for g in GROUPS}
    assert [c.group for c in plan.choices] == [g.name for g in GROUPS]
    assert all(c.reason and c.scheme for c in plan.choices)
    assert row.groups.keys() | row.on_cpu.keys() <= names  # a misspelt group would stay in the base
    assert STAYS.keys() == names
    expected = {"fp32": FULL, "fp16": FP16, "bf16": BF16}.get(precision, base)
    assert {plan.base(graph) for graph in ("vision", "llm", "context", "flow")} == {expected}


def test_int8_takes_the_language_model_s_ffn_and_the_expert() -> None:
    """What writes K and V, and the ViT, stay in full precision (docs/sources.md, precision)."""
    taken = {choice.group for choice in make_plan("int8").choices if choice.scheme == W8A8}
    assert taken == {"llm.ffn", "expert.attention", "expert.mlp", "expert.context"}
    assert {choice.scheme for choice in make_plan("fp32").choices} == {FULL}
    assert {choice.scheme for choice in make_plan("int8", FP16).choices} == {FULL, FP16, W8A8}


def test_unknown_precisions_are_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"expected: one of fp32, .*, auto; got: int8-fats; .*did you mean int8-fast"):
        make_plan("int8-fats")


def test_a_weight_in_no_group_is_refused() -> None:
    plan = make_plan("int8")
    assert plan.choice("llm", FFN.format(0)).scheme == W8A8
    assert plan.choice("llm", "model.transformer.blocks.3.self_attn.att_proj.q.weight").scheme == FULL
    with pytest.raises(ExportError, match=re.escape("llm/model.new_part.weight belongs to no group")):
        plan.choice("llm", "model.new_part.weight")


def test_a_finer_choice_wins() -> None:
    whole = make_plan("int8").choices
    fine = (Choice("llm.ffn@2-9", "b", "range"), Choice("llm.ffn@3", "a", "one layer"))
    plan = Plan("mine", ordered((*whole, *fine)))
    assert [plan.choice("llm", FFN.format(layer)).scheme for layer in (1, 2, 3, 9, 10)] == [W8A8, "b", "a", "b", W8A8]
    assert plan.choice("llm", "model.transformer.blocks.3.self_attn.attn_out.weight").scheme == FULL
    assert Plan("mine", whole).choice("llm", FFN.format(3)).scheme == W8A8  # the control
    with pytest.raises(ExportError, match=r"no choice for .* expected: one for the group llm.ffn"):
        Plan("mine", ordered(fine)).choice("llm", FFN.format(11))


def test_layers_are_those_of_the_released_names() -> None:
    assert layer_of("model.vision_backbone.image_vit.transformer.resblocks.7.attention.wq.weight") == 7
    assert layer_of(FFN.format(12)) == 12
    assert layer_of("model.transformer.ln_f.weight") is None
    assert group_of("llm", FFN.format(0)).name == "llm.ffn"
    assert part_of("expert.mlp@2-4") == Part("expert.mlp", 2, 4)
    assert not part_of("expert.context@0").holds("expert.context", None)  # in no layer: only the whole group holds it


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("llm.fnn", "did you mean llm.ffn"),
        ("llm.fnn@3", "did you mean llm.ffn"),
        ("llm.ffn@9-3", "the first before the last"),
        ("llm.ffn@x", "by layer"),
    ],
)
def test_unknown_groups_are_refused(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        part_of(name)


@pytest.mark.parametrize(
    "twice", [("llm.ffn", "llm.ffn"), ("llm.ffn@3", "llm.ffn@3-3"), ("llm.ffn@1-3", "llm.ffn@7-9", "llm.ffn@3-5")]
)
def test_two_choices_for_the_same_weights_are_refused(twice: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="says twice"):
        ordered(Choice(group, W8A8, "") for group in twice)
    ordered((Choice("llm.ffn@1-3", W8A8, ""), Choice("llm.ffn@4-6", W8A8, "")))  # the control


def test_a_graph_has_one_float_type_and_islands() -> None:
    choices = {c.group: c for c in make_plan("int8", FP16).choices}

    def base(*changed: Choice) -> str:
        return Plan("mine", ordered((choices | {c.group: c for c in changed}).values()), FP16).base("vision")

    assert base(Choice("vision.vit", FULL, "an island in it")) == FP16
    assert base(*(Choice(name, FULL, "") for name in choices if name.startswith("vision."))) == FULL
    with pytest.raises(UsageError, match="vision graph several float types"):
        base(Choice("vision.vit", BF16, "beside fp16"))
    whole = {c.group: c for c in make_plan("fp32").choices}
    small = {"llm.embeddings": Choice("llm.embeddings", FP16, "a table alone may be smaller")}
    assert Plan("mine", ordered((whole | small).values())).base("llm") == FULL
    quantized = make_plan("int4", FP16)
    assert quantized.base("llm") == FP16  # all its products are quantized: the plan's own float type
