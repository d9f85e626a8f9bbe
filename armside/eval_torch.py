"""A checkpoint that plays without an export: the reference model in torch, asked as a session is asked.

Takes a checkpoint's folder in the released format; gives chunks by the host's own pipeline over `export.reference`, the
slow truth that every graph is compared with. So checkpoints can be evaluated that have no graphs, such as other
conditionings of the expert. Continuous actions alone. Knows nothing of worlds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge.policies import camera_slots
from policy_spec.hashes import HashCache
from policy_spec.norm import NormTag
from policy_spec.pipeline import Observation, Pipeline, Prediction, Run

CONFIG, MANIFEST = "config.json", "manifest.json"
FACTS = (CONFIG, "norm_stats.json", "tokenizer.json", "processor_config.json")


@dataclass(frozen=True, slots=True, eq=False)
class TorchPolicy:
    """Has what an evaluation asks of a session."""

    pipeline: Pipeline
    runner: Run
    slots: tuple[str, ...]

    @property
    def tag(self) -> NormTag:
        return self.pipeline.tag

    def predict(self, observation: Observation, task: str, seed: int, passed: int = 0) -> Prediction:
        """One chunk, as Session.predict gives it."""
        return self.pipeline.predict(self.runner, observation, task, seed=seed)

    def reset(self) -> None:
        """It remembers nothing."""

    def close(self) -> None:
        """Memory goes with the object."""


def is_checkpoint(path: Path) -> bool:
    """A folder in the released format, and no bundle."""
    return (path / CONFIG).is_file() and not (path / MANIFEST).is_file()


def open_checkpoint(path: Path, norm_tag: str | None = None, threads: int | None = None) -> TorchPolicy:
    """threads: of torch, for the whole process. Raises CheckpointError, TensorError, SpecError, UsageError."""
    import torch

    from export.build import GraphOptions, plan_sizes
    from export.modes import check_mode
    from export.reference import torch_runner
    from policy_spec.spec import PolicySpec
    from train.checkpoint import Checkpoint, load_model

    if threads:
        torch.set_num_threads(threads)
    Checkpoint(path).check()
    spec = PolicySpec.from_checkpoint(path)
    check_mode(spec, "continuous")
    sizes = plan_sizes(spec, path / "tokenizer.json", GraphOptions())
    tag = spec.tag(norm_tag)
    slots = camera_slots(tag, sizes.cameras)
    pipeline = Pipeline(
        spec,
        spec.tokenizer(path / "tokenizer.json"),
        tag,
        cameras=sizes.cameras,
        bracket=sizes.bracket,
        horizon=sizes.horizon,
        allow_fewer_cameras=len(slots) < sizes.cameras,
    )
    return TorchPolicy(pipeline, torch_runner(load_model(path), spec, sizes.bracket, sizes.variant), slots)


def sha256_of(path: Path) -> str:
    """Of everything that the checkpoint's answers depend on: its facts and its weights. Raises OSError."""
    hashes, files = HashCache(), [*FACTS, *(file.name for file in sorted(path.glob("*.safetensors")))]
    known = [f"{name} {hashes.sha256(path / name)}" for name in files if (path / name).is_file()]
    hashes.save()
    return hashlib.sha256("\n".join(known).encode()).hexdigest()
