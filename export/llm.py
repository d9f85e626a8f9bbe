"""The `llm` graph: prompt tokens and image features -> the expert's K and V of every layer.

Folded in: the merged embedding table, the expert's shared context projection and norms. Left out: the last layer's
attention output and MLP, the final norm and the lm_head, none of which a continuous policy reads.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from export.emit import Emit, rope_constants
from export.weights import Rows, Weights
from policy_spec.config import ModelConfig
from policy_spec.graphs import kv_names
from policy_spec.masks import HIDDEN
from train.checkpoint import Checkpoint
from train.model.expert import NORM_EPS
from train.model.llm import rope_tables

LLM, EXPERT = "model.transformer", "model.action_expert"


def llm_graph(checkpoint: Checkpoint, image_tokens: int, bracket: int) -> ir.Model:
    """image_tokens: rows of `features` over all cameras; bracket: prompt length. Shapes: docs/architecture.md."""
    emit = Emit("llm")
    return LlmGraph(emit, Weights(checkpoint, emit), checkpoint.config, bracket).build(image_tokens)


class LlmGraph:
    """One use: `build`."""

    def __init__(self, emit: Emit, weights: Weights, config: ModelConfig, bracket: int) -> None:
        self.emit, self.weights, self.config, self.bracket = emit, weights, config, bracket
        c = config.text
        cos, sin = (t.numpy() for t in rope_tables(bracket, c.head_dim, c.rope_theta))
        self.rope_k = rope_constants(emit, "rope", cos, sin)
        self.rope_q = rope_constants(emit, "rope.scaled", cos, sin, c.head_dim**-0.5)

    def build(self, image_tokens: int) -> ir.Model:
        """The whole graph."""
        emit, c = self.emit, self.config.text
        ids = emit.input("input_ids", ir.DataType.INT32, (1, self.bracket))
        row = emit.input("image_row", ir.DataType.INT32, (1, self.bracket))
        token_type = emit.input("token_type", ir.DataType.FLOAT, (1, self.bracket))
        features = emit.input("features", ir.DataType.FLOAT, (image_tokens, c.hidden_size))
        x, bias = self._embed(ids, row, features), self._bias(token_type)
        outputs = []
        heads, size = self.config.expert.num_heads, self.config.expert.head_dim
        names = kv_names(c.num_layers)
        for i in range(c.num_layers):
            x, (k, v) = self._layer(x, bias, i)
            outputs.append((k, names[2 * i], ir.DataType.FLOAT, (1, heads, size, self.bracket)))
            outputs.append((v, names[2 * i + 1], ir.DataType.FLOAT, (1, heads, self.bracket, size)))
        return emit.model(outputs)

    def _embed(self, ids: ir.Value, row: ir.Value, features: ir.Value) -> ir.Value:
        """Rows of the merged table, plus the image feature of each <im_patch> (row 0 is zero: no image there)."""
        emit, c = self.emit, self.config.text
        names = [f"{LLM}.wte.embedding", f"{LLM}.wte.new_embedding"]
        table = emit.weight(
            f"{LLM}.wte.merged",
            (c.vocab_size + c.additional_vocab_size, c.hidden_size),
            lambda: self.weights.stacked(names),
        )
        none = emit.const("no_image", np.zeros((1, c.hidden_size), dtype=np.float32))
        images = emit.op("Gather", emit.op("Concat", none, features, axis=0), row, axis=0)
        return emit.op("Add", emit.op("Gather", table, ids, axis=0), images)

    def _bias(self, token_type: ir.Value) -> ir.Value:
        """Additive mask [S, S]: causal, and image tokens see each other (token_type 1). An island: HIDDEN overflows
        float16.
        """
        emit, s = self.emit, self.bracket
        with emit.island("mask"):
            pairs = emit.op("Mul", emit.reshape(token_type, s, 1), emit.reshape(token_type, 1, s))
            allowed = emit.op("Max", emit.const("causal", np.tril(np.ones((s, s), dtype=np.float32))), pairs)
            return emit.op("Mul", emit.op("Sub", allowed, emit.scalar(1.0)), emit.scalar(-float(HIDDEN)))

    def _layer(self, x: ir.Value, bias: ir.Value, i: int) -> tuple[ir.Value, tuple[ir.Value, ir.Value]]:
        """One decoder layer; the last one stops at its K and V."""
        emit, c, name = self.emit, self.config.text, f"{LLM}.blocks.{i}"

        def norm(x: ir.Value, which: str) -> ir.Value:
            return emit.rms_norm(x, c.layer_norm_eps, self.weights.vector(f"{name}.{which}.weight"))

        inner = x if c.norm_after else norm(x, "attn_norm")
        k, v = self._key(inner, name), self._value(inner, name)
        context = self._context(k, v)
        if i == c.num_layers - 1:
            return x, context
        mixed = self._attend(self._query(inner, name), k, v, bias, name)
        x = emit.op("Add", x, norm(mixed, "attn_norm") if c.norm_after else mixed)
        inner = self._mlp(x if c.norm_after else norm(x, "ff_norm"), f"{name}.mlp")
        return emit.op("Add", x, norm(inner, "ff_norm") if c.norm_after else inner), context

    def _project(self, x: ir.Value, name: str, part: str) -> tuple[ir.Value, int]:
        """Rows q, k or v of the fused projection, as a GEMM of its own: [1, S, heads * d]."""
        c = self.config.text
        q, kv = c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim
        rows = {"q": Rows(0, q, "q"), "k": Rows(q, q + kv, "k"), "v": Rows(q + kv, q + 2 * kv, "v")}[part]
        return self.weights.linear(x, f"{name}.self_attn.att_proj", rows), (rows.stop - rows.start) // c.head_dim

    def _heads(self, x: ir.Value, name: str, part: str) -> ir.Value:
        """Projection, qk-norm (q and k), heads first: [1, heads, S, d]."""
        emit, c = self.emit, self.config.text
        x, heads = self._project(x, name, part)
        normed = c.use_qk_norm and part != "v"
        if normed and c.qk_norm_type != "qwen3":
            x = emit.rms_norm(x, c.layer_norm_eps, self.weights.vector(f"{name}.self_attn.{part}_norm.weight"))
        x = emit.reshape(x, 1, self.bracket, heads, c.head_dim)
        if normed and c.qk_norm_type == "qwen3":
            x = emit.rms_norm(x, c.layer_norm_eps, self.weights.vector(f"{name}.self_attn.{part}_norm.weight"))
        return emit.transpose(x, 0, 2, 1, 3)

    def _query(self, x: ir.Value, name: str) -> ir.Value:
        """Queries, the attention scale riding on the RoPE tables."""
        return self.emit.rope(self._heads(x, name, "q"), *self.rope_q)

    def _key(self, x: ir.Value, name: str) -> ir.Value:
        return self.emit.rope(self._heads(x, name, "k"), *self.rope_k)

    def _value(self, x: ir.Value, name: str) -> ir.Value:
        return self._heads(x, name, "v")

    def _attend(self, q: ir.Value, k: ir.Value, v: ir.Value, bias: ir.Value, name: str) -> ir.Value:
        """Grouped-query attention: the queries of a group are stacked along rows, so keys are never copied."""
        emit, c, s = self.emit, self.config.text, self.bracket
        group = c.num_heads // c.num_kv_heads
        q = emit.reshape(q, 1, c.num_kv_heads, group * s, c.head_dim)
        with emit.island("attention_scores"):
            scores = emit.op("MatMul", q, emit.transpose(k, 0, 1, 3, 2))
            scores = emit.op("Add", emit.reshape(scores, c.num_kv_heads, group, s, s), bias)
        mixed = emit.reshape(emit.softmax(scores), 1, c.num_kv_heads, group * s, s)
        mixed = emit.reshape(emit.op("MatMul", mixed, v), 1, c.num_heads, s, c.head_dim)
        flat = emit.reshape(emit.transpose(mixed, 0, 2, 1, 3), 1, s, c.num_heads * c.head_dim)
        return self.weights.linear(flat, f"{name}.self_attn.attn_out")

    def _mlp(self, x: ir.Value, name: str) -> ir.Value:
        """SwiGLU; the fused first layer as two GEMMs."""
        n = self.config.text.intermediate_size
        up = self.weights.linear(x, f"{name}.ff_proj", Rows(0, n, "up"))
        gate = self.weights.linear(x, f"{name}.ff_proj", Rows(n, 2 * n, "gate"))
        return self.weights.linear(self.emit.silu_gated(gate, up), f"{name}.ff_out")

    def _context(self, k: ir.Value, v: ir.Value) -> tuple[ir.Value, ir.Value]:
        """This layer's K and V in the expert's width: k [1, h, d, S] ready for the product, v [1, h, S, d]."""
        e = self.config.expert
        return (
            self._context_one(k, f"{EXPERT}.context_k_proj", e.qk_norm, (0, 2, 3, 1)),
            self._context_one(v, f"{EXPERT}.context_v_proj", False, (0, 2, 1, 3)),
        )

    def _context_one(self, x: ir.Value, name: str, head_norm: bool, perm: tuple[int, ...]) -> ir.Value:
        emit, e, s = self.emit, self.config.expert, self.bracket
        width = self.config.text.num_kv_heads * self.config.text.head_dim
        x = self.weights.linear(emit.reshape(emit.transpose(x, 0, 2, 1, 3), 1, s, width), name)
        if e.context_layer_norm:
            x = emit.rms_norm(x, NORM_EPS, emit.flat(e.hidden_size))
        x = emit.reshape(x, 1, s, e.num_heads, e.head_dim)
        if head_norm:
            x = emit.rms_norm(x, e.qk_norm_eps, emit.flat(e.head_dim))
        return emit.transpose(x, *perm)
