"""The `llm` graph of think and discrete bundles: some tokens at their places of a cache -> logits, and the new cache.

One graph for the whole prompt at once and for the few tokens of each pass after it: the number of tokens is each run's
own choice, the weights are stored once. K (after qk-norm and RoPE) and V are kept as the language model has them; the
`context` graph turns them into the expert's. In the last layer only the rows whose logits are asked for go on past
their K and V.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from export.decoder import LLM, Decoder, Pair, Queries, Spans
from export.emit import Emit, Output, layer_name, rope_constants
from export.weights import Weights
from policy_spec.graphs import DYNAMIC, NEXT, cache_names
from train.checkpoint import Checkpoint
from train.model.llm import rope_tables

I32, F32 = ir.DataType.INT32, ir.DataType.FLOAT


@dataclass(frozen=True, slots=True)
class CachedSizes:
    """What is fixed for good."""

    image_tokens: int  # rows of `features` over all cameras
    length: int  # places of the cache
    head: Spans  # rows of the lm_head, in the order of the logits


def cached_llm_graph(checkpoint: Checkpoint, sizes: CachedSizes) -> ir.Model:
    """Shapes: docs/architecture.md."""
    return CachedLlm(checkpoint, sizes).build()


class CachedLlm:
    """One use: `build`."""

    def __init__(self, checkpoint: Checkpoint, sizes: CachedSizes) -> None:
        self.emit, self.c, self.sizes = Emit("llm"), checkpoint.config.text, sizes
        self.decoder = Decoder(self.emit, Weights(checkpoint, self.emit), self.c, DYNAMIC, sizes.length)

    def build(self) -> ir.Model:
        """The whole graph."""
        emit, c, length = self.emit, self.c, self.sizes.length
        ids, row = emit.input("input_ids", I32, (1, "K")), emit.input("image_row", I32, (1, "K"))
        token_type, positions = emit.input("token_type", F32, (1, "K")), emit.input("positions", I32, (1, "K"))
        key_type = emit.input("key_type", F32, (1, length))
        features = emit.input("features", F32, (self.sizes.image_tokens, c.hidden_size))
        rows = emit.input("rows", I32, (1, "M"))
        shape = (c.num_kv_heads, length, c.head_dim)
        caches = [emit.input(name, F32, shape) for name in cache_names(c.num_layers)]
        with emit.layer("llm.embed"):
            x = emit.out(self.decoder.embed(ids, row, features))
        bias = self._bias(positions, token_type, key_type)
        x, written = self._layers(x, positions, bias, rows, list(zip(caches[::2], caches[1::2], strict=True)))
        outputs: list[Output] = [
            (value, name + NEXT, F32, shape) for value, name in zip(written, cache_names(c.num_layers), strict=True)
        ]
        size = sum(stop - start for start, stop in self.sizes.head)
        with emit.layer("llm.head"):
            logits = self.decoder.logits(x, self.sizes.head)
        return emit.model([(logits, "logits", F32, (1, "M", size)), *outputs])

    def _layers(
        self, x: ir.Value, positions: ir.Value, bias: ir.Value, rows: ir.Value, caches: list[Pair]
    ) -> tuple[ir.Value, list[ir.Value]]:
        """The wanted rows behind the last layer, and the new caches: k, v, k, v, ..."""
        emit, decoder = self.emit, self.decoder
        rope, places = self._rope("rope", positions, 1.0), self._places(positions)
        queries = Queries(self._rope("rope.scaled", positions, self.c.head_dim**-0.5), bias)
        written: list[ir.Value] = []
        for i, (old_k, old_v) in enumerate(caches):
            name = f"{LLM}.blocks.{i}"
            with emit.layer(layer_name("llm.blocks", i)):
                inner = decoder.before(x, name)
                k, v = emit.rope(decoder.heads(inner, name, "k"), *rope), decoder.heads(inner, name, "v")
                kv = emit.op("ScatterND", old_k, places, k), emit.op("ScatterND", old_v, places, v)
                written += kv
                if i == len(caches) - 1:
                    x, inner, queries = self._only(rows, x, inner, queries)
                x = emit.out(decoder.rest(x, inner, kv, queries, name))
        return x, written

    def _rope(self, name: str, positions: ir.Value, scale: float) -> Pair:
        """cos and signed sin [1, K, d] of the tokens' places."""
        tables = rope_tables(self.sizes.length, self.c.head_dim, self.c.rope_theta)
        cos, sin = rope_constants(self.emit, name, tables[0].numpy(), tables[1].numpy(), scale)
        return self.emit.op("Gather", cos, positions, axis=0), self.emit.op("Gather", sin, positions, axis=0)

    def _bias(self, positions: ir.Value, token_type: ir.Value, key_type: ir.Value) -> ir.Value:
        """Additive mask [1, K, C]: a token sees the places up to its own; image tokens also each other."""
        emit, length = self.emit, self.sizes.length
        with emit.island("mask"):
            before = emit.const("causal", np.tril(np.ones((length, length), dtype=np.float32)))
            pairs = emit.op("Mul", emit.reshape(token_type, 1, DYNAMIC, 1), emit.reshape(key_type, 1, 1, length))
            return self.decoder.bias(emit.op("Gather", before, positions, axis=0), pairs)

    def _places(self, positions: ir.Value) -> ir.Value:
        """Index of each token's row in a cache, int64 [kv_heads, K, 2]: head and place."""
        emit, heads = self.emit, self.c.num_kv_heads
        place = emit.op("Cast", emit.reshape(positions, 1, DYNAMIC, 1), to=ir.DataType.INT64)
        head = emit.const("cache.heads", np.arange(heads, dtype=np.int64).reshape(heads, 1, 1))
        nothing = emit.op("Mul", place, emit.const("cache.zero", np.zeros((heads, 1, 1), dtype=np.int64)))
        return emit.op("Concat", emit.op("Add", nothing, head), emit.op("Add", nothing, place), axis=2)

    def _only(
        self, rows: ir.Value, x: ir.Value, inner: ir.Value, queries: Queries
    ) -> tuple[ir.Value, ir.Value, Queries]:
        """The given rows of what the last layer still needs."""
        picked = self.emit.reshape(rows, DYNAMIC)

        def pick(value: ir.Value) -> ir.Value:
            return self.emit.op("Gather", value, picked, axis=1)

        rope = pick(queries.rope[0]), pick(queries.rope[1])
        return pick(x), pick(inner), Queries(rope, pick(queries.bias))
