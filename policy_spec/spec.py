"""PolicySpec: all that the host needs of a checkpoint at run time, and nothing of its weights.

Takes a checkpoint's directory (or spec.json of a bundle), gives one frozen object. Sizes, token ids, flags
and statistics all come from the files; ids named in config.json are checked against the tokenizer. Knows
nothing of torch.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_spec.config import ModelConfig
from policy_spec.errors import BundleError, CheckpointError, PromptError, SpecError, sentence
from policy_spec.image import check_processor, pooled_grid
from policy_spec.norm import Limits, NormTag, pick_tag, read_tags
from policy_spec.prompt import PromptFlags, PromptParts, Tokenizer, expand_images, image_text, prompt_text
from policy_spec.tokens import check_runs, named_ids

SPEC_FORMAT = 2  # 2 added the sizes that a cached language model needs; they are 0 in a spec of format 1
_ROUND = 16  # a bracket is a multiple of this many tokens: what GPU kernels like

# About 200 characters of an ordinary task; its tokens are the room that a bracket leaves for one.
SAMPLE_TASK = (
    "pick up the small red cube next to the blue cup, place it gently inside the wooden box on the left side "
    "of the table, then close the lid slowly and move the arm back to its resting pose above the table"
)


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """The facts of one policy. Token ids go by name: bos, eos, pad, im_patch, action_start, state_0, ..."""

    image_size: tuple[int, int]  # height, width in pixels after the resize
    patch_size: int  # pixels
    pool: tuple[int, int]  # patches per image token, down and along
    layers: int  # of the language model, and blocks of the expert
    hidden_size: int  # of the language model
    vocab_size: int  # rows of both embedding tables together
    max_positions: int
    expert_heads: int
    expert_head_dim: int
    max_action_dim: int
    max_horizon: int
    mask_action_dim_padding: bool
    flow_steps: int
    n_obs_steps: int
    action_mode: str
    depth: bool  # trained to predict a depth map before the action
    flags: PromptFlags
    token_ids: dict[str, int]
    image_ids: tuple[int, ...]  # all tokens that count as image for the mask
    norm_mode: str
    tags: dict[str, NormTag]
    kv_heads: int = 0  # of the language model
    head_dim: int = 0
    head_rows: int = 0  # of the lm_head: the base vocabulary, without the additional tokens
    depth_codes: int = 0  # tokens of one depth map, a square grid
    depth_tokens: int = 0  # values of one code: depth_0, depth_1, ...
    action_tokens: int = 0  # values of one FAST token: action_0, action_1, ...

    @property
    def grid(self) -> tuple[int, int]:
        """Patches per column and per row."""
        return self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size

    @property
    def patches_per_image(self) -> int:
        """Patches of one picture."""
        return self.grid[0] * self.grid[1]

    @property
    def patch_bytes(self) -> int:
        """Bytes of one patch: RGB."""
        return 3 * self.patch_size**2

    @property
    def tokens_per_image(self) -> int:
        """`<im_patch>` tokens of one picture: rows of the vision graph's features."""
        rows, columns = pooled_grid(self.grid, self.pool)
        return rows * columns

    @property
    def discrete_span(self) -> tuple[int, int] | None:
        """Start and end token of a discrete answer, None where the checkpoint has none."""
        pair = self.token_ids.get("action_start"), self.token_ids.get("action_end")
        return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])

    def tag(self, name: str | None = None) -> NormTag:
        """The norm tag of that name; None is an answer only where there is just one. Raises SpecError."""
        return pick_tag(self.tags, name)

    def tokenizer(self, path: Path | str) -> Tokenizer:
        """The tokenizer.json of this policy, checked to be the one that the ids belong to."""
        tokenizer = Tokenizer.from_file(path, bos_id=self.token_ids["bos"])
        for name, token in (("im_patch", "<im_patch>"), ("state_0", "<state_0>")):
            if tokenizer.id_of(token) != self.token_ids[name]:
                raise SpecError(
                    sentence(
                        f"{path}: id of {token}",
                        expected=self.token_ids[name],
                        got=tokenizer.id_of(token),
                        do="use the tokenizer.json of the same checkpoint",
                    )
                )
        return tokenizer

    def empty_prompt(self, tokenizer: Tokenizer, cameras: int) -> int:
        """Tokens of the longest prompt of any tag and style, the task left empty."""
        styles = ("robot_action", "robot_depth_action") if self.depth else ("robot_action",)
        empty = 0
        for tag in self.tags.values():
            bins = (0,) * tag.state_dim
            for style in styles:
                parts = PromptParts("", tag.setup_type, tag.control_mode, bins, cameras, style)
                text = expand_images(prompt_text(parts, self.flags), self.flags, cameras)
                empty = max(empty, len(tokenizer.encode(text)))
        return empty

    def bracket(self, tokenizer: Tokenizer, cameras: int, prompt_tokens: int | None = None) -> int:
        """Tokens that a graph's prompt holds: the longest prompt of any tag, and 200 letters of task.

        `prompt_tokens` asks for a number instead. Rounded up to a multiple of 16. Raises PromptError where
        the empty prompt would not fit, or the model has fewer positions.
        """
        empty = self.empty_prompt(tokenizer, cameras)
        wanted = empty + tokenizer.count(SAMPLE_TASK) if prompt_tokens is None else prompt_tokens
        size = -(-wanted // _ROUND) * _ROUND
        if wanted <= self.max_positions:  # only the rounding went beyond them
            size = min(size, self.max_positions)
        if not empty <= size <= self.max_positions:
            raise PromptError(
                sentence(
                    f"prompt bracket for {cameras} cameras",
                    expected=f"{empty} (an empty task) to {self.max_positions} tokens",
                    got=size,
                    do="use fewer cameras or another number of prompt tokens",
                )
            )
        return size

    @classmethod
    def from_checkpoint(cls, directory: Path | str) -> PolicySpec:
        """Reads config.json, processor, tokenizer, statistics. Raises CheckpointError naming file and key."""
        root = Path(directory)
        config = ModelConfig.from_dict(_read_json(root / "config.json"))
        processor, picture = _processor(root)
        size, patch, pool = check_processor(picture)
        _agree("image size", config.vit.image_size, size)
        _agree("patch size", config.vit.patch_size, patch)
        columns = processor.get("use_single_crop_col_tokens")
        if columns is None:
            columns = processor.get("image_use_col_tokens", True)
        grid = pooled_grid(config.vit.grid, pool)
        flags = PromptFlags(
            config.add_setup_tokens,
            config.add_control_tokens,
            config.num_state_tokens,
            image_text(grid, bool(columns)),
        )
        backend, words = _tokenizer(root)
        ids, image_ids = named_ids(config, backend, words)
        check_runs(config, backend)
        limits = Limits(config.expert.max_horizon, config.expert.max_action_dim, config.n_obs_steps)
        mode, tags = read_tags(_read_json(root / config.norm_stats_filename), limits)
        vocab = config.text.vocab_size + config.text.additional_vocab_size
        if backend.size > vocab:
            raise CheckpointError(
                sentence("tokenizer.json: highest token id", expected=f"below {vocab}", got=backend.size - 1)
            )
        return cls(
            image_size=size,
            patch_size=patch,
            pool=pool,
            layers=config.text.num_layers,
            hidden_size=config.text.hidden_size,
            vocab_size=vocab,
            max_positions=config.text.max_positions,
            expert_heads=config.expert.num_heads,
            expert_head_dim=config.expert.head_dim,
            max_action_dim=config.expert.max_action_dim,
            max_horizon=config.expert.max_horizon,
            mask_action_dim_padding=config.mask_action_dim_padding,
            flow_steps=config.flow_steps,
            n_obs_steps=config.n_obs_steps,
            action_mode=config.action_mode,
            depth=config.enable_depth_reasoning,
            flags=flags,
            token_ids=ids,
            image_ids=image_ids,
            norm_mode=mode,
            tags=tags,
            kv_heads=config.text.num_kv_heads,
            head_dim=config.text.head_dim,
            head_rows=config.text.vocab_size,
            depth_codes=config.num_depth_codes,
            depth_tokens=config.num_depth_tokens,
            action_tokens=config.num_action_tokens,
        )

    def to_json(self) -> str:
        """The text of spec.json; `from_json` gives an equal object back."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        data["flags"] = dataclasses.asdict(self.flags)
        data["tags"] = {name: tag.to_json() for name, tag in self.tags.items()}
        return (
            json.dumps({"format": SPEC_FORMAT, **data}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        )

    @classmethod
    def from_json(cls, text: str) -> PolicySpec:
        """Raises BundleError on a spec of another format or with missing or unknown keys."""
        try:
            data = json.loads(text)
            version = data.pop("format")
            if version not in (1, SPEC_FORMAT):
                raise BundleError(
                    sentence(
                        "spec.json: format",
                        expected=f"1 or {SPEC_FORMAT}",
                        got=version,
                        do="export the bundle again with this armside",
                    )
                )
            data["flags"] = PromptFlags(**data["flags"])
            data["tags"] = {name: NormTag.from_json(tag) for name, tag in data["tags"].items()}
            for name in ("image_size", "pool", "image_ids"):
                data[name] = tuple(data[name])
            return cls(**data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(
                sentence(
                    "spec.json is damaged",
                    got=f"{type(error).__name__}: {error}",
                    do="export the bundle again",
                )
            ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            sentence(
                f"{path.name} is missing", expected=f"it in {path.parent}", do="fetch the checkpoint again"
            )
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(
            sentence(
                f"{path.name} cannot be read", expected="JSON", got=error, do="fetch the checkpoint again"
            )
        ) from error
    if not isinstance(data, dict):
        raise CheckpointError(sentence(path.name, expected="a JSON object", got=type(data).__name__))
    return data


def _processor(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The processor's flags and its image section; older checkpoints keep the latter in a file of its own."""
    processor = _read_json(root / "processor_config.json")
    section = processor.get("image_processor")
    if section is None:
        section = _read_json(root / "preprocessor_config.json")
    return processor, section


def _tokenizer(root: Path) -> tuple[Tokenizer, dict[str, str]]:
    """The tokenizer, and the texts of its bos, eos and pad tokens."""
    config = _read_json(root / "tokenizer_config.json")
    words: dict[str, str] = {}
    for name in ("bos", "eos", "pad"):
        token = config.get(f"{name}_token")
        if isinstance(token, Mapping):  # an added token written out with its flags
            token = token.get("content")
        if token is not None:
            words[name] = token
    begin = words.get("bos", words.get("eos"))  # a prompt begins with eos where there is no bos
    return Tokenizer.from_file(root / "tokenizer.json", bos_token=begin), words


def _agree(what: str, config: object, processor: object) -> None:
    if config != processor:
        raise CheckpointError(
            sentence(
                f"config.json and processor_config.json disagree on {what}", expected=config, got=processor
            )
        )
