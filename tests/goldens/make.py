"""Writes tests/goldens/*.npz: `python -m tests.goldens.make`. Only when the reference cases pass
(tests/test_reference.py).

Each holds the golden observation of a seeded tiny checkpoint and what train/model makes of it, a sample of rows
where an array is large.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np

from export import golden
from export.build import GraphOptions, plan_sizes
from export.reference import TorchRunner
from export.verify import answer
from policy_spec.image import pooling_index
from policy_spec.pipeline import Pipeline
from policy_spec.spec import PolicySpec
from tests.checkpoints import tiny
from train.checkpoint import Checkpoint, load_model

HERE = Path(__file__).parent
ROBOTS = ("so101", "yam")
ROWS = slice(None, None, 37)  # of features and of K and V's positions


def weights_digest(checkpoint: Path) -> str:
    """Of a few tensors: tells a changed checkpoint from a changed model."""
    opened = Checkpoint(checkpoint)
    digest = hashlib.sha256()
    for name in sorted(opened.shards)[::29]:
        digest.update(opened.tensor(name).numpy().tobytes())
    return digest.hexdigest()


def pipeline_of(checkpoint: Path) -> Pipeline:
    """The checkpoint's only tag, at the sizes of a default export."""
    spec = PolicySpec.from_checkpoint(checkpoint)
    tokenizer = checkpoint / "tokenizer.json"
    sizes = plan_sizes(spec, tokenizer, GraphOptions())
    return Pipeline(
        spec,
        spec.tokenizer(tokenizer),
        spec.tag(None),
        cameras=sizes.cameras,
        bracket=sizes.bracket,
        horizon=sizes.horizon,
    )


def values(checkpoint: Path, pipeline: Pipeline) -> dict[str, np.ndarray]:
    """Everything that a golden pins."""
    seen = golden.observation(pipeline.tag, pipeline.cameras)
    prepared = pipeline.prepare(seen, golden.TASKS[0])
    pooling = pooling_index(pipeline.spec.grid, pipeline.spec.pool)
    run = TorchRunner(load_model(checkpoint), pooling, pipeline.spec.flow_steps)
    said = answer(run, pipeline, seen, golden.TASKS[0], golden.SEED)
    last = pipeline.spec.layers - 1
    n = len(prepared.ids)
    return {
        "input_ids": prepared.ids,
        "expert_mask": prepared.expert_mask,
        "patches_sha256": np.asarray(hashlib.sha256(prepared.vision["patches"].tobytes()).hexdigest()),
        "noise": pipeline.noise(golden.SEED)[0, :2],
        "features": said.stages["features"][ROWS],
        "k_first": said.stages["k_00"][..., :n][..., ROWS],
        "v_last": said.stages[f"v_{last:02d}"][..., :n, :][..., ROWS, :],
        "normalized": said.prediction.normalized,
        "actions": said.prediction.actions,
    }


def main() -> None:
    """All robots."""
    for robot in ROBOTS:
        with tempfile.TemporaryDirectory() as scratch:
            checkpoint = tiny(Path(scratch) / robot, robot)
            digest = np.asarray(weights_digest(checkpoint))
            np.savez_compressed(HERE / f"{robot}.npz", weights=digest, **values(checkpoint, pipeline_of(checkpoint)))
            print(HERE / f"{robot}.npz")


if __name__ == "__main__":
    main()
