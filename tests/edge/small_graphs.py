"""Small graphs with exactly the inputs and outputs of policy_spec.graphs, each input really used.

Not the model: another picture, token, state or noise must give other actions, and that is all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from policy_spec.graphs import DYNAMIC, GraphSpec, TensorSpec, Variant, graph_specs
from policy_spec.spec import PolicySpec
from tests.edge.cached_graphs import cached_llm, context
from tests.edge.onnx_bytes import GraphWriter


def write_graphs(
    folder: Path,
    spec: PolicySpec,
    cameras: int,
    bracket: int,
    horizon: int,
    variant: Variant | None = None,
    seed: int = 5,
) -> dict[str, Path]:
    """NAME.onnx in `folder` for each graph of the variant; name -> path. Another seed, other weights."""
    variant = variant or Variant()
    specs = graph_specs(spec, cameras, bracket, horizon, variant)
    random = np.random.default_rng(seed)
    makers = {"vision": _vision, "llm": cached_llm if variant.cached else _llm, "context": context, "flow": _flow}
    paths = {}
    for name, io in specs.items():
        writer = GraphWriter()
        makers[name](writer, io, spec, random)
        paths[name] = folder / f"{name}.onnx"
        inputs, outputs = ({t.name: (t.dtype, _sides(t)) for t in side} for side in (io.inputs, io.outputs))
        paths[name].write_bytes(writer.model(inputs, outputs))
    return paths


def _sides(tensor: TensorSpec) -> list[int | str]:
    """K: the tokens of a run; M: the logits that are wanted."""
    name = "M" if tensor.name in ("rows", "logits") else "K"
    return [name if side == DYNAMIC else side for side in tensor.shape]


def _normal(random: np.random.Generator, *shape: int, scale: float = 1.0) -> np.ndarray:
    return (random.standard_normal(shape) * scale).astype(np.float32)


def _shape(g: GraphWriter, *sides: int) -> str:
    return g.const(np.array(sides, np.int64))


def _vision(g: GraphWriter, io: GraphSpec, spec: PolicySpec, random: np.random.Generator) -> None:
    cameras, patches, size = io.inputs[0].shape
    rows, hidden = io.outputs[0].shape
    pixels = g.op("Mul", g.op("Cast", "patches", to_=1), g.const(np.array(1 / 255, np.float32)))
    mixed = g.op("MatMul", pixels, g.const(_normal(random, size, hidden, scale=0.05)))
    pool = np.kron(np.eye(rows // cameras), np.ones(-(-patches * cameras // rows)))[:, :patches].astype(np.float32)
    g.op("Reshape", g.op("MatMul", g.const(pool), mixed), _shape(g, rows, hidden), name="features")


def _llm(g: GraphWriter, io: GraphSpec, spec: PolicySpec, random: np.random.Generator) -> None:
    _, heads, size, bracket = io.outputs[0].shape
    width, hidden = heads * size, io.inputs[3].shape[1]
    words = g.op("Gather", g.const(_normal(random, spec.vocab_size, width)), "input_ids")
    padded = g.op("Concat", g.const(np.zeros((1, hidden), np.float32)), "features", axis=0)
    seen = g.op("MatMul", g.op("Gather", padded, "image_row"), g.const(_normal(random, hidden, width)))
    kind = g.op("Reshape", "token_type", _shape(g, 1, bracket, 1))
    both = g.op("Add", g.op("Add", words, seen), kind)
    split = g.op("Reshape", both, _shape(g, 1, bracket, heads, size))
    for number, output in enumerate(io.outputs):
        turned = g.op("Transpose", split, perm=[0, 2, 3, 1] if output.name[0] == "k" else [0, 2, 1, 3])
        g.op("Mul", turned, g.const(np.array(0.05 + 0.01 * number, np.float32)), name=output.name)


def _flow(g: GraphWriter, io: GraphSpec, spec: PolicySpec, random: np.random.Generator) -> None:
    shapes = {t.name: t.shape for t in io.inputs}
    _, horizon, width = shapes["trajectory"]
    _, heads, size, _ = shapes["k_00"]
    x = "trajectory"
    for layer in range(spec.layers):
        asked = g.op("MatMul", x, g.const(_normal(random, width, heads * size, scale=0.1)))
        asked = g.op("Transpose", g.op("Reshape", asked, _shape(g, 1, horizon, heads, size)), perm=[0, 2, 1, 3])
        scores = g.op("Add", g.op("MatMul", asked, f"k_{layer:02d}"), "context_bias")
        found = g.op("MatMul", g.op("Softmax", scores, axis=-1), f"v_{layer:02d}")
        found = g.op("Reshape", g.op("Transpose", found, perm=[0, 2, 1, 3]), _shape(g, 1, horizon, heads * size))
        x = g.op("Add", x, g.op("MatMul", found, g.const(_normal(random, heads * size, width, scale=0.1))))
    table = g.const(_normal(random, spec.flow_steps, width, scale=0.05))
    x = g.op("Add", x, g.op("Reshape", g.op("Gather", table, "step"), _shape(g, 1, 1, width)))
    gate = g.op(
        "Sigmoid",
        g.op(
            "Add",
            g.op("Reshape", "horizon_bias", _shape(g, 1, horizon, 1)),
            g.const(np.array(20.0, np.float32)),
        ),
    )
    shrunk = g.op("Mul", x, g.const(np.array(0.8, np.float32)))
    g.op("Mul", g.op("Mul", shrunk, gate), "dim_mask", name="next")
