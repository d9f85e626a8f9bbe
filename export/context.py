"""What the action expert sees of the language model's K and V; and the `context` graph of a think bundle.

The expert's shared projection and norms turn a layer's K and V into the expert's width. A continuous bundle has them at
the end of its llm graph; a think bundle in a graph of their own, which reads the cache once all codes stand, and first
scales K and V of depth tokens by the checkpoint's gate.
"""

from __future__ import annotations

import onnx_ir as ir

from export.emit import Emit, Output
from export.weights import Weights
from policy_spec.config import ModelConfig
from policy_spec.graphs import cache_names, kv_names
from train.checkpoint import Checkpoint
from train.model.expert import NORM_EPS

EXPERT = "model.action_expert"
GATE = "model.action_expert_depth_gate"
Pair = tuple[ir.Value, ir.Value]


def context_graph(checkpoint: Checkpoint, length: int) -> ir.Model:
    """length: places of the cache. Shapes: docs/architecture.md."""
    emit, config = Emit("context"), checkpoint.config
    c, f32 = config.text, ir.DataType.FLOAT
    visible, depth = (emit.input(name, f32, (1, length)) for name in ("visible", "depth"))
    caches = [emit.input(name, f32, (c.num_kv_heads, length, c.head_dim)) for name in cache_names(c.num_layers)]
    weights = Weights(checkpoint, emit)
    view = ExpertView(weights, config, length)
    pairs = [(view.flat(k), view.flat(v)) for k, v in zip(caches[::2], caches[1::2], strict=True)]
    if config.depth_gate != "none":
        pairs = DepthGate(weights, config, visible, depth).applied(pairs)
    return emit.model([output for i, pair in enumerate(pairs) for output in view.outputs(i, *pair)])


class ExpertView:
    """K and V of one layer in the expert's width."""

    def __init__(self, weights: Weights, config: ModelConfig, length: int) -> None:
        self.weights, self.emit, self.config, self.length = weights, weights.emit, config, length

    def flat(self, x: ir.Value) -> ir.Value:
        """[kv_heads, S, d] -> [1, S, kv_heads * d]: a row per token."""
        width = self.config.text.num_kv_heads * self.config.text.head_dim
        return self.emit.reshape(self.emit.transpose(x, 1, 0, 2), 1, self.length, width)

    def outputs(self, layer: int, k: ir.Value, v: ir.Value) -> tuple[Output, Output]:
        """Flat K and V -> the graph's outputs: k [1, h, d, S], ready for the product, and v [1, h, S, d]."""
        e, f32, length = self.config.expert, ir.DataType.FLOAT, self.length
        k = self._project(k, f"{EXPERT}.context_k_proj", e.qk_norm, (0, 2, 3, 1))
        v = self._project(v, f"{EXPERT}.context_v_proj", False, (0, 2, 1, 3))
        k_name, v_name = kv_names(layer + 1)[-2:]
        return (
            (k, k_name, f32, (1, e.num_heads, e.head_dim, length)),
            (v, v_name, f32, (1, e.num_heads, length, e.head_dim)),
        )

    def _project(self, x: ir.Value, name: str, head_norm: bool, perm: tuple[int, ...]) -> ir.Value:
        emit, e = self.emit, self.config.expert
        x = self.weights.linear(x, name)
        if e.context_layer_norm:
            x = emit.rms_norm(x, NORM_EPS, emit.flat(e.hidden_size))
        x = emit.reshape(x, 1, self.length, e.num_heads, e.head_dim)
        if head_norm:
            x = emit.rms_norm(x, e.qk_norm_eps, emit.flat(e.head_dim))
        return emit.transpose(x, *perm)


class DepthGate:
    """The learned scale of depth tokens: sigmoid(linear(mean of V over what the expert sees and is no depth token)).

    Per layer, or one for all from the last layer's V, as the checkpoint has it. Where nothing but depth tokens is seen,
    the mean is over them.
    """

    def __init__(self, weights: Weights, config: ModelConfig, visible: ir.Value, depth: ir.Value) -> None:
        """visible, depth: float [1, S] of 0 and 1; no depth token that is not visible."""
        self.weights, self.emit, self.config = weights, weights.emit, config
        emit, one, zero = weights.emit, weights.emit.scalar(1.0), weights.emit.scalar(0.0)
        others = emit.op("Sub", visible, depth)
        nothing = emit.op("Max", emit.op("Sub", one, self._count(others)), zero)  # 1 where no other token is seen
        pool = emit.op("Add", others, emit.op("Mul", nothing, visible))
        self.weight = emit.op("Div", pool, emit.op("Max", self._count(pool), one))
        length = int(depth.shape[1])  # type: ignore[index]
        # Written so that a token that is no depth token is multiplied by exactly 1, and one that is by the gate.
        self.depth, self.others = (emit.reshape(x, 1, length, 1) for x in (depth, emit.op("Sub", one, depth)))

    def applied(self, pairs: list[Pair]) -> list[Pair]:
        """Flat K and V of all layers [1, S, width], scaled."""
        if self.config.depth_gate == "shared":
            scales = [self._scale(pairs[-1][1], GATE)] * len(pairs)
        else:
            scales = [self._scale(v, f"{GATE}.{i}") for i, (_, v) in enumerate(pairs)]
        mul = self.emit.op
        return [(mul("Mul", k, scale), mul("Mul", v, scale)) for (k, v), scale in zip(pairs, scales, strict=True)]

    def _scale(self, v: ir.Value, name: str) -> ir.Value:
        """Each token's factor [1, S, 1], from a layer's V."""
        emit = self.emit
        gate = emit.op("Sigmoid", self.weights.linear(emit.op("MatMul", self.weight, v), name))  # [1, 1, 1]
        return emit.op("Add", self.others, emit.op("Mul", self.depth, gate))

    def _count(self, mask: ir.Value) -> ir.Value:
        return self.emit.op("ReduceSum", mask, self.emit.ints(1), keepdims=1)
