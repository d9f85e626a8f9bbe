"""A checkpoint's text files without weights, small, made on the spot; and where the reference cases lie."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

REFERENCE = Path(__file__).resolve().parents[2].parent / "shared" / "reference"
NAMES = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<setup_start>", "<setup_end>", "<control_start>"]
NAMES += ["<control_end>", "<state_start>", "<state_end>", *(f"<state_{i}>" for i in range(256))]
NAMES += ["<action_output>", "<action_start>", "<action_end>", "<action_0>", "<action_1>"]
NAMES += ["<depth_output>", "<depth_start>", "<depth_end>", "<depth_0>"]
NAMES += ["<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<low_res_im_start>", "<im_low>"]
NAMES += ["<frame_start>", "<frame_end>"]
BASE = 256  # bytes come first

requires_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"no reference cases at {REFERENCE}")


def token(name: str) -> int:
    return BASE + NAMES.index(name)


def config() -> dict[str, Any]:
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4}
    return {
        "model_type": "molmoact2",
        "add_action_expert": True,
        "action_mode": "both",
        "enable_depth_reasoning": False,
        "flow_matching_num_steps": 3,
        "mask_action_dim_padding": True,
        "n_obs_steps": 1,
        "num_state_tokens": 256,
        "num_action_tokens": 2,
        "num_depth_tokens": 1,
        "num_depth_codes": 4,
        "add_setup_tokens": True,
        "add_control_tokens": True,
        "max_action_dim": 8,
        "max_action_horizon": 6,
        "norm_stats_filename": "norm_stats.json",
        "eos_token_id": token("<|im_end|>"),
        "pad_token_id": token("<|endoftext|>"),
        "image_patch_id": token("<im_patch>"),
        "image_start_token_id": token("<im_start>"),
        "image_end_token_id": token("<im_end>"),
        "state_token_start_id": token("<state_0>"),
        "action_start_token_id": token("<action_start>"),
        "action_end_token_id": token("<action_end>"),
        "action_token_start_id": token("<action_0>"),
        "depth_token_start_id": token("<depth_0>"),
        "text_config": {
            **heads,
            "hidden_act": "silu",
            "rope_theta": 1e4,
            "hidden_size": 8,
            "intermediate_size": 8,
            "num_hidden_layers": 2,
            "vocab_size": 600,
            "additional_vocab_size": 0,
            "layer_norm_eps": 1e-6,
            "max_position_embeddings": 1024,
            "use_qk_norm": True,
            "qk_norm_type": "qwen3",
            "qkv_bias": False,
        },
        "vit_config": {
            **heads,
            "image_default_input_size": [42, 42],
            "hidden_size": 8,
            "intermediate_size": 8,
            "num_hidden_layers": 2,
            "layer_norm_eps": 1e-6,
            "image_patch_size": 14,
            "image_num_pos": 9,
        },
        "adapter_config": {
            **heads,
            "hidden_act": "silu",
            "vit_layers": [-1],
            "text_hidden_size": 8,
            "hidden_size": 8,
            "intermediate_size": 8,
            "pooling_attention_mask": True,
        },
        "action_expert_config": {
            "hidden_size": 8,
            "num_heads": 2,
            "num_layers": 2,
            "ffn_multiple_of": 8,
            "mlp_ratio": 2.0,
            "timestep_embed_dim": 8,
            "qk_norm": True,
            "qk_norm_eps": 1e-6,
            "rope": True,
            "context_layer_norm": True,
            "causal_attn": False,
        },
    }


def norm_stats() -> dict[str, Any]:
    stats = {
        "q01": [-10.0, 0.0, 5.0],
        "q99": [10.0, 4.0, 5.5],
        "min": [-20.0, -1.0, 5.0],
        "max": [20.0, 5.0, 5.0],
        "mask": [True, False, True],
    }
    tag = {
        "camera_keys": ["observation.images.front", "observation.images.wrist"],
        "setup_type": "a small arm",
        "control_mode": "absolute joint pose",
        "action_horizon": 4,
        "n_action_steps": 3,
        "action_stats": stats,
        "state_stats": copy.deepcopy(stats),
    }
    return {"format": "molmoact2_norm_stats.v1", "norm_mode": "q01_q99", "metadata_by_tag": {"arm": tag}}


def processor() -> dict[str, Any]:
    picture = {"crop_mode": "resize", "patch_size": 14, "pooling_size": [2, 2], "resample": 2}
    picture |= {"size": {"height": 42, "width": 42}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return {"image_processor": picture, "image_use_col_tokens": True, "use_single_crop_col_tokens": False}


def write_tokenizer(path: Path, names: list[str] | None = None) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.add_tokens([AddedToken(name, normalized=False) for name in (NAMES if names is None else names)])
    backend.save(str(path))


def checkpoint(folder: Path, **changes: Any) -> Path:
    """Writes the files; `changes` replace whole files by their stem, or keys of config.json."""
    files = {"config": config(), "processor_config": processor(), "norm_stats": norm_stats()}
    files["tokenizer_config"] = {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    for key, value in changes.items():
        if key in files:
            files[key] = value
        else:
            files["config"][key] = value
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.json").write_text(json.dumps(data))
    write_tokenizer(folder / "tokenizer.json")
    return folder


def picture(seed: int, height: int = 30, width: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
