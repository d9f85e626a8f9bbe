"""The `flow` graph: one Euler step of the action expert.

The time embedding and every adaLN modulation depend only on the step, so they are a table [steps, ...] computed
here by the reference model; the modulation weights (a third of the expert) are not in the engine.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch

from export.emit import Emit, layer_name, rope_constants
from export.weights import Rows, Weights
from policy_spec.config import ExpertConfig
from policy_spec.graphs import kv_names
from policy_spec.masks import additive
from train.checkpoint import Checkpoint
from train.model.expert import NORM_EPS, ROPE_BASE, Modulation, TimeEmbedding
from train.model.llm import rope_tables

EXPERT = "model.action_expert"
Pair = tuple[ir.Value, ir.Value]


def flow_graph(checkpoint: Checkpoint, bracket: int, horizon: int, steps: int) -> ir.Model:
    """One step of `steps`. Shapes: docs/architecture.md."""
    c = checkpoint.config.expert
    emit = Emit("flow")
    graph = FlowGraph(emit, Weights(checkpoint, emit), c, steps)
    f32 = ir.DataType.FLOAT
    x = emit.input("trajectory", f32, (1, horizon, c.max_action_dim))
    step = emit.input("step", ir.DataType.INT32, (1,))
    dims = emit.input("dim_mask", f32, (1, 1, c.max_action_dim))
    context_bias = emit.input("context_bias", f32, (1, 1, 1, bracket))
    horizon_bias = emit.input("horizon_bias", f32, (1, 1, 1, horizon))
    names = kv_names(c.num_layers)
    kv = [
        (
            emit.input(k, f32, (1, c.num_heads, c.head_dim, bracket)),
            emit.input(v, f32, (1, c.num_heads, bracket, c.head_dim)),
        )
        for k, v in zip(names[::2], names[1::2], strict=True)
    ]
    velocity = graph.velocity(x, step, kv, (context_bias, horizon_bias), horizon)
    # The actions themselves are an island: rounded to float16 they would lose a little at every step.
    with emit.layer("flow.final"), emit.island("euler"):
        velocity = emit.op("Mul", velocity, dims)
        moved = emit.op("Add", x, emit.op("Mul", velocity, emit.scalar(float(np.float32(1.0 / steps)))))
        moved = emit.op("Mul", moved, dims)
    return emit.model([(moved, "next", f32, (1, horizon, c.max_action_dim))])


class FlowGraph:
    """The expert's forward pass with the modulations looked up."""

    def __init__(self, emit: Emit, weights: Weights, c: ExpertConfig, steps: int) -> None:
        self.emit, self.weights, self.c = emit, weights, c
        self.conditioning = conditioning(weights, c, steps)

    def velocity(
        self,
        x: ir.Value,
        step: ir.Value,
        kv: list[Pair],
        biases: Pair,
        horizon: int,
    ) -> ir.Value:
        """trajectory -> velocity [1, H, A]."""
        emit, c, self.horizon = self.emit, self.c, horizon
        cos, sin = (t.numpy() for t in rope_tables(horizon, c.head_dim, ROPE_BASE))
        self.rope_k = rope_constants(emit, "rope", cos, sin)
        self.rope_q = rope_constants(emit, "rope.scaled", cos, sin, c.head_dim**-0.5)
        cross_bias, self_bias = biases
        if c.causal_attn:
            causal = additive(np.tri(horizon, dtype=np.bool_))
            with emit.island("mask"):
                self_bias = emit.op("Add", self_bias, emit.const("causal", causal[None, None]))
        with emit.layer("flow.embed"):
            x = emit.out(self.weights.linear(x, f"{EXPERT}.action_embed"))
        for i, pair in enumerate(kv):
            with emit.layer(layer_name("flow.blocks", i)):
                mod = self._modulation(f"{EXPERT}.blocks.{i}.modulation", 9, step)
                x = emit.out(self._block(x, mod, pair, (cross_bias, self_bias), f"{EXPERT}.blocks.{i}"))
        with emit.layer("flow.final"):
            shift, scale = self._modulation(f"{EXPERT}.final_layer.modulation", 2, step)
            return self.weights.linear(self._modulate(x, shift, scale), f"{EXPERT}.final_layer.linear")

    def _block(self, x: ir.Value, mod: list[ir.Value], kv: Pair, biases: Pair, name: str) -> ir.Value:
        """Self-attention, cross-attention and MLP, each modulated and gated."""
        emit = self.emit
        cross_bias, self_bias = biases
        inner = self._self_attention(self._modulate(x, mod[0], mod[1]), self_bias, f"{name}.self_attn")
        x = emit.op("Add", x, emit.op("Mul", mod[2], inner))
        inner = self._cross_attention(self._modulate(x, mod[3], mod[4]), *kv, cross_bias, f"{name}.cross_attn")
        x = emit.op("Add", x, emit.op("Mul", mod[5], inner))
        inner = self._mlp(self._modulate(x, mod[6], mod[7]), f"{name}.mlp")
        return emit.op("Add", x, emit.op("Mul", mod[8], inner))

    def _modulation(self, name: str, chunks: int, step: ir.Value) -> list[ir.Value]:
        """This step's shift, 1 + scale (and gate) vectors, each [1, 1, hidden]; scales stand at 1, 4, 7."""
        layer = Modulation(self.c.hidden_size, chunks)
        layer.linear.weight.data = self.weights.checkpoint.tensor(f"{name}.linear.weight")
        layer.linear.bias.data = self.weights.checkpoint.tensor(f"{name}.linear.bias")
        with torch.no_grad():
            table = torch.cat(layer(self.conditioning), dim=1).numpy().copy()  # [steps, chunks, hidden]
        table[:, 1::3] += np.float32(1.0)
        row = self.emit.op("Gather", self.emit.const(f"{name}.table", table), step, axis=0)
        return list(self.emit.split(row, chunks, 1))

    def _modulate(self, x: ir.Value, shift: ir.Value, one_plus_scale: ir.Value) -> ir.Value:
        normed = self.emit.rms_norm(x, NORM_EPS, self.emit.flat(self.c.hidden_size))
        return self.emit.op("Add", self.emit.op("Mul", normed, one_plus_scale), shift)

    def _heads(self, x: ir.Value, name: str, rows: Rows | None) -> ir.Value:
        x = self.emit.reshape(self.weights.linear(x, name, rows), 1, self.horizon, self.c.num_heads, self.c.head_dim)
        return self.emit.transpose(x, 0, 2, 1, 3)

    def _self_attention(self, x: ir.Value, bias: ir.Value, name: str) -> ir.Value:
        """Three GEMMs for q, k, v: TensorRT 10.3 miscompiles the fused form with per-head norms and RoPE."""
        emit, c, n = self.emit, self.c, self.c.hidden_size
        q, k, v = (self._heads(x, f"{name}.qkv", Rows(i * n, (i + 1) * n, part)) for i, part in enumerate("qkv"))
        if c.qk_norm:
            flat = emit.flat(c.head_dim)
            q, k = emit.rms_norm(q, c.qk_norm_eps, flat), emit.rms_norm(k, c.qk_norm_eps, flat)
        if c.rope:
            q, k = emit.rope(q, *self.rope_q), emit.rope(k, *self.rope_k)
        else:
            q = emit.op("Mul", q, emit.scalar(c.head_dim**-0.5))
        return self._finish(q, emit.transpose(k, 0, 1, 3, 2), v, bias, name)

    def _cross_attention(self, x: ir.Value, k: ir.Value, v: ir.Value, bias: ir.Value, name: str) -> ir.Value:
        q = self._heads(x, f"{name}.q_proj", None)
        scale = self.c.head_dim**-0.5
        if self.c.qk_norm:  # the attention scale rides on the norm's weight
            q = self.emit.rms_norm(q, self.c.qk_norm_eps, self.emit.flat(self.c.head_dim, scale))
        else:
            q = self.emit.op("Mul", q, self.emit.scalar(scale))
        return self._finish(q, k, v, bias, name)

    def _finish(self, q: ir.Value, k_t: ir.Value, v: ir.Value, bias: ir.Value, name: str) -> ir.Value:
        """softmax(q k^T + bias) v and the output projection; q already scaled, k already transposed."""
        emit = self.emit
        with emit.island("attention_scores"):
            scores = emit.op("Add", emit.op("MatMul", q, k_t), bias)
        mixed = emit.transpose(emit.op("MatMul", emit.softmax(scores), v), 0, 2, 1, 3)
        return self.weights.linear(emit.reshape(mixed, 1, self.horizon, self.c.hidden_size), f"{name}.out_proj")

    def _mlp(self, x: ir.Value, name: str) -> ir.Value:
        up = self.weights.linear(x, f"{name}.up_proj")
        gate = self.weights.linear(x, f"{name}.gate_proj")
        return self.weights.linear(self.emit.silu_gated(gate, up), f"{name}.down_proj")


def conditioning(weights: Weights, c: ExpertConfig, steps: int) -> torch.Tensor:
    """The time embedding of t = 0, 1/steps, ...: float32 [steps, hidden], by the reference model's own layers."""
    embed = torch.nn.Sequential(
        TimeEmbedding(c.timestep_embed_dim),
        torch.nn.Linear(c.timestep_embed_dim, c.hidden_size),
        torch.nn.SiLU(),
        torch.nn.Linear(c.hidden_size, c.hidden_size),
    )
    embed.load_state_dict({k: weights.checkpoint.tensor(f"{EXPERT}.time_embed.{k}") for k in embed.state_dict()})
    with torch.no_grad():
        return embed(torch.tensor([i / steps for i in range(steps)], dtype=torch.float32))
