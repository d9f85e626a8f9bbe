"""A small language model with a cache, and its context graph, with the inputs and outputs of policy_spec.graphs.

Not the model, but one: every layer attends over the cache by the released mask, so that a token's logits depend on
all that came before it and on nothing else, however the tokens are cut into runs.
"""

from __future__ import annotations

import numpy as np

from policy_spec.graphs import NEXT, GraphSpec
from policy_spec.spec import PolicySpec
from tests.edge.onnx_bytes import GraphWriter

WIDTH = 32  # of the residual stream
FLOAT, INT64 = 1, 7  # TensorProto types


def cached_llm(g: GraphWriter, io: GraphSpec, spec: PolicySpec, random: np.random.Generator) -> None:
    shapes = {t.name: t.shape for t in io.inputs}
    heads, length, size = shapes["cache_k_00"]
    hidden = shapes["features"][1]
    x = g.op("Gather", _weight(g, random, spec.vocab_size, WIDTH), "input_ids")
    padded = g.op("Concat", g.const(np.zeros((1, hidden), np.float32)), "features", axis=0)
    pixels = g.op("MatMul", padded, _weight(g, random, hidden, WIDTH, scale=hidden**-0.5))
    x = g.op("Add", x, g.op("Gather", pixels, "image_row"))
    x = g.op("Add", x, g.op("Gather", _weight(g, random, length, WIDTH), "positions"))
    places, bias = _places(g, heads), _bias(g, length)
    for layer in range(spec.layers):
        k, v, q = (_heads(g, x, _weight(g, random, WIDTH, heads * size, scale=0.06), heads, size) for _ in range(3))
        name = f"{layer:02d}"
        k = g.op("ScatterND", f"cache_k_{name}", places, k, name=f"cache_k_{name}{NEXT}")
        v = g.op("ScatterND", f"cache_v_{name}", places, v, name=f"cache_v_{name}{NEXT}")
        scores = g.op("Add", g.op("MatMul", q, g.op("Transpose", k, perm=[0, 2, 1])), bias)
        found = g.op("Transpose", g.op("MatMul", g.op("Softmax", scores, axis=-1), v), perm=[1, 0, 2])
        found = g.op("Reshape", found, _shape(g, 1, -1, heads * size))
        x = g.op("Add", x, g.op("MatMul", found, _weight(g, random, heads * size, WIDTH, scale=0.2)))
    wanted = g.op("Gather", g.op("Reshape", x, _shape(g, -1, WIDTH)), "rows")
    g.op("MatMul", wanted, _weight(g, random, WIDTH, io.outputs[0].shape[2]), name="logits")


def context(g: GraphWriter, io: GraphSpec, spec: PolicySpec, random: np.random.Generator) -> None:
    shapes = {t.name: t.shape for t in (*io.inputs, *io.outputs)}
    heads, length, size = shapes["cache_k_00"]
    _, out_heads, out_size, _ = shapes["k_00"]
    halved = g.op("Mul", "depth", g.const(np.array(0.5, np.float32)))
    scale = g.op("Reshape", g.op("Sub", "visible", halved), _shape(g, 1, length, 1))
    for layer in range(spec.layers):
        for kind, perm in (("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
            flat = g.op("Transpose", f"cache_{kind}_{layer:02d}", perm=[1, 0, 2])
            flat = g.op("Mul", g.op("Reshape", flat, _shape(g, 1, length, heads * size)), scale)
            turned = g.op("MatMul", flat, _weight(g, random, heads * size, out_heads * out_size, scale=0.1))
            split = g.op("Reshape", turned, _shape(g, 1, length, out_heads, out_size))
            g.op("Transpose", split, perm=perm, name=f"{kind}_{layer:02d}")


def _weight(g: GraphWriter, random: np.random.Generator, *shape: int, scale: float = 1.0) -> str:
    return g.const((random.standard_normal(shape) * scale).astype(np.float32))


def _shape(g: GraphWriter, *sides: int) -> str:
    return g.const(np.array(sides, np.int64))


def _heads(g: GraphWriter, x: str, weight: str, heads: int, size: int) -> str:
    """[1, K, width] -> [heads, K, size]."""
    split = g.op("Reshape", g.op("MatMul", x, weight), _shape(g, -1, heads, size))
    return g.op("Transpose", split, perm=[1, 0, 2])


def _places(g: GraphWriter, heads: int) -> str:
    """int64 [heads, K, 2]: head and place of each token's row."""
    place = g.op("Cast", g.op("Reshape", "positions", _shape(g, 1, -1, 1)), to_=INT64)
    head = g.const(np.arange(heads, dtype=np.int64).reshape(heads, 1, 1))
    nothing = g.op("Mul", place, g.const(np.zeros((heads, 1, 1), np.int64)))
    return g.op("Concat", g.op("Add", nothing, head), g.op("Add", nothing, place), axis=2)


def _bias(g: GraphWriter, length: int) -> str:
    """[1, K, C]: a token sees the places up to its own; image tokens also each other."""
    before = g.op("Gather", g.const(np.tril(np.ones((length, length), np.float32))), "positions")
    pairs = g.op("Mul", g.op("Reshape", "token_type", _shape(g, 1, -1, 1)), "key_type")
    seen = g.op("Max", before, pairs)
    return g.op("Mul", g.op("Sub", seen, g.const(np.array(1, np.float32))), g.const(np.array(1e9, np.float32)))
