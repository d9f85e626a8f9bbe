"""The precision plan: which scheme each group of tensors gets, and why.

A group is named by a pattern over the released tensor names that the graphs' initializers carry. Every weight of
every graph belongs to exactly one group; a weight in none is an error, so that no new part is quantized, or left,
by accident.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from policy_spec.errors import ExportError, UsageError, sentence
from quant.schemes import FULL, W8A8


@dataclass(frozen=True, slots=True)
class Group:
    """Weights that are treated alike. `pattern` is matched against `graph/initializer`."""

    name: str
    pattern: str


# First match wins.
GROUPS = (
    Group("vision.patches", r"vision/.*(patch_embedding|positional_embedding).*"),
    Group("vision.vit", r"vision/model\.vision_backbone\.image_vit\.transformer\..*"),
    Group("vision.pooling", r"vision/model\.vision_backbone\.image_pooling_2d\..*"),
    Group("vision.projector", r"vision/model\.vision_backbone\.image_projector\..*"),
    Group("llm.embeddings", r"llm/model\.transformer\.wte\..*"),
    Group("llm.attention", r"llm/model\.transformer\.blocks\.\d+\.self_attn\..*"),
    Group("llm.ffn", r"llm/model\.transformer\.blocks\.\d+\.mlp\..*"),
    Group("llm.norms", r"llm/model\.transformer\.(.*norm|ln_f)\.weight"),
    Group("llm.head", r"llm/lm_head\.weight"),
    Group("expert.context", r"(llm|context)/model\.action_expert\.context_[kv]_proj\..*"),
    Group("expert.gate", r"context/model\.action_expert_depth_gate\..*"),
    Group("expert.modulations", r"flow/.*modulation\.table"),
    Group("expert.rim", r"flow/model\.action_expert\.(action_embed|final_layer)\..*"),
    Group("expert.attention", r"flow/model\.action_expert\.blocks\.\d+\.(self|cross)_attn\..*"),
    Group("expert.mlp", r"flow/model\.action_expert\.blocks\.\d+\.mlp\..*"),
    Group("constants", r"(vision|llm|context|flow)/(i64_|i32_|f32_|flat_|rope|causal|cache\.|pooling).*"),
)

_SENSITIVE_VIT = "the ViT is the part that low precision hurts first (docs/sources.md, precision)"
_WRITES_KV = (
    "writes the K and V that the expert reads; int8 here cost LIBERO points elsewhere (docs/sources.md, precision)"
)
_SMALL = "too small to matter"

# precision -> group -> (scheme, reason). A group that is absent stays fp32, and _STAYS must say why.
PRECISIONS: dict[str, dict[str, tuple[str, str]]] = {
    "fp32": {},
    "int8": {
        "llm.ffn": (
            W8A8,
            "most of the language model's products; nearly free of loss per token (docs/sources.md, precision)",
        ),
        "expert.attention": (
            W8A8,
            "streamed at every flow step; int8 is nearly free here (docs/sources.md, precision)",
        ),
        "expert.mlp": (
            W8A8,
            "streamed at every flow step; int8 is nearly free here (docs/sources.md, precision)",
        ),
        "expert.context": (W8A8, "part of the expert, one product per layer over the whole prompt"),
    },
}
_STAYS: dict[str, str] = {
    "vision.patches": "the first layer sees raw pixels",
    "vision.vit": _SENSITIVE_VIT,
    "vision.pooling": "scores reach 8e4 and the part is small",
    "vision.projector": "features reach 1.7e4, outliers that int8 per token flattens",
    "llm.embeddings": "a lookup, not a product",
    "llm.attention": _WRITES_KV,
    "llm.norms": _SMALL,
    "llm.head": "decides every token, often by little; a pass reads few of its rows, or all of them once",
    "expert.gate": _SMALL,
    "expert.modulations": "a table, not a product",
    "expert.rim": "32 dims wide: " + _SMALL,
    "constants": "masks, RoPE tables and shapes",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of a plan."""

    group: str
    scheme: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A choice for every group."""

    precision: str
    choices: tuple[Choice, ...]

    def choice(self, graph: str, initializer: str) -> Choice:
        """The choice for one weight. Raises ExportError if no group claims it."""
        full = f"{graph}/{initializer}"
        for group, choice in zip(GROUPS, self.choices, strict=True):
            if re.fullmatch(group.pattern, full):
                return choice
        raise ExportError(
            sentence(
                f"weight {full} belongs to no group of the precision plan",
                expected="one of quant.plan.GROUPS",
                do="add it to a group, with a scheme and a reason",
            )
        )


def make_plan(precision: str) -> Plan:
    """The plan of a named precision. Raises UsageError listing the names."""
    if precision not in PRECISIONS:
        raise UsageError(
            sentence(
                "unknown precision", expected=f"one of {', '.join(PRECISIONS)}", got=precision, do="give --precision"
            )
        )
    table = PRECISIONS[precision]
    choices = []
    for group in GROUPS:
        if group.name in table:
            scheme, reason = table[group.name]
        else:
            scheme, reason = FULL, _STAYS[group.name] if table else "full precision was asked for"
        choices.append(Choice(group.name, scheme, reason))
    return Plan(precision, tuple(choices))
