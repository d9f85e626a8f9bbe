"""What a checkpoint must have been trained for, mode by mode; a refusal names all that is missing."""

from __future__ import annotations

import math

from policy_spec.config import ModelConfig
from policy_spec.errors import CheckpointError, sentence
from policy_spec.graphs import ACTION_HEAD, graphs_of
from policy_spec.spec import PolicySpec

_DO = {
    "continuous": "use a checkpoint with an action expert",
    "think": "use a checkpoint trained to predict depth, such as MolmoAct2-Think, or export with --mode continuous",
    "discrete": "use a checkpoint trained on discrete actions, or export with --mode continuous",
}
_EXPECTED = {
    "continuous": "action_mode continuous or both",
    "think": "a checkpoint that predicts a depth map before it acts",
    "discrete": "a checkpoint that answers in FAST tokens",
}


def check_conditioning(config: ModelConfig) -> None:
    """Raises CheckpointError on an ablation of what the expert attends to: the graphs know the released one alone."""
    if config.expert.conditioning != "per_layer":
        raise CheckpointError(
            sentence(
                "this checkpoint's action expert cannot be exported",
                expected="action_expert_config.conditioning per_layer, or none",
                got=config.expert.conditioning,
                do="train with start.conditioning = per_layer; the others are for comparison in torch",
            )
        )


def check_mode(spec: PolicySpec, mode: str) -> None:
    """Raises SpecError on an unknown mode, CheckpointError where the checkpoint cannot do it."""
    graphs_of(mode)
    missing = {"continuous": _continuous, "think": _think, "discrete": _discrete}[mode](spec)
    if missing:
        raise CheckpointError(
            sentence(
                f"this checkpoint cannot be exported with --mode {mode}",
                expected=_EXPECTED[mode],
                got="; ".join(missing),
                do=_DO[mode],
            )
        )


def _continuous(spec: PolicySpec) -> list[str]:
    only = spec.action_mode == "discrete"
    return [f"it predicts discrete actions only (action_mode {spec.action_mode})"] if only else []


def _think(spec: PolicySpec) -> list[str]:
    missing = _continuous(spec) + ([] if spec.depth else ["enable_depth_reasoning is not set in config.json"])
    missing += _tokens(spec, ("depth_output", "depth_start", "depth_end", "depth_0"))
    if spec.depth_codes < 1 or math.isqrt(spec.depth_codes) ** 2 != spec.depth_codes:
        missing.append(f"num_depth_codes is {spec.depth_codes}, not the cells of a square grid")
    return missing + _rows(spec, "depth_0", "num_depth_tokens", spec.depth_tokens)


def _discrete(spec: PolicySpec) -> list[str]:
    missing = []
    if spec.action_mode not in ("discrete", "both"):
        missing.append(f"action_mode is {spec.action_mode}, not discrete or both")
    missing += _tokens(spec, (*ACTION_HEAD, "action_0"))
    return missing + _rows(spec, "action_0", "num_action_tokens", spec.action_tokens)


def _tokens(spec: PolicySpec, names: tuple[str, ...]) -> list[str]:
    absent = [name for name in names if name not in spec.token_ids]
    return [f"its tokenizer or config.json lacks {', '.join(absent)}"] if absent else []


def _rows(spec: PolicySpec, first: str, key: str, count: int) -> list[str]:
    """The lm_head has a row for each of the tokens that the mode decodes."""
    if count < 1:
        return [f"{key} is {count}"]
    last = spec.token_ids.get(first, 0) + count
    return [f"its lm_head has {spec.head_rows} rows, its tokens go to {last}"] if last > spec.head_rows else []
