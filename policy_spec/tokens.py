"""Token ids by name: taken from config.json, checked against the tokenizer.

Takes a ModelConfig and a Tokenizer, gives a table of ids. The two files can disagree (a checkpoint with
another's tokenizer); then every prompt would be silently wrong, so that a mismatch is an error naming both.
Holds no id itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from policy_spec.config import ModelConfig
from policy_spec.errors import CheckpointError, sentence
from policy_spec.prompt import Tokenizer

# key of config.json: our name, the token's text
_NAMED = {
    "image_start_token_id": ("im_start", "<im_start>"),
    "image_end_token_id": ("im_end", "<im_end>"),
    "image_patch_id": ("im_patch", "<im_patch>"),
    "image_high_res_id": ("im_patch", "<im_patch>"),
    "image_col_id": ("im_col", "<im_col>"),
    "low_res_image_start_token_id": ("low_res_im_start", "<low_res_im_start>"),
    "image_low_res_id": ("im_low", "<im_low>"),
    "frame_start_token_id": ("frame_start", "<frame_start>"),
    "frame_end_token_id": ("frame_end", "<frame_end>"),
    "state_start_token_id": ("state_start", "<state_start>"),
    "state_end_token_id": ("state_end", "<state_end>"),
    "state_token_start_id": ("state_0", "<state_0>"),
    "action_output_token_id": ("action_output", "<action_output>"),
    "action_start_token_id": ("action_start", "<action_start>"),
    "action_end_token_id": ("action_end", "<action_end>"),
    "action_token_start_id": ("action_0", "<action_0>"),
    "depth_output_token_id": ("depth_output", "<depth_output>"),
    "depth_start_token_id": ("depth_start", "<depth_start>"),
    "depth_end_token_id": ("depth_end", "<depth_end>"),
    "depth_token_start_id": ("depth_0", "<depth_0>"),
}
_IMAGE = (
    "im_patch",
    "im_col",
    "im_start",
    "low_res_im_start",
    "frame_start",
    "im_end",
    "frame_end",
    "im_low",
)
_NEEDED = (
    "bos",
    "pad",
    "im_start",
    "im_end",
    "im_patch",
    "state_start",
    "state_end",
    "state_0",
    "action_output",
)


def named_ids(
    config: ModelConfig, tokenizer: Tokenizer, words: Mapping[str, str]
) -> tuple[dict[str, int], tuple[int, ...]]:
    """Ids by name, and those that count as image tokens. `words`: the texts of bos, eos, pad in
    tokenizer_config.
    """
    ids = {"bos": tokenizer.bos_id}
    named = {
        **_NAMED,
        **{f"{name}_token_id": (name, words[name]) for name in ("eos", "pad") if name in words},
    }
    for key, (name, token) in named.items():
        there, said = tokenizer.id_of(token), config.token_ids.get(key)
        if said is not None and there != said:
            raise CheckpointError(
                sentence(
                    f"config.json and tokenizer.json disagree on {token}",
                    expected=f"{key} = {said}",
                    got=f"{there} in tokenizer.json",
                    do="use the tokenizer of the same checkpoint",
                )
            )
        # The end of a turn is hidden from the expert by the id in config.json, and only by that.
        if there is not None and not (name == "eos" and said is None):
            ids[name] = there
    missing = [name for name in _NEEDED if name not in ids]
    if missing:
        raise CheckpointError(
            sentence(
                f"tokenizer.json lacks {', '.join(missing)}",
                expected=f"all of {', '.join(_NEEDED)}",
                do="use the tokenizer of the same checkpoint",
            )
        )
    if "image_patch_id" not in config.token_ids:  # the model itself finds its pictures by it
        raise CheckpointError(
            sentence(
                "config.json: image_patch_id is missing",
                expected=f"{ids['im_patch']}, the id of <im_patch> in tokenizer.json",
                do="use the config.json of the same checkpoint",
            )
        )
    return ids, tuple(sorted(ids[name] for name in _IMAGE if name in ids))


def check_runs(config: ModelConfig, tokenizer: Tokenizer) -> None:
    """State, action and depth tokens stand in unbroken runs: <state_0>, <state_1>, ... count up."""
    for name, count in (
        ("state", config.num_state_tokens),
        ("action", config.num_action_tokens),
        ("depth", config.num_depth_tokens),
    ):
        start = config.token_ids.get(f"{name}_token_start_id")
        if start is None or count < 1:
            continue
        for index in range(count):
            token = f"<{name}_{index}>"
            if tokenizer.id_of(token) != start + index:
                raise CheckpointError(
                    sentence(
                        f"tokenizer.json: id of {token}",
                        expected=f"{start + index} ({name}_token_start_id + {index})",
                        got=tokenizer.id_of(token),
                        do="use the tokenizer of the same checkpoint",
                    )
                )
