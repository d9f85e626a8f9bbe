"""A whole bundle of any mode in a second: a real tiny checkpoint's spec and tokenizer, small graphs, own golden."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from edge.ort_engine import open_engine
from policy_spec.bundle import FAST_TOKENIZER, BundleWriter
from policy_spec.fast_fit import FitOptions, fit, save
from policy_spec.golden import Golden
from policy_spec.graphs import Variant, graph_specs, variant_of
from policy_spec.manifest import GraphFile, Manifest, Source
from policy_spec.pipeline import Observation, Pipeline
from policy_spec.replay import Replay
from policy_spec.spec import PolicySpec
from policy_spec.think import STYLE
from tests.edge.onnx_bytes import OPSET
from tests.edge.small_graphs import write_graphs
from train.init_checkpoint import InitOptions, init_checkpoint

TASK = "put the red cube into the box"
SEED = 11


def small_bundle(path: Path, scratch: Path, mode: str = "continuous", head: str = "", **changes: object) -> Path:
    """Writes a bundle to `path`; `changes` are fields of the manifest."""
    checkpoint = scratch / "checkpoint"
    if not checkpoint.exists():
        init_checkpoint(InitOptions(checkpoint, "tiny", "so101", 0, False))
    spec = PolicySpec.from_checkpoint(checkpoint)
    spec = dataclasses.replace(spec, depth=mode == "think")
    tokenizer = spec.tokenizer(checkpoint / "tokenizer.json")
    tag = spec.tag()
    cameras = len(tag.camera_slots)
    bracket = spec.bracket(tokenizer, cameras)
    variant = variant_of(spec, mode, head, tag.horizon)
    with BundleWriter(path) as out:
        files = write_graphs(out.directory, spec, cameras, bracket, tag.horizon, variant)
        (out.directory / "spec.json").write_text(spec.to_json())
        (out.directory / "tokenizer.json").write_bytes((checkpoint / "tokenizer.json").read_bytes())
        if mode == "discrete":
            _fast_tokenizer(out.directory / FAST_TOKENIZER, (tag.horizon, tag.action_dim))
        style = STYLE if mode == "think" else "robot_action"
        pipeline = Pipeline(spec, tokenizer, tag, cameras=cameras, bracket=bracket, horizon=tag.horizon, style=style)
        make_golden(pipeline, files, variant).save(out.directory)
        graphs = {
            name: GraphFile(graph, f"{name}.onnx", OPSET)
            for name, graph in graph_specs(spec, cameras, bracket, tag.horizon, variant).items()
        }
        facts = dict(
            target="x86-cpu", precision="fp32", source=Source("tiny"), tags=tuple(spec.tags), cameras=cameras,
            bracket=bracket, horizon=tag.horizon, image_attention="bidirectional", graphs=graphs,
            arm=("so101",), **dataclasses.asdict(variant),
        )  # fmt: skip
        out.commit(Manifest(**{**facts, **changes}))  # type: ignore[arg-type]
    return path


def _fast_tokenizer(folder: Path, chunk: tuple[int, int]) -> None:
    """Fitted on smooth made-up chunks."""
    random = np.random.default_rng(2)
    time = np.linspace(0, 3, chunk[0])[:, None]
    rates, phases = random.uniform(0.5, 2, (2, 40, 1, chunk[1]))
    save(fit(0.8 * np.sin(rates * time + phases), FitOptions(codes=512, dims=0)), folder, {})


def observation(state_dim: int, cameras: int, salt: int = 0) -> Observation:
    random = np.random.default_rng(salt)
    images = tuple(random.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(cameras))
    return Observation(images, np.full(state_dim, 20.0 + salt, np.float32))


def make_golden(pipeline: Pipeline, files: dict[str, Path], variant: Variant) -> Golden:
    engine = open_engine(files)
    seen = observation(pipeline.tag.state_dim, pipeline.cameras)
    tokens, stages = np.zeros(0, np.int64), dict[str, np.ndarray]()
    if variant.cached:
        replay, prepared = Replay(pipeline, variant), pipeline.prepare(seen, TASK)
        features = engine.run("vision", prepared.vision)["features"]
        tokens = replay.greedy(engine.run, prepared, features)
        whole = replay.whole(engine.run, prepared, features, tokens, SEED)
        stages |= {"features": features.copy(), "best": whole.logits.max(axis=-1), **_some(whole.context)}
        normalized = whole.normalized
        normalized = np.zeros((1, 0, pipeline.spec.max_action_dim), np.float32) if normalized is None else normalized
    else:
        normalized = pipeline.predict(engine.run, seen, TASK, seed=SEED).normalized
        prepared = pipeline.prepare(seen, TASK)
        features = engine.run("vision", prepared.vision)["features"]
        stages |= {"features": features.copy()}
        stages |= _some(engine.run("llm", {**prepared.llm, "features": features}))
    engine.close()
    state, actions = np.asarray(seen.state, np.float32), pipeline.actions(normalized)
    return Golden(
        pipeline.tag.tag, TASK, SEED, seen.images, state, actions, normalized, actions, normalized, stages, tokens
    )


def _some(context: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """K and V of the first layer and the last, as an export keeps them."""
    names = sorted(context)
    return {name: context[name].copy() for name in (*names[:1], *names[-1:]) if name[0] in "kv"}


def rewrite(bundle: Path, name: str, data: bytes) -> None:
    """Replaces a file as a faulty export would: manifest and hash agree with it."""
    from policy_spec.hashes import sha256_of
    from policy_spec.manifest import FileEntry

    (bundle / name).write_bytes(data)
    manifest = Manifest.from_json((bundle / "manifest.json").read_text())
    entry = FileEntry(len(data), sha256_of(bundle / name))
    whole = dataclasses.replace(manifest, files={**manifest.files, name: entry})
    (bundle / "manifest.json").write_text(whole.to_json())
