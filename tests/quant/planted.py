"""A small checkpoint whose activations reach what the released ones do, and what enters its products.

Image features of 1.7e4 in one channel, which stay in the residual stream, and pooling scores of 8e4 (docs/sources.md,
overflow): the weights that make them are scaled until they do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from safetensors.torch import load_file, save_file

from export.build import GraphOptions, golden_pipeline, plan_sizes, write_graphs
from export.golden import observation, task
from export.runner import OrtRunner
from policy_spec.pipeline import Pipeline
from policy_spec.spec import PolicySpec
from quant.lowfloat import ISLAND
from quant.statistics import Accumulator, Statistics
from tests.checkpoints import variant
from tests.quant.graphs_by_hand import session_of
from train.checkpoint import Checkpoint

FEATURES, SCORES, CHANNEL = 1.7e4, 8e4, 5
REACH = 16.0  # how much of the features' outlier the last layer makes; the rest is in what enters it
PROJECTOR = "model.vision_backbone.image_projector"
POOL = "model.vision_backbone.image_pooling_2d"
Feeds = dict[str, dict[str, np.ndarray]]


class Policy:
    """Float32 graphs of a checkpoint, and the golden observation through them or others made of them."""

    def __init__(self, checkpoint: Path, folder: Path) -> None:
        self.checkpoint, self.folder = checkpoint, folder
        spec = PolicySpec.from_checkpoint(checkpoint)
        sizes = plan_sizes(spec, checkpoint / "tokenizer.json", GraphOptions())
        write_graphs(Checkpoint(checkpoint), spec, sizes, folder, lambda *_: None)
        (folder / "tokenizer.json").write_bytes((checkpoint / "tokenizer.json").read_bytes())
        self.pipeline: Pipeline = golden_pipeline(spec, folder, sizes, "bidirectional")

    def chunk(self, folder: Path, seed: int = 0) -> np.ndarray:
        """Normalised actions over the robot's dims."""
        return self._predict(OrtRunner(folder, 1), seed)

    def _predict(self, run: Callable[..., dict[str, np.ndarray]], seed: int) -> np.ndarray:
        seen = observation(self.pipeline.tag, self.pipeline.cameras)
        chunk = self.pipeline.predict(run, seen, task(self.pipeline, seen), seed=seed).normalized
        return chunk[..., : self.pipeline.tag.action_dim]

    def feeds(self) -> Feeds:
        """What each graph is fed in one call; the first step's, of flow."""
        kept: Feeds = {}
        runner = OrtRunner(self.folder, 1)

        def run(graph: str, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            kept.setdefault(graph, {name: np.array(array) for name, array in feeds.items()})
            return runner(graph, feeds)

        self._predict(run, 0)
        return kept

    def values(self, graph: str, *names: str) -> dict[str, np.ndarray]:
        """Values inside a float32 graph during that call."""
        proto = onnx.load(self.folder / f"{graph}.onnx")
        for name in names:
            proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
        return session_of(proto).run_with(self.feeds()[graph], *names)

    def entering(self, graph: str, weight: str) -> np.ndarray:
        """What enters the product with one weight."""
        nodes = onnx.load(self.folder / f"{graph}.onnx", load_external_data=False).graph.node
        name = next(n.input[0] for n in nodes if n.op_type == "MatMul" and n.input[1] == weight)
        return self.values(graph, name)[name]

    def statistics(self, *graphs: str) -> Statistics:
        """What enters each product of some graphs."""
        made = Accumulator(gram=True)
        for graph in graphs:
            nodes = onnx.load(self.folder / f"{graph}.onnx", load_external_data=False).graph
            matrices = {t.name for t in nodes.initializer if len(t.dims) == 2}
            products = [n for n in nodes.node if n.op_type == "MatMul" and n.input[1] in matrices]
            got = self.values(graph, *{n.input[0] for n in products})
            for product in products:
                made.add(product.input[1], got[product.input[0]])
        return made.done()

    def scores(self) -> float:
        """The largest pooling score: the first sum on the island pooling_attention."""
        nodes = onnx.load(self.folder / "vision.onnx", load_external_data=False).graph.node
        inside = [n for n in nodes if any(m.value == "pooling_attention" for m in n.metadata_props)]
        name = next(n.output[0] for n in inside if n.op_type == "ReduceSum")
        return float(np.abs(self.values("vision", name)[name]).max())


def naive(node: ir.Node) -> bool:
    """float16 without islands but the masks, whose constants would not even be written."""
    hides = any(value is not None and value.name == "pooling.hidden" for value in node.inputs)
    return hides or node.metadata_props.get(ISLAND) == "mask"


def planted(source: Path, root: Path, features: bool, scores: bool) -> Policy:
    """The policy with one or both of the outliers."""
    checkpoint = variant(source, root / "checkpoint", lambda _: None)
    weights = load_file(checkpoint / "model.safetensors")
    if scores:
        factor = (SCORES / Policy(checkpoint, root / "plain").scores()) ** 0.5
        for part in ("wq", "wk"):
            for name in (f"{POOL}.{part}.weight", f"{POOL}.{part}.bias"):
                weights[name] = weights[name] * factor
        save_file(weights, checkpoint / "model.safetensors")
    if features:  # one inner channel of the projector alone makes the large channel of the features
        inner = Policy(checkpoint, root / "scored").entering("vision", f"{PROJECTOR}.w2.weight")[..., CHANNEL]
        weights[f"{PROJECTOR}.w3.weight"][CHANNEL] *= FEATURES / REACH / float(np.abs(inner).max())
        weights[f"{PROJECTOR}.w2.weight"][:, CHANNEL] = 0.0
        weights[f"{PROJECTOR}.w2.weight"][CHANNEL, CHANNEL] = REACH
        save_file(weights, checkpoint / "model.safetensors")
    return Policy(checkpoint, root / "graphs")
