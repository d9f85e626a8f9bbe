"""What each kind of stage does where a configuration is silent: the paper's recipe as a table.

Discrete pre-training learns next tokens alone; post-training adds the flow with K = 4 and K/V detached; fine-tuning
has K = 8, attached. Sources: docs/sources.md, training. Knows nothing of files.
"""

from __future__ import annotations

from typing import Any

# kind -> settings of Stage
KIND_DEFAULTS: dict[str, dict[str, Any]] = {
    "pretrain": {
        "steps": 200_000,
        "batch": 128,
        "answer": "actions",
        "noise_samples": 0,
        "loss": {"flow": 0.0, "lm": 1.0},
        "dropout": 0.1,
    },
    "posttrain": {
        "steps": 100_000,
        "batch": 128,
        "answer": "actions",
        "noise_samples": 4,
        "insulated": True,
        "loss": {"flow": 1.0, "lm": 1.0},
        "lr": {"expert": 5e-5},
        "dropout": 0.1,
    },
    "finetune": {
        "steps": 24_000,
        "batch": 64,
        "answer": "none",
        "noise_samples": 8,
        "loss": {"flow": 1.0, "lm": 0.0},
    },
}
# mode -> settings, under those of the kind
MODE_DEFAULTS: dict[str, dict[str, Any]] = {
    "full": {},
    "lora": {"lr": {"llm": 5e-5, "vit": 5e-5, "connector": 5e-5, "lm_head": 5e-5}},
    "expert": {},
}


def with_defaults(said: dict[str, Any]) -> dict[str, Any]:
    """One [[stages]] table with what it does not say. An answer that is asked for is learned: its loss counts 1."""
    kind, mode = said.get("kind", "finetune"), said.get("mode", "full")
    out = merged(MODE_DEFAULTS.get(mode, {}), KIND_DEFAULTS.get(kind, {}))
    if said.get("answer", "none") != "none" and mode != "expert":
        out = merged(out, {"loss": {"lm": 1.0}})
    return merged(out, said)


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on top of `under`, table by table."""
    out = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out
