"""A seeded random checkpoint in the released format: all else can be tried before a trained one is there.

Takes a preset, a robot and a seed; writes config.json, the processor and tokenizer files, norm_stats.json and
safetensors shards, whole or not at all. Each tensor's numbers depend on the seed and its name alone, so they
do not change when another tensor does. Never holds more than a piece of one tensor; needs no torch.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policy_spec.config import ModelConfig
from policy_spec.errors import CheckpointError, UsageError, sentence
from train.init_tokenizer import tokenizer_files
from train.presets import PATCH, PRESETS, ROBOTS, config_json, norm_stats_json, vocabulary_of
from train.released_names import TensorSpec, released_tensors
from train.shards import Progress, ShardPlan, plan_shards, write_shards

PIECE = 4_000_000  # elements drawn at once: 16 MB
SPARE_BYTES = 50_000_000  # kept free beside the shards: the JSON files, and room for the system


@dataclass(frozen=True, slots=True)
class InitOptions:
    """What `armside init` was asked for. Raises UsageError when made of unknown names."""

    folder: Path
    preset: str = "tiny"
    robot: str = "so101"
    seed: int = 0
    overwrite: bool = False
    depth: bool = False  # predicts a depth map before it acts

    def __post_init__(self) -> None:
        for word, value, known in (("preset", self.preset, PRESETS), ("robot", self.robot, ROBOTS)):
            if value not in known:
                raise UsageError(sentence(f"unknown {word}", expected=" or ".join(known), got=value))
        if self.seed < 0:
            raise UsageError(sentence("seed", expected="0 or more", got=self.seed))


def plan(options: InitOptions) -> tuple[dict[str, Any], ShardPlan]:
    """The JSON files by name, and which tensors go where; nothing is written."""
    preset = PRESETS[options.preset]
    vocabulary = vocabulary_of(preset)
    config = config_json(preset, vocabulary, options.depth)
    files = {
        "config.json": config,
        "generation_config.json": _generation_config(config),
        "processor_config.json": _processor_config(preset.image_side),
        "norm_stats.json": norm_stats_json(ROBOTS[options.robot]),
        **tokenizer_files(vocabulary),
    }
    tensors = tuple(released_tensors(ModelConfig.from_dict(config)))
    return files, plan_shards(tensors, preset.dtype, preset.shard_bytes)


def init_checkpoint(options: InitOptions, progress: Progress | None = None) -> ShardPlan:
    """Writes under a temporary name, then renames. Raises CheckpointError: folder taken, disk full."""
    folder = options.folder
    if folder.exists() and not options.overwrite:
        raise CheckpointError(
            sentence(f"{folder} exists", expected="a new folder", do="choose another, or say --overwrite")
        )
    if folder.exists() and any(folder.iterdir()) and not (folder / "config.json").is_file():
        raise CheckpointError(
            sentence(f"{folder} is not a checkpoint", expected="config.json in it", do="remove it yourself")
        )
    files, shards = plan(options)
    _refuse_small_disk(folder, shards.total_bytes)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        for name, value in files.items():
            text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False) + "\n"
            (partial / name).write_text(text, encoding="utf-8")
        write_shards(partial, shards, lambda spec: pieces(spec, options.seed), progress)
        _swap(partial, folder)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise CheckpointError(
            sentence(
                f"the disk filled up while writing {folder}; nothing is left of it",
                expected=f"{shards.total_bytes / 1e9:.2f} GB free",
                do="free some room, or choose a smaller preset",
            )
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # gone already when it was renamed
    return shards


def pieces(spec: TensorSpec, seed: int) -> Iterator[np.ndarray]:
    """The tensor's numbers, flat float32 [<= PIECE] at a time; seed and name alone decide them."""
    if spec.theta is not None:
        exponents = np.arange(spec.count, dtype=np.float32) / np.float32(spec.count)
        yield (1.0 / spec.theta**exponents).astype(np.float32)
        return
    generator = np.random.default_rng([seed, zlib.crc32(spec.name.encode())])
    for start in range(0, spec.count, PIECE):
        values = generator.standard_normal(min(PIECE, spec.count - start), dtype=np.float32)
        values *= np.float32(spec.std)
        values += np.float32(spec.mean)
        yield values


def _swap(partial: Path, folder: Path) -> None:
    """Puts the finished folder in place; an old one leaves only after the new one stands."""
    old = folder.with_name(f"{folder.name}.old-{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _refuse_small_disk(folder: Path, need: int) -> None:
    place = next(parent for parent in folder.absolute().parents if parent.exists())
    free = shutil.disk_usage(place).free
    if free < need + SPARE_BYTES:
        raise CheckpointError(
            sentence(
                f"not enough room under {place}",
                expected=f"{(need + SPARE_BYTES) / 1e9:.2f} GB free",
                got=f"{free / 1e9:.2f} GB",
                do="free some room, choose another disk, or a smaller preset",
            )
        )


def _generation_config(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "_from_model_config": True,
        "eos_token_id": config["eos_token_id"],
        "output_attentions": False,
        "output_hidden_states": False,
        "pad_token_id": config["pad_token_id"],
        "transformers_version": config["transformers_version"],
        "use_cache": True,
    }


def _processor_config(side: int) -> dict[str, Any]:
    processor = {"AutoProcessor": "processing_molmoact2.MolmoAct2Processor"}
    picture = {
        "do_convert_rgb": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "patch_size": PATCH,
        "resample": 2,
        "size": {"height": side, "width": side},
    }
    return {
        "auto_map": processor,
        "image_processor": {
            "auto_map": {
                **processor,
                "AutoImageProcessor": "image_processing_molmoact2.MolmoAct2ImageProcessor",
            },
            **picture,
            "crop_mode": "resize",
            "image_processor_type": "MolmoAct2ImageProcessor",
            "max_crops": 8,
            "overlap_margins": [4, 4],
            "pooling_size": [2, 2],
        },
        "image_use_col_tokens": True,
        "processor_class": "MolmoAct2Processor",
        "use_frame_special_tokens": True,
        "use_single_crop_col_tokens": False,
        "use_single_crop_start_token": False,
        "video_processor": {
            "auto_map": {
                **processor,
                "AutoVideoProcessor": "video_processing_molmoact2.MolmoAct2VideoProcessor",
            },
            **picture,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "do_sample_frames": True,
            "frame_sample_mode": "uniform_last_frame",
            "max_fps": 2,
            "pooling_size": [3, 3],
            "rescale_factor": 1 / 255,
            "return_metadata": False,
            "sampling_fps": 2,
            "video_processor_type": "MolmoAct2VideoProcessor",
        },
        "video_use_col_tokens": False,
    }
