"""What the policy's benchmarks share: a seeded checkpoint of a preset and its bundles, made once and kept."""

from __future__ import annotations

import sys
from pathlib import Path

from armside.make_bundle import ExportOptions, export_bundle
from edge.policies import STYLES
from export import golden
from export.build import GraphOptions
from policy_spec.bundle import open_bundle
from policy_spec.errors import BundleError
from policy_spec.pipeline import Observation, Pipeline
from policy_spec.spec import PolicySpec
from train.init_checkpoint import InitOptions, init_checkpoint

TASK = "put the red cube into the box"
FOLDER = Path("bench-work")


def checkpoint_of(preset: str, folder: Path, depth: bool = False) -> Path:
    """`armside init --preset`, kept between runs."""
    path = folder / (f"{preset}-depth" if depth else preset)
    if not (path / "config.json").is_file():
        say(f"writing a random {preset} checkpoint to {path}")
        init_checkpoint(InitOptions(path, preset, "so101", 0, False, depth), lambda _: None)
    return path


def bundle_of(checkpoint: Path, precision: str, mode: str = "continuous") -> Path:
    """A bundle whose bracket is this task's prompt, so that eager torch and the graphs do the same work."""
    kind = "" if mode == "continuous" else f"-{mode}"
    path = checkpoint.with_name(f"{checkpoint.name}-{precision}{kind}.bundle")
    try:
        open_bundle(path)
    except BundleError:
        say(f"exporting {path}")
        graphs = GraphOptions(prompt_tokens=prompt_tokens(checkpoint), mode=mode)
        export_bundle(
            ExportOptions(str(checkpoint), path, precision=precision, graphs=graphs, overwrite=path.exists()),
            lambda *_: None,
        )
    return path


def prompt_tokens(checkpoint: Path) -> int:
    """Tokens of the benchmark's prompt: of the longer one that asks for depth, where the checkpoint knows it."""
    spec = PolicySpec.from_checkpoint(checkpoint)
    style = STYLES["think" if spec.depth else "continuous"]
    tokenizer = spec.tokenizer(checkpoint / "tokenizer.json")
    tag = spec.tag(None)
    cameras, room = len(tag.camera_slots), spec.max_positions
    pipeline = Pipeline(spec, tokenizer, tag, cameras=cameras, bracket=room, horizon=tag.horizon, style=style)
    return len(pipeline.prepare(scene(pipeline), TASK).ids)


def scene(pipeline: Pipeline) -> Observation:
    """The golden observation."""
    return golden.observation(pipeline.tag, pipeline.cameras)


def say(text: str) -> None:
    """To stderr: stdout is the table."""
    print(text, file=sys.stderr, flush=True)
