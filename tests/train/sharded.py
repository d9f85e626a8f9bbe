"""One process of sharded runs: python -m tests.train.sharded CHECKPOINT OUT..., under torchrun's environment."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.train.material import ArrayFeed, array_rows, config
from train.trainer.loop import Trainer
from train.trainer.world import join

STAGE = {"steps": 3, "batch": 4, "noise_samples": 2, "answer": "depth", "depth_noise": 0.1}


def main() -> None:
    """Three steps in each folder, saved after each; a folder that holds a run goes on."""
    checkpoint, *folders = (Path(word) for word in sys.argv[1:])
    with join("cpu") as world:
        for out in folders:
            cfg = config(checkpoint, out, STAGE, save_every=1, keep=9, recompute=True)
            Trainer(cfg, ArrayFeed(array_rows(depth=True)), world).run((out / "config.toml").exists())


if __name__ == "__main__":
    main()
