"""Small checkpoints for tests: the tiny preset, and variants of its configuration with random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from policy_spec.config import ModelConfig
from train.init_checkpoint import InitOptions, init_checkpoint
from train.model import MolmoAct2

Change = Callable[[dict[str, Any]], None]
TINY_SEED = 0


def tiny(folder: Path, robot: str = "so101") -> Path:
    """`armside init --preset tiny`."""
    init_checkpoint(InitOptions(folder, "tiny", robot, TINY_SEED, False), lambda _: None)
    return folder


def variant(source: Path, folder: Path, change: Change, processor: Change = lambda _: None) -> Path:
    """A checkpoint like `source` with its config.json changed and fresh random weights of the shapes that asks for."""
    folder.mkdir()
    config = json.loads((source / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    picture = json.loads((source / "processor_config.json").read_text())
    processor(picture)
    (folder / "processor_config.json").write_text(json.dumps(picture))
    for name in ("tokenizer.json", "tokenizer_config.json", "norm_stats.json"):
        shutil.copyfile(source / name, folder / name)
    torch.manual_seed(7)
    model = MolmoAct2(ModelConfig.from_dict(config))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 2:
                p.normal_(0, p.shape[1] ** -0.5)
            elif "norm" in name and name.endswith("weight"):
                p.uniform_(0.5, 1.5)
            else:
                p.normal_(0, 0.1)
    save_file({n: p.detach().clone() for n, p in model.named_parameters()}, str(folder / "model.safetensors"))
    return folder
