"""The sizes of a seeded checkpoint, and the robots it can be written for. Data only.

`tiny` is for tests and the demo (seconds), `sim` for a policy that is trained on a CPU (about 7 M parameters), `mid`
for benchmarks (about 0.3 B), `molmoact2-full` has the released model's true shapes (5.4 B). `config_json` spells a
preset out in the keys of a released config.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from train.init_tokenizer import ACTION_TOKENS, ADDITIONAL, DEPTH_TOKENS, STATE_BINS, Vocabulary, build_vocabulary
from train.init_words import learn_merges, prompt_sentences

IMAGE_SIDE, PATCH = 378, 14  # pixels


@dataclass(frozen=True, slots=True)
class Preset:
    """One size. Heads times head size need not equal the width in the text model; in the others it does."""

    layers: int  # of the text model and of the expert, one for one
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    plain_size: int  # byte pieces and filler
    vocab_size: int
    vit_layers: int  # defined; blocks after the tap -3 are neither run nor written
    vit_hidden: int
    vit_heads: int
    vit_intermediate: int
    connector_intermediate: int
    expert_hidden: int
    expert_heads: int
    time_dim: int
    dtype: str
    shard_bytes: int
    max_positions: int
    image_side: int = IMAGE_SIDE  # pixels
    vit_taps: tuple[int, ...] = (-3, -9)
    action_tokens: int = ACTION_TOKENS
    words: bool = False  # the words of prompts are one token each, so that a prompt is short
    expert_ratio: float = 4.0  # inner width of the expert's MLP


# Byte-level text and 26 spare tokens: enough for every special token.
SMALL_VOCABULARY: Any = {"plain_size": 256, "vocab_size": 2752}
PRESETS = {
    "tiny": Preset(
        layers=4, hidden=64, heads=4, kv_heads=2, head_dim=16, intermediate=128, **SMALL_VOCABULARY,
        vit_layers=10, vit_hidden=48, vit_heads=4, vit_intermediate=96, connector_intermediate=128,
        expert_hidden=64, expert_heads=4, time_dim=32, dtype="float32", shard_bytes=2_000_000,
        max_positions=4096,
    ),
    # About 130 tokens a prompt with two cameras; every size was chosen for samples per second on two cores
    # (docs/training.md).
    "sim": Preset(
        layers=4, hidden=192, heads=4, kv_heads=2, head_dim=48, intermediate=512, plain_size=256, vocab_size=1216,
        vit_layers=4, vit_hidden=128, vit_heads=4, vit_intermediate=384, connector_intermediate=384,
        expert_hidden=192, expert_heads=4, time_dim=64, dtype="float32", shard_bytes=50_000_000,
        max_positions=1024, image_side=140, vit_taps=(-1, -2), action_tokens=512, words=True, expert_ratio=3.0,
    ),
    # The small vocabulary keeps it near 0.3 B: the released one alone would add as much again in tables.
    "mid": Preset(
        layers=12, hidden=1024, heads=16, kv_heads=8, head_dim=64, intermediate=4096, **SMALL_VOCABULARY,
        vit_layers=14, vit_hidden=384, vit_heads=6, vit_intermediate=1536, connector_intermediate=4096,
        expert_hidden=512, expert_heads=8, time_dim=256, dtype="float32", shard_bytes=500_000_000,
        max_positions=4096,
    ),
    "molmoact2-full": Preset(
        layers=36, hidden=2560, heads=32, kv_heads=8, head_dim=128, intermediate=9728,
        plain_size=151_643, vocab_size=154_624,
        vit_layers=27, vit_hidden=1152, vit_heads=16, vit_intermediate=4304, connector_intermediate=9728,
        expert_hidden=768, expert_heads=8, time_dim=256, dtype="bfloat16", shard_bytes=5_000_000_000,
        max_positions=16384,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RobotStats:
    """What norm_stats.json says of a robot: cameras in order, ranges of its joints in the policy's units."""

    tag: str
    setup: str
    cameras: tuple[str, ...]
    q01: tuple[float, ...]
    q99: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    normalized: tuple[bool, ...]  # False: the dim passes through raw


# SO-100/101: degrees in the policy's frame (pan, lift, elbow, wrist flex, wrist roll) and gripper percent.
SO101 = RobotStats(
    tag="so100_so101_molmoact2",
    setup="single so100/so101 robotic arm in molmoact2",
    cameras=("observation.images.cam0", "observation.images.cam1"),
    q01=(-41.91, 43.67, 38.39, 5.71, -63.45, 0.94),
    q99=(48.29, 185.26, 173.14, 91.78, 42.94, 44.14),
    low=(-110.0, -10.0, -10.0, -95.0, -160.0, 0.0),
    high=(110.0, 190.0, 187.0, 95.0, 160.0, 100.0),
    normalized=(True,) * 6,
)
# Two YAM arms, left then right: six joints in rad and a gripper from 0 (closed) to 1 (open), which is not
# normalized.
YAM = RobotStats(
    tag="yam_dual_molmoact2",
    setup="bimanual yam robotic arms in molmoact2",
    cameras=("top", "left", "right"),
    q01=(
        -0.66,
        0.004,
        0.014,
        -1.374,
        -0.359,
        -0.93,
        0.051,
        -0.494,
        0.005,
        0.017,
        -1.424,
        -0.974,
        -0.472,
        0.033,
    ),
    q99=(0.47, 2.244, 2.008, 0.134, 0.883, 0.334, 0.987, 0.738, 2.285, 2.061, 0.24, 0.53, 0.962, 0.995),
    low=(*(-3.1416,) * 6, 0.0) * 2,  # half a turn: wide bounds, no measured extremes are published
    high=(*(3.1416,) * 6, 1.0) * 2,
    normalized=((True,) * 6 + (False,)) * 2,
)
ROBOTS = {"so101": SO101, "yam": YAM}
HORIZON, MAX_ACTION_DIM, FLOW_STEPS = 30, 32, 10


@cache
def vocabulary_of(preset: Preset) -> Vocabulary:
    """The tokens of a preset; with `words` as many plain ones as the words ask for."""
    if not preset.words:
        return build_vocabulary(preset.plain_size, preset.vocab_size, (), preset.action_tokens)
    merges = learn_merges(prompt_sentences())
    sizes = preset.plain_size + len(merges), preset.vocab_size + len(merges)
    return build_vocabulary(*sizes, merges, preset.action_tokens)


def norm_stats_json(robot: RobotStats) -> dict[str, Any]:
    """The whole norm_stats.json for one robot."""
    stats = {
        "q01": list(robot.q01), "q99": list(robot.q99), "min": list(robot.low), "max": list(robot.high),
        "mask": list(robot.normalized),
    }  # fmt: skip
    tag = {
        "action_key": "action",
        "state_keys": ["observation.state"],
        "camera_keys": list(robot.cameras),
        "setup_type": robot.setup,
        "control_mode": "absolute joint pose",
        "action_horizon": HORIZON,
        "n_action_steps": HORIZON,
        "action_dim": len(robot.q01),
        "state_stats": stats,
        "action_stats": stats,
    }
    return {"format": "molmoact2_norm_stats.v1", "norm_mode": "q01_q99", "metadata_by_tag": {robot.tag: tag}}


def config_json(preset: Preset, vocabulary: Vocabulary, depth: bool = False) -> dict[str, Any]:
    """The whole config.json of a preset, with a released one's keys. depth: a MolmoThink, with a gate per layer."""
    return dict(
        sorted(
            {
                "model_type": "molmoact2",
                "architectures": ["MolmoAct2ForConditionalGeneration"],
                "auto_map": {"AutoConfig": "configuration_molmoact2.MolmoAct2Config"},
                "dtype": preset.dtype,
                "initializer_range": 0.02,
                "tie_word_embeddings": False,
                "transformers_version": "5.5.4",
                "text_config": _text_config(preset, vocabulary.vocab_size),
                "vit_config": _vit_config(preset),
                "adapter_config": _adapter_config(preset),
                "action_expert_config": _expert_config(preset),
                **_policy_switches(preset, depth),
                **vocabulary.config_ids(),
            }.items()
        )
    )


def _policy_switches(p: Preset, depth: bool) -> dict[str, Any]:
    return {
        "add_action_expert": True,
        "action_mode": "both",
        "action_expert_depth_gate": depth,
        "action_expert_depth_gate_init_bias": -4.0,
        "action_expert_depth_gate_per_layer": depth,
        "add_control_tokens": True,
        "add_setup_tokens": True,
        "depth_mode": 2,
        "enable_depth_reasoning": depth,
        "flow_matching_beta_alpha": 1.0,
        "flow_matching_beta_beta": 1.5,
        "flow_matching_cutoff": 1.0,
        "flow_matching_num_steps": FLOW_STEPS,
        "flow_matching_time_offset": 0.001,
        "flow_matching_time_scale": 0.999,
        "mask_action_dim_padding": True,
        "max_action_dim": MAX_ACTION_DIM,
        "max_action_horizon": HORIZON,
        "n_obs_steps": 1,
        "norm_stats_filename": "norm_stats.json",
        "num_action_tokens": p.action_tokens,
        "num_depth_codes": 100,
        "num_depth_tokens": DEPTH_TOKENS,
        "num_state_tokens": STATE_BINS,
        "state_format": "discrete",
        "use_frame_special_tokens": True,
    }


def _text_config(p: Preset, vocab_size: int) -> dict[str, Any]:
    return {
        "additional_vocab_size": ADDITIONAL,
        "attention_dropout": 0.0,
        "attn_implementation": "sdpa",
        "embedding_dropout": 0.0,
        "head_dim": p.head_dim,
        "hidden_act": "silu",
        "hidden_size": p.hidden,
        "initializer_range": 0.02,
        "intermediate_size": p.intermediate,
        "layer_norm_eps": 1e-06,
        "max_position_embeddings": p.max_positions,
        "model_type": "molmoact2_text",
        "norm_after": False,
        "num_attention_heads": p.heads,
        "num_hidden_layers": p.layers,
        "num_key_value_heads": p.kv_heads,
        "qk_norm_type": "qwen3",
        "qkv_bias": False,
        "residual_dropout": 0.0,
        "rope_parameters": {"rope_theta": 5000000.0, "rope_type": "default"},
        "rope_scaling_layers": None,
        "rope_theta": 5000000.0,
        "tie_word_embeddings": False,
        "use_cache": True,
        "use_qk_norm": True,
        "vocab_size": vocab_size,
    }


def _vit_config(p: Preset) -> dict[str, Any]:
    return {
        **_attention_config(p),
        "hidden_act": "gelu_pytorch_tanh",
        "image_default_input_size": [p.image_side, p.image_side],
        "image_num_pos": (p.image_side // PATCH) ** 2,
        "image_patch_size": PATCH,
        "intermediate_size": p.vit_intermediate,
        "layer_norm_eps": 1e-06,
        "num_hidden_layers": p.vit_layers,
    }


def _adapter_config(p: Preset) -> dict[str, Any]:
    return {
        **_attention_config(p),
        "hidden_act": "silu",
        "image_feature_dropout": 0.0,
        "intermediate_size": p.connector_intermediate,
        "pooling_attention_mask": True,
        "text_hidden_size": p.hidden,
        "vit_layers": list(p.vit_taps),
    }


def _attention_config(p: Preset) -> dict[str, Any]:
    """What the image encoder and the connector have in common."""
    return {
        "attention_dropout": 0.0,
        "attn_implementation": "sdpa",
        "float32_attention": True,
        "head_dim": p.vit_hidden // p.vit_heads,
        "hidden_size": p.vit_hidden,
        "initializer_range": 0.02,
        "model_type": "molmoact2",
        "num_attention_heads": p.vit_heads,
        "num_key_value_heads": p.vit_heads,
        "residual_dropout": 0.0,
    }


def _expert_config(p: Preset) -> dict[str, Any]:
    return {
        "attn_dropout": 0.0,
        "causal_attn": False,
        "context_layer_norm": True,
        "dropout": 0.0,
        "ffn_multiple_of": 32,
        "hidden_size": p.expert_hidden,
        "mlp_ratio": p.expert_ratio,
        "model_type": "molmoact2_action_expert",
        "num_heads": p.expert_heads,
        "num_layers": p.layers,
        "qk_norm": True,
        "qk_norm_eps": 1e-06,
        "rope": True,
        "timestep_embed_dim": p.time_dim,
    }
