"""A whole bundle in a second: a real tiny checkpoint's spec and tokenizer, small graphs, its own golden."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.ort_engine import open_engine
from policy_spec.bundle import BundleWriter
from policy_spec.golden import Golden
from policy_spec.graphs import graph_specs
from policy_spec.manifest import GraphFile, Manifest, Source
from policy_spec.pipeline import Observation, Pipeline
from policy_spec.spec import PolicySpec
from tests.edge.onnx_bytes import OPSET
from tests.edge.small_graphs import write_graphs
from train.init_checkpoint import InitOptions, init_checkpoint

TASK = "put the red cube into the box"
SEED = 11


def small_bundle(path: Path, scratch: Path, **changes: object) -> Path:
    """Writes a bundle to `path`; `changes` are fields of the manifest."""
    checkpoint = scratch / "checkpoint"
    if not checkpoint.exists():
        init_checkpoint(InitOptions(checkpoint, "tiny", "so101", 0, False))
    spec = PolicySpec.from_checkpoint(checkpoint)
    tokenizer = spec.tokenizer(checkpoint / "tokenizer.json")
    tag = spec.tag()
    cameras = len(tag.camera_slots)
    bracket = spec.bracket(tokenizer, cameras)
    with BundleWriter(path) as out:
        files = write_graphs(out.directory, spec, cameras, bracket, tag.horizon)
        (out.directory / "spec.json").write_text(spec.to_json())
        (out.directory / "tokenizer.json").write_bytes((checkpoint / "tokenizer.json").read_bytes())
        pipeline = Pipeline(spec, tokenizer, tag, cameras=cameras, bracket=bracket, horizon=tag.horizon)
        make_golden(pipeline, files).save(out.directory)
        graphs = {
            name: GraphFile(graph, f"{name}.onnx", OPSET)
            for name, graph in graph_specs(spec, cameras, bracket, tag.horizon).items()
        }
        facts = dict(
            target="x86-cpu", precision="fp32", source=Source("tiny"), tags=tuple(spec.tags), cameras=cameras,
            bracket=bracket, horizon=tag.horizon, image_attention="bidirectional", graphs=graphs,
            arm=("so101",),
        )  # fmt: skip
        out.commit(Manifest(**{**facts, **changes}))  # type: ignore[arg-type]
    return path


def observation(state_dim: int, cameras: int, salt: int = 0) -> Observation:
    random = np.random.default_rng(salt)
    images = tuple(random.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(cameras))
    return Observation(images, np.full(state_dim, 20.0 + salt, np.float32))


def make_golden(pipeline: Pipeline, files: dict[str, Path]) -> Golden:
    engine = open_engine(files)
    seen = observation(pipeline.tag.state_dim, pipeline.cameras)
    got = pipeline.predict(engine.run, seen, TASK, seed=SEED)
    engine.close()
    state = np.asarray(seen.state, np.float32)
    return Golden(
        pipeline.tag.tag, TASK, SEED, seen.images, state, got.actions, got.normalized, got.actions,
        got.normalized, {},
    )  # fmt: skip


def rewrite(bundle: Path, name: str, data: bytes) -> None:
    """Replaces a file as a faulty export would: manifest and hash agree with it."""
    import dataclasses

    from policy_spec.hashes import sha256_of
    from policy_spec.manifest import FileEntry

    (bundle / name).write_bytes(data)
    manifest = Manifest.from_json((bundle / "manifest.json").read_text())
    entry = FileEntry(len(data), sha256_of(bundle / name))
    whole = dataclasses.replace(manifest, files={**manifest.files, name: entry})
    (bundle / "manifest.json").write_text(whole.to_json())
