"""The sizes and switches of a MolmoAct2 checkpoint, read from its config.json.

Takes the parsed JSON, gives frozen dataclasses. The class defaults of the released configuration are not the
release's values, so no size has a default here: a missing one is an error. Features that Armside does not
build are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy_spec.errors import CheckpointError, sentence

# What the action expert attends to: K and V of each layer with all heads mixed (as released), head by head, or the
# language model's last hidden state alone. The others are ablations: train knows them, export refuses them.
CONDITIONINGS = ("per_layer", "per_head", "hidden_state")


class _Section:
    """One JSON object with its name, so that a missing or mistyped key can be named."""

    def __init__(self, data: Any, name: str) -> None:
        if not isinstance(data, Mapping):
            raise CheckpointError(
                sentence(
                    f"config.json: section {name!r} is missing",
                    expected="a JSON object",
                    got=type(data).__name__,
                    do="use a checkpoint in the released MolmoAct2 format",
                )
            )
        self.data, self.name = data, name

    def get(self, key: str, kind: type, default: Any = ...) -> Any:
        """The value of a key. A null says as little as a key that is absent: the default, or an error without one."""
        value = self.data.get(key)
        if value is None:
            value = default
        if value is ...:
            raise CheckpointError(sentence(f"config.json: {self.name}.{key} is missing", expected=kind.__name__))
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise CheckpointError(
                sentence(
                    f"config.json: {self.name}.{key} has the wrong type",
                    expected=kind.__name__,
                    got=repr(value),
                )
            )
        return value

    def size(self, key: str) -> int:
        value: int = self.get(key, int)
        if value < 1:
            raise CheckpointError(sentence(f"config.json: {self.name}.{key}", expected="a positive integer", got=value))
        return value

    def refuse_unless(self, key: str, allowed: tuple[Any, ...], default: Any = ...) -> Any:
        """A switch of which only some positions are built."""
        value = self.get(key, object, default)
        if value not in allowed:
            raise CheckpointError(
                sentence(
                    f"config.json: {self.name}.{key} is not supported",
                    expected=f"one of {list(allowed)}",
                    got=repr(value),
                    do="open an issue with the checkpoint's name",
                )
            )
        return value


@dataclass(frozen=True, slots=True)
class VitConfig:
    """The image encoder (SigLIP2 shape): patch embedding, learned positions, pre-norm blocks."""

    hidden_size: int
    intermediate_size: int
    num_layers: int  # blocks defined; fewer are run, see ModelConfig.vit_layers_run
    num_heads: int
    num_kv_heads: int
    head_dim: int
    layer_norm_eps: float
    image_size: tuple[int, int]  # height, width in pixels
    patch_size: int  # pixels
    num_positions: int
    hidden_act: str

    @property
    def grid(self) -> tuple[int, int]:
        """Patches per column and per row."""
        return self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """The connector: attention pooling over 2x2 patches, then a SwiGLU into the text width."""

    vit_layers: tuple[int, ...]  # taps, resolved to non-negative indices, in concatenation order
    hidden_size: int
    intermediate_size: int
    text_hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    pooling_attention_mask: bool  # the query is the mean of a window's real patches, not of its padding too
    hide_padding: bool  # the padding of a window is masked from the pooling's keys


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The language model (Qwen3 shape): grouped-query attention with per-head qk-norm, SwiGLU."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    additional_vocab_size: int
    layer_norm_eps: float
    rope_theta: float
    max_positions: int
    use_qk_norm: bool
    qk_norm_type: str  # "qwen3": per head; anything else: over the whole projection
    qkv_bias: bool
    norm_after: bool
    tie_word_embeddings: bool


@dataclass(frozen=True, slots=True)
class ExpertConfig:
    """The action expert: a flow-matching transformer, one block for each language-model layer."""

    hidden_size: int
    num_layers: int
    num_heads: int
    inner_size: int  # of the SwiGLU: hidden * mlp_ratio, rounded up to ffn_multiple_of
    timestep_embed_dim: int
    qk_norm: bool
    qk_norm_eps: float
    rope: bool
    context_layer_norm: bool
    causal_attn: bool
    max_action_dim: int
    max_horizon: int
    conditioning: str = "per_layer"  # what the expert attends to; released checkpoints know only this

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden_size // self.num_heads


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything of config.json that the model and the host need."""

    vit: VitConfig
    adapter: AdapterConfig
    text: TextConfig
    expert: ExpertConfig
    action_mode: str  # continuous, discrete or both
    depth_gate: str  # none, shared or per_layer
    enable_depth_reasoning: bool
    flow_steps: int
    mask_action_dim_padding: bool
    n_obs_steps: int
    num_state_tokens: int
    num_depth_codes: int
    num_depth_tokens: int
    num_action_tokens: int
    add_setup_tokens: bool
    add_control_tokens: bool
    norm_stats_filename: str
    token_ids: dict[str, int]  # every *_id of config.json that is set, under its own key

    @property
    def vit_layers_run(self) -> int:
        """Blocks that are run: none after the last tap."""
        return max(self.adapter.vit_layers) + 1

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Reads the parsed config.json. Raises CheckpointError naming the missing or unsupported key."""
        top = _Section(data, "config")
        top.refuse_unless("model_type", ("molmoact2",))
        top.refuse_unless("add_action_expert", (True,))
        top.refuse_unless("state_format", ("discrete",), default="discrete")
        text = _text(_Section(data.get("text_config"), "text_config"))
        vit = _vit(_Section(data.get("vit_config"), "vit_config"))
        adapter = _adapter(_Section(data.get("adapter_config"), "adapter_config"), vit, text)
        expert = _expert(_Section(data.get("action_expert_config"), "action_expert_config"), top, text)
        gate = "none"
        if top.get("action_expert_depth_gate", bool, False):
            gate = "per_layer" if top.get("action_expert_depth_gate_per_layer", bool, False) else "shared"
        return cls(
            vit=vit,
            adapter=adapter,
            text=text,
            expert=expert,
            action_mode=top.refuse_unless("action_mode", ("continuous", "discrete", "both")),
            depth_gate=gate,
            enable_depth_reasoning=top.get("enable_depth_reasoning", bool, False),
            flow_steps=top.size("flow_matching_num_steps"),
            mask_action_dim_padding=top.get("mask_action_dim_padding", bool, True),
            n_obs_steps=top.size("n_obs_steps"),
            num_state_tokens=top.size("num_state_tokens"),
            num_depth_codes=top.get("num_depth_codes", int, 0) or 0,
            num_depth_tokens=top.get("num_depth_tokens", int, 0) or 0,
            num_action_tokens=top.get("num_action_tokens", int, 0) or 0,
            add_setup_tokens=top.get("add_setup_tokens", bool, True),
            add_control_tokens=top.get("add_control_tokens", bool, True),
            norm_stats_filename=top.get("norm_stats_filename", str, "norm_stats.json"),
            token_ids={
                key: value
                for key, value in data.items()
                if key.endswith("_id") and isinstance(value, int) and not isinstance(value, bool)
            },
        )


def _text(s: _Section) -> TextConfig:
    s.refuse_unless("hidden_act", ("silu",))
    s.refuse_unless("rope_scaling_layers", (None,), default=None)
    rope = s.data.get("rope_parameters") or s.data.get("rope_scaling") or {}
    if rope.get("rope_type", "default") != "default":
        raise CheckpointError(sentence("config.json: text_config rope type", expected="default", got=rope["rope_type"]))
    theta = s.data.get("rope_theta")  # the released code does not look for it among the rope parameters
    if not isinstance(theta, int | float):
        raise CheckpointError(sentence("config.json: text_config.rope_theta is missing", expected="a number"))
    heads = s.size("num_attention_heads")
    return TextConfig(
        hidden_size=s.size("hidden_size"),
        intermediate_size=s.size("intermediate_size"),
        num_layers=s.size("num_hidden_layers"),
        num_heads=heads,
        num_kv_heads=s.get("num_key_value_heads", int, None) or heads,
        head_dim=s.size("head_dim"),
        vocab_size=s.size("vocab_size"),
        additional_vocab_size=s.get("additional_vocab_size", int, 0) or 0,
        layer_norm_eps=s.get("layer_norm_eps", float),
        rope_theta=float(theta),
        max_positions=s.size("max_position_embeddings"),
        use_qk_norm=s.get("use_qk_norm", bool),
        qk_norm_type=s.get("qk_norm_type", str),
        qkv_bias=s.get("qkv_bias", bool),
        norm_after=s.get("norm_after", bool, False),
        tie_word_embeddings=s.get("tie_word_embeddings", bool, False),
    )


def _vit(s: _Section) -> VitConfig:
    size = s.get("image_default_input_size", list)
    vit = VitConfig(
        hidden_size=s.size("hidden_size"),
        intermediate_size=s.size("intermediate_size"),
        num_layers=s.size("num_hidden_layers"),
        num_heads=s.size("num_attention_heads"),
        num_kv_heads=s.size("num_key_value_heads"),
        head_dim=s.size("head_dim"),
        layer_norm_eps=s.get("layer_norm_eps", float),
        image_size=(int(size[0]), int(size[1])),
        patch_size=s.size("image_patch_size"),
        num_positions=s.size("image_num_pos"),
        hidden_act=s.refuse_unless(
            "hidden_act", ("gelu_pytorch_tanh", "gelu", "silu", "quick_gelu"), default="gelu_pytorch_tanh"
        ),
    )
    if any(side % vit.patch_size for side in vit.image_size):
        raise CheckpointError(
            sentence(
                "config.json: vit_config.image_default_input_size",
                expected=f"multiples of the patch size {vit.patch_size}",
                got=vit.image_size,
            )
        )
    return vit


def _adapter(s: _Section, vit: VitConfig, text: TextConfig) -> AdapterConfig:
    s.refuse_unless("hidden_act", ("silu",))
    taps = tuple(int(i) + (vit.num_layers if int(i) < 0 else 0) for i in s.get("vit_layers", list))
    if not taps or not all(0 <= i < vit.num_layers for i in taps):
        raise CheckpointError(
            sentence(
                "config.json: adapter_config.vit_layers",
                expected=f"indices of the {vit.num_layers} ViT layers",
                got=s.data["vit_layers"],
            )
        )
    if s.size("text_hidden_size") != text.hidden_size:
        raise CheckpointError(
            sentence(
                "config.json: adapter_config.text_hidden_size",
                expected=text.hidden_size,
                got=s.data["text_hidden_size"],
            )
        )
    masked = s.get("pooling_attention_mask", bool)
    return AdapterConfig(
        vit_layers=taps,
        hidden_size=s.size("hidden_size"),
        intermediate_size=s.size("intermediate_size"),
        text_hidden_size=text.hidden_size,
        num_heads=s.size("num_attention_heads"),
        num_kv_heads=s.size("num_key_value_heads"),
        head_dim=s.size("head_dim"),
        pooling_attention_mask=masked,
        # The released eager attention takes no mask; sdpa does. The released class is eager where nothing is said.
        hide_padding=masked and s.get("attn_implementation", str, "eager") != "eager",
    )


def _expert(s: _Section, top: _Section, text: TextConfig) -> ExpertConfig:
    hidden, heads = s.size("hidden_size"), s.size("num_heads")
    if hidden % heads:
        raise CheckpointError(
            sentence(
                "config.json: action_expert_config.hidden_size",
                expected=f"a multiple of num_heads ({heads})",
                got=hidden,
            )
        )
    layers = s.size("num_layers")
    if layers != text.num_layers:
        raise CheckpointError(
            sentence(
                "config.json: action_expert_config.num_layers",
                expected=f"one block for each of the {text.num_layers} language-model layers",
                got=layers,
            )
        )
    conditioning = s.refuse_unless("conditioning", CONDITIONINGS, default="per_layer")
    if conditioning == "per_head" and heads % text.num_kv_heads:
        raise CheckpointError(
            sentence(
                "config.json: action_expert_config.num_heads, conditioned per head",
                expected=f"a multiple of the language model's {text.num_kv_heads} K/V heads",
                got=heads,
            )
        )
    if conditioning == "hidden_state" and top.get("action_expert_depth_gate", bool, False):
        raise CheckpointError(
            sentence(
                "config.json: action_expert_config.conditioning",
                expected="per_layer or per_head, because a depth gate scales K and V",
                got=conditioning,
            )
        )
    multiple = s.size("ffn_multiple_of")
    inner = -(-int(hidden * s.get("mlp_ratio", float)) // multiple) * multiple
    return ExpertConfig(
        hidden_size=hidden,
        num_layers=layers,
        num_heads=heads,
        inner_size=inner,
        timestep_embed_dim=s.size("timestep_embed_dim"),
        qk_norm=s.get("qk_norm", bool),
        qk_norm_eps=s.get("qk_norm_eps", float),
        rope=s.get("rope", bool),
        context_layer_norm=s.get("context_layer_norm", bool),
        causal_attn=s.refuse_unless("causal_attn", (False, True)),
        max_action_dim=top.size("max_action_dim"),
        max_horizon=top.size("max_action_horizon"),
        conditioning=conditioning,
    )
