"""The language model's layers, as the graphs of all modes write them: embedding, mask, heads, attention, MLP, logits.

Takes an Emit and a checkpoint's weights; whoever uses it gives each layer its K and V, from the prompt itself or from a
cache. Knows nothing of where they are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from export.emit import Emit
from export.weights import Rows, Weights
from policy_spec.config import TextConfig
from policy_spec.masks import HIDDEN

LLM = "model.transformer"
Pair = tuple[ir.Value, ir.Value]
Spans = tuple[tuple[int, int], ...]  # rows [start, stop) of a matrix, in order


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """What the tokens that look around have of their own."""

    rope: Pair  # cos and signed sin of their places, the attention scale on both
    bias: ir.Value  # additive mask [..., Q, keys]


class Decoder:
    """One graph's language model."""

    def __init__(self, emit: Emit, weights: Weights, c: TextConfig, rows: int, keys: int) -> None:
        """rows: tokens of a run, -1 where each run chooses; keys: tokens that K and V hold."""
        self.emit, self.weights, self.c, self.rows, self.keys = emit, weights, c, rows, keys

    def embed(self, ids: ir.Value, row: ir.Value, features: ir.Value) -> ir.Value:
        """Rows of the merged table, plus the image feature of each <im_patch>: row 1 is the first, at 0 there is none.

        Multiplied by 0 there, rather than gathered from a table with a row of zeros: that would copy all features at
        each run.
        """
        emit, c = self.emit, self.c
        names = [f"{LLM}.wte.embedding", f"{LLM}.wte.new_embedding"]
        table = emit.weight(
            f"{LLM}.wte.merged",
            (c.vocab_size + c.additional_vocab_size, c.hidden_size),
            lambda: self.weights.stacked(names),
        )
        zero, one = (emit.const(f"i32_{value}", np.array(value, dtype=np.int32)) for value in (0, 1))
        index = emit.op("Max", emit.op("Sub", row, one), zero)
        there = emit.op("Cast", emit.op("Sub", row, index), to=ir.DataType.FLOAT)  # 1 at an image, else 0
        images = emit.op("Gather", features, index, axis=0)
        images = emit.op("Mul", images, emit.reshape(there, 1, self.rows, 1))
        return emit.op("Add", emit.op("Gather", table, ids, axis=0), images)

    def bias(self, causal: ir.Value, pairs: ir.Value) -> ir.Value:
        """Additive mask: 0 where a key comes before its query or both are image tokens (pairs is 1), else HIDDEN, which
        overflows float16: write it on an island.
        """
        allowed = self.emit.op("Max", causal, pairs)
        one, hidden = self.emit.scalar(1.0), self.emit.scalar(-float(HIDDEN))
        return self.emit.op("Mul", self.emit.op("Sub", allowed, one), hidden)

    def before(self, x: ir.Value, name: str) -> ir.Value:
        """What the projections of a layer read."""
        return x if self.c.norm_after else self._norm(x, f"{name}.attn_norm")

    def rest(self, x: ir.Value, inner: ir.Value, kv: Pair, queries: Queries, name: str) -> ir.Value:
        """The layer from its K and V on: attention, MLP, both residuals."""
        emit, after = self.emit, self.c.norm_after
        mixed = self._attend(emit.rope(self.heads(inner, name, "q"), *queries.rope), kv, queries.bias, name)
        x = emit.op("Add", x, self._norm(mixed, f"{name}.attn_norm") if after else mixed)
        inner = self._mlp(x if after else self._norm(x, f"{name}.ff_norm"), f"{name}.mlp")
        return emit.op("Add", x, self._norm(inner, f"{name}.ff_norm") if after else inner)

    def heads(self, x: ir.Value, name: str, part: str) -> ir.Value:
        """q, k or v: a GEMM of its own from the fused projection, qk-norm (q and k), heads first: [heads, S, d]."""
        emit, c = self.emit, self.c
        x, heads = self._project(x, name, part)
        normed = c.use_qk_norm and part != "v"
        if normed and c.qk_norm_type != "qwen3":
            x = self._norm(x, f"{name}.self_attn.{part}_norm")
        x = emit.reshape(x, self.rows, heads, c.head_dim)
        if normed and c.qk_norm_type == "qwen3":
            x = self._norm(x, f"{name}.self_attn.{part}_norm")
        return emit.transpose(x, 1, 0, 2)

    def logits(self, x: ir.Value, spans: Spans) -> ir.Value:
        """The final norm and the given rows of the lm_head, in that order: [1, Q, rows]."""
        c = self.c
        source = f"{LLM}.wte.embedding" if c.tie_word_embeddings else "lm_head.weight"

        def load() -> np.ndarray:
            parts = [self.weights.checkpoint.rows(source, *span).numpy() for span in spans]
            return np.concatenate(parts).T

        count = sum(stop - start for start, stop in spans)
        head = self.emit.weight("lm_head.weight", (c.hidden_size, count), load)
        return self.emit.op("MatMul", self._norm(x, f"{LLM}.ln_f"), head, name="lm_head")

    def _norm(self, x: ir.Value, name: str) -> ir.Value:
        return self.emit.rms_norm(x, self.c.layer_norm_eps, self.weights.vector(f"{name}.weight"))

    def _project(self, x: ir.Value, name: str, part: str) -> tuple[ir.Value, int]:
        """Rows q, k or v of the fused projection: [1, S, heads * d], and the number of heads."""
        c = self.c
        q, kv = c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim
        rows = {"q": Rows(0, q, "q"), "k": Rows(q, q + kv, "k"), "v": Rows(q + kv, q + 2 * kv, "v")}[part]
        return self.weights.linear(x, f"{name}.self_attn.att_proj", rows), (rows.stop - rows.start) // c.head_dim

    def _attend(self, q: ir.Value, kv: Pair, bias: ir.Value, name: str) -> ir.Value:
        """Grouped-query attention of q [heads, Q, d] over K and V [kv_heads, keys, d]: the queries of a group are
        stacked along rows, so keys are never copied.
        """
        emit, c, (k, v) = self.emit, self.c, kv
        group = c.num_heads // c.num_kv_heads
        stacked = self.rows if self.rows < 0 else group * self.rows
        q = emit.reshape(q, c.num_kv_heads, stacked, c.head_dim)
        with emit.island("attention_scores"):
            scores = emit.op("MatMul", q, emit.transpose(k, 0, 2, 1))
            scores = emit.op("Add", emit.reshape(scores, c.num_kv_heads, group, self.rows, self.keys), bias)
        mixed = emit.reshape(emit.softmax(scores), c.num_kv_heads, stacked, self.keys)
        mixed = emit.reshape(emit.op("MatMul", mixed, v), c.num_heads, self.rows, c.head_dim)
        flat = emit.reshape(emit.transpose(mixed, 1, 0, 2), 1, self.rows, c.num_heads * c.head_dim)
        return self.weights.linear(flat, f"{name}.self_attn.attn_out")

    def _mlp(self, x: ir.Value, name: str) -> ir.Value:
        """SwiGLU; the fused first layer as two GEMMs."""
        n = self.c.intermediate_size
        up = self.weights.linear(x, f"{name}.ff_proj", Rows(0, n, "up"))
        gate = self.weights.linear(x, f"{name}.ff_proj", Rows(n, 2 * n, "gate"))
        return self.weights.linear(self.emit.silu_gated(gate, up), f"{name}.ff_out")
