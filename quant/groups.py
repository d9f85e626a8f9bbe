"""The tensor groups that a precision plan speaks of: weights that are treated alike, by their released names.

Every weight of every graph belongs to exactly one group; a weight in none is an error, so that no new part is
quantized, or left, by accident. A group's part can be named by layer: `llm.ffn@3`, `llm.ffn@0-3`. Data and name
matching only; knows nothing of schemes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from policy_spec.errors import ExportError, UsageError, sentence

# What a group's weights are to the graph: the right side of a product (its biases and norms with it); a table that
# rows are looked up in; or norms, masks and shapes, which take the float type of their graph or float32.
PRODUCT, LOOKUP, REST = "product", "lookup", "rest"


@dataclass(frozen=True, slots=True)
class Group:
    """Weights that are treated alike. `pattern` is matched against `graph/initializer`."""

    name: str
    pattern: str
    kind: str  # PRODUCT, LOOKUP or REST
    graphs: tuple[str, ...]  # where its weights stand


# First match wins.
GROUPS = (
    Group("vision.patches", r"vision/.*(patch_embedding|positional_embedding).*", PRODUCT, ("vision",)),
    Group("vision.vit", r"vision/model\.vision_backbone\.image_vit\.transformer\..*", PRODUCT, ("vision",)),
    Group("vision.pooling", r"vision/model\.vision_backbone\.image_pooling_2d\..*", PRODUCT, ("vision",)),
    Group("vision.projector", r"vision/model\.vision_backbone\.image_projector\..*", PRODUCT, ("vision",)),
    Group("llm.embeddings", r"llm/model\.transformer\.wte\..*", LOOKUP, ("llm",)),
    Group("llm.attention", r"llm/model\.transformer\.blocks\.\d+\.self_attn\..*", PRODUCT, ("llm",)),
    Group("llm.ffn", r"llm/model\.transformer\.blocks\.\d+\.mlp\..*", PRODUCT, ("llm",)),
    Group("llm.norms", r"llm/model\.transformer\.(.*norm|ln_f)\.weight", REST, ("llm",)),
    Group("llm.head", r"llm/lm_head\.weight", PRODUCT, ("llm",)),
    Group("expert.context", r"(llm|context)/model\.action_expert\.context_[kv]_proj\..*", PRODUCT, ("llm", "context")),
    Group("expert.gate", r"context/model\.action_expert_depth_gate\..*", PRODUCT, ("context",)),
    Group("expert.modulations", r"flow/.*modulation\.table", LOOKUP, ("flow",)),
    Group("expert.rim", r"flow/model\.action_expert\.(action_embed|final_layer)\..*", PRODUCT, ("flow",)),
    Group("expert.attention", r"flow/model\.action_expert\.blocks\.\d+\.(self|cross)_attn\..*", PRODUCT, ("flow",)),
    Group("expert.mlp", r"flow/model\.action_expert\.blocks\.\d+\.mlp\..*", PRODUCT, ("flow",)),
    Group(
        "constants",
        r"(vision|llm|context|flow)/(i64_|i32_|f32_|flat_|rope|causal|cache\.|pooling).*",
        REST,
        ("vision", "llm", "context", "flow"),
    ),
)
BY_NAME = {group.name: group for group in GROUPS}
_LAYER = re.compile(r"\.(?:res)?blocks\.(\d+)\.")
_PART = re.compile(r"([a-z.]+)(?:@(\d+)(?:-(\d+))?)?")


@dataclass(frozen=True, slots=True)
class Part:
    """A group, or some layers of it: what a choice of a plan is about."""

    group: str
    first: int | None = None  # None: all of it, weights that are in no layer too
    last: int | None = None

    @property
    def width(self) -> int:
        """Layers that it names; 0 for the whole group, which is coarser than any."""
        return 0 if self.first is None or self.last is None else self.last - self.first + 1

    def holds(self, group: str, layer: int | None) -> bool:
        """Whether a weight of `group`, in `layer` or in none, is part of it."""
        if group != self.group or self.first is None or self.last is None:
            return group == self.group
        return layer is not None and self.first <= layer <= self.last


def group_of(graph: str, initializer: str) -> Group:
    """The group of one weight. Raises ExportError if no group claims it."""
    full = f"{graph}/{initializer}"
    for group in GROUPS:
        if re.fullmatch(group.pattern, full):
            return group
    raise ExportError(
        sentence(
            f"weight {full} belongs to no group of the precision plan",
            expected="one of quant.groups.GROUPS",
            do="add it to a group, with a scheme and a reason",
        )
    )


def layer_of(initializer: str) -> int | None:
    """The layer that a released name stands in; None outside of layers."""
    found = _LAYER.search(initializer)
    return int(found.group(1)) if found else None


def part_of(name: str) -> Part:
    """`llm.ffn`, `llm.ffn@3` or `llm.ffn@0-3`. Raises UsageError on an unknown group, with the nearest name."""
    match = _PART.fullmatch(name)
    if match is None or match.group(1) not in BY_NAME:
        known = match.group(1) if match else name.partition("@")[0]
        raise UsageError(
            sentence(
                "a plan's group",
                expected=f"one of {', '.join(BY_NAME)}, whole or by layer (llm.ffn@3, llm.ffn@0-3)",
                got=name,
                do=nearest(known, BY_NAME),
            )
        )
    group, first, last = match.groups()
    if first is None:
        return Part(group)
    part = Part(group, int(first), int(last if last is not None else first))
    if part.width < 1:
        raise UsageError(sentence("a plan's layers", expected="the first before the last", got=name))
    return part


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?`, where something is near; else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else ""
