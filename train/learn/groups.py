"""Which parameter belongs to which part of the model: each part has a learning rate, a warm-up and a clip of its own.

Takes released tensor names. Both embedding tables belong to the language model; the depth gate belongs to the expert.
"""

from __future__ import annotations

GROUPS = ("llm", "vit", "connector", "expert", "lm_head")

# The first prefix that fits decides.
_PREFIXES = (
    ("model.action_expert", "expert"),  # and action_expert_depth_gate
    ("model.vision_backbone.image_vit", "vit"),
    ("model.vision_backbone", "connector"),
    ("lm_head", "lm_head"),
    ("model.transformer", "llm"),
)


def group_of(name: str) -> str:
    """The part that a tensor of this name belongs to. Raises KeyError on a name of no model of ours."""
    for prefix, group in _PREFIXES:
        if name.startswith(prefix):
            return group
    raise KeyError(name)
