"""What the host makes of a case's pictures, state and task: equal to the released processor's, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from policy_spec.image import pixel_values, pooling_index
from policy_spec.pipeline import Observation, Pipeline, Prepared
from policy_spec.prompt import wrapped
from policy_spec.spec import PolicySpec
from tests.reference.quantities import Case

Arrays = Mapping[str, np.ndarray]


def observation(data: Arrays) -> Observation:
    """The case's pictures in order, and its state."""
    count = sum(name.startswith("image_") and name[6:].isdigit() for name in data)
    return Observation(tuple(data[f"image_{i}"] for i in range(count)), data["state"])


def tag_of(spec: PolicySpec, data: Arrays) -> str:
    """The case's norm tag: named, the only one, or the one whose state has this size."""
    for key in ("norm_tag", "tag"):
        if key in data:
            return str(data[key])
    chunk, text = data["actions"].shape[1:], str(data["prompt"])
    for name, tag in spec.tags.items():
        sizes = tag.state_dim, (tag.n_action_steps, tag.action_dim)
        words = f"The setup is {wrapped(tag.setup_type, 'setup', spec.flags.add_setup_tokens)}."
        mode = f"control mode is {wrapped(tag.control_mode, 'control', spec.flags.add_control_tokens)}."
        horizon = data["noise"].shape[1] if "noise" in data else tag.horizon
        if sizes == (len(data["state"]), chunk) and tag.horizon == horizon and words in text and mode in text:
            return name
    return next(iter(spec.tags))


def host_pipeline(checkpoint: Path, data: Arrays, *, cameras: int, bracket: int, style: str) -> Pipeline:
    """The pipeline of a case's tag, with room for its prompt."""
    spec = PolicySpec.from_checkpoint(checkpoint)
    tag = spec.tag(tag_of(spec, data))
    return Pipeline(
        spec,
        spec.tokenizer(checkpoint / "tokenizer.json"),
        tag,
        cameras=cameras,
        bracket=bracket,
        horizon=max(t.horizon for t in spec.tags.values()),
        allow_fewer_cameras=True,
        style=style,
    )


def check_inputs(case: Case, pipeline: Pipeline, data: Arrays) -> Prepared:
    """Every input that the case holds."""
    seen = observation(data)
    prepared = pipeline.prepare(seen, str(data["task"]))
    pictures = len(seen.images)
    case.equal("prompt", prepared.text, str(data["prompt"]))
    case.equal("input_ids", prepared.ids, data["input_ids"][0])
    if "normalized_state" in data:
        case.equal("normalized_state", prepared.normalized_state, data["normalized_state"])
    if "token_type_ids" in data:
        case.equal("token_type_ids", prepared.token_type, data["token_type_ids"][0])
    if "expert_mask" in data and data["expert_mask"].shape[1] == len(prepared.ids):
        case.equal("expert_mask", prepared.expert_mask, data["expert_mask"][0])
    if "pixel_values" in data:
        case.equal("pixel_values", pixel_values(prepared.vision["patches"][:pictures]), data["pixel_values"])
    if "image_token_pooling" in data:
        index = pooling_index(pipeline.spec.grid, pipeline.spec.pool)
        case.equal("image_token_pooling", np.tile(index, (pictures, 1)), data["image_token_pooling"])
    return prepared
