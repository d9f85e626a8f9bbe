"""The `vision` graph: uint8 patches of all cameras -> one feature per image token (ViT, pooling, projector)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch

from export.emit import Emit, layer_name
from export.weights import Weights
from policy_spec.config import ModelConfig
from policy_spec.masks import additive
from train.checkpoint import Checkpoint
from train.model.vit import positions

VIT, POOL = "model.vision_backbone.image_vit", "model.vision_backbone.image_pooling_2d"
PROJECTOR = "model.vision_backbone.image_projector"


def vision_graph(checkpoint: Checkpoint, cameras: int, pooling: np.ndarray) -> ir.Model:
    """pooling: int64 [T, window], -1 where a window leaves the image. Shapes: docs/architecture.md."""
    config = checkpoint.config
    emit = Emit("vision")
    weights = Weights(checkpoint, emit)
    patches = config.vit.grid[0] * config.vit.grid[1]
    x = emit.input("patches", ir.DataType.UINT8, (cameras, patches, 3 * config.vit.patch_size**2))
    taps = _vit(emit, weights, config, x)
    with emit.layer("vision.connector"):
        pooled = _pool(emit, weights, config, taps, pooling)
        up = weights.linear(pooled, f"{PROJECTOR}.w3")
        out = weights.linear(emit.silu_gated(weights.linear(pooled, f"{PROJECTOR}.w1"), up), f"{PROJECTOR}.w2")
    shape = (cameras * pooling.shape[0], config.text.hidden_size)
    return emit.model([(out, "features", ir.DataType.FLOAT, shape)])


def _vit(emit: Emit, weights: Weights, config: ModelConfig, patches: ir.Value) -> ir.Value:
    """Patches -> tapped hidden states [N, P, taps * hidden]."""
    c = config.vit
    with emit.layer("vision.patches"):
        pixels = emit.op("Div", emit.op("Cast", patches, to=ir.DataType.FLOAT), emit.scalar(255.0))
        pixels = emit.op("Sub", emit.op("Mul", pixels, emit.scalar(2.0)), emit.scalar(1.0))
        table = f"{VIT}.positional_embedding"
        fitted = positions(torch.from_numpy(weights.array(table)), c.grid).numpy()
        x = emit.out(emit.op("Add", weights.linear(pixels, f"{VIT}.patch_embedding"), emit.const(table, fitted)))
    seen = {}
    for i in range(config.vit_layers_run):
        with emit.layer(layer_name("vision.blocks", i)):
            x = emit.out(_vit_block(emit, weights, config, x, f"{VIT}.transformer.resblocks.{i}"))
        seen[i] = x
    taps = [seen[i] for i in config.adapter.vit_layers]
    with emit.layer("vision.connector"):
        return taps[0] if len(taps) == 1 else emit.op("Concat", *taps, axis=-1)


def _vit_block(emit: Emit, weights: Weights, config: ModelConfig, x: ir.Value, name: str) -> ir.Value:
    def norm(x: ir.Value, which: str) -> ir.Value:
        scale, bias = weights.vector(f"{name}.{which}.weight"), weights.vector(f"{name}.{which}.bias")
        return emit.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=config.vit.layer_norm_eps)

    x = emit.op("Add", x, _vit_attention(emit, weights, config, norm(x, "attention_norm"), f"{name}.attention"))
    inner = weights.linear(norm(x, "ffn_norm"), f"{name}.feed_forward.w1")
    return emit.op("Add", x, weights.linear(_activation(emit, config, inner), f"{name}.feed_forward.w2"))


def _vit_attention(emit: Emit, weights: Weights, config: ModelConfig, x: ir.Value, name: str) -> ir.Value:
    """Full attention among one camera's patches; the scale rides on Q's weights."""
    c = config.vit
    group = c.num_heads // c.num_kv_heads
    rows = c.grid[0] * c.grid[1]
    q = emit.reshape(weights.linear(x, f"{name}.wq", scale=c.head_dim**-0.5), 0, rows, c.num_heads, c.head_dim)
    k = emit.reshape(weights.linear(x, f"{name}.wk"), 0, rows, c.num_kv_heads, c.head_dim)
    v = emit.reshape(weights.linear(x, f"{name}.wv"), 0, rows, c.num_kv_heads, c.head_dim)
    q, k, v = emit.transpose(q, 0, 2, 1, 3), emit.transpose(k, 0, 2, 3, 1), emit.transpose(v, 0, 2, 1, 3)
    if group > 1:  # the heads of a group share keys: stack their queries along the row axis
        q = emit.reshape(q, 0, c.num_kv_heads, group * rows, c.head_dim)
    with emit.island("attention_scores"):
        scores = emit.op("MatMul", q, k)
    out = emit.op("MatMul", emit.softmax(scores), v)
    if group > 1:
        out = emit.reshape(out, 0, c.num_heads, rows, c.head_dim)
    out = emit.reshape(emit.transpose(out, 0, 2, 1, 3), 0, rows, c.num_heads * c.head_dim)
    return weights.linear(out, f"{name}.wo")


def _activation(emit: Emit, config: ModelConfig, x: ir.Value) -> ir.Value:
    """The ViT's configured activation."""
    act = config.vit.hidden_act
    if act in ("gelu_pytorch_tanh", "gelu"):
        return emit.op("Gelu", x, approximate="tanh" if act == "gelu_pytorch_tanh" else "none")
    slope = emit.op("Mul", x, emit.scalar(1.702)) if act == "quick_gelu" else x
    return emit.op("Mul", x, emit.op("Sigmoid", slope))


def _pool(emit: Emit, weights: Weights, config: ModelConfig, taps: ir.Value, pooling: np.ndarray) -> ir.Value:
    """Attention pooling of each window: [N, P, width] -> [N * T, adapter hidden].

    One query against a handful of keys: products and sums, not thousands of tiny matrix products.
    """
    a = config.adapter
    tokens, window = pooling.shape
    width = config.vit.hidden_size * len(a.vit_layers)
    valid = pooling >= 0
    x = emit.op("Gather", taps, emit.const("pooling", np.maximum(pooling, 0).reshape(-1)), axis=1)
    x = emit.reshape(x, -1, tokens, window, width)  # [N, T, window, width]
    if not valid.all():
        x = emit.op("Mul", x, emit.const("pooling.valid", valid[None, :, :, None].astype(np.float32)))
    counts = np.full(tokens, window) if not a.pooling_attention_mask else np.maximum(valid.sum(1), 1)
    mean = emit.op("ReduceSum", x, emit.ints(2), keepdims=1)
    mean = emit.op("Div", mean, emit.const("pooling.count", counts[None, :, None, None].astype(np.float32)))
    q = emit.reshape(weights.linear(mean, f"{POOL}.wq", scale=a.head_dim**-0.5), -1, tokens, 1, a.num_heads, a.head_dim)
    k, v = (
        emit.reshape(weights.linear(x, f"{POOL}.{w}"), -1, tokens, window, a.num_kv_heads, a.head_dim)
        for w in ("wk", "wv")
    )
    if a.num_kv_heads != a.num_heads:  # repeat by gathering: each key head serves its group
        share = emit.const("pooling.kv_head", np.repeat(np.arange(a.num_kv_heads), a.num_heads // a.num_kv_heads))
        k, v = emit.op("Gather", k, share, axis=3), emit.op("Gather", v, share, axis=3)
    with emit.island("pooling_attention"):
        scores = emit.op("ReduceSum", emit.op("Mul", q, k), emit.ints(-1), keepdims=1)  # [N, T, window, heads, 1]
        if a.hide_padding and not valid.all():
            hidden = additive(valid)[None, :, :, None, None]
            scores = emit.op("Add", scores, emit.const("pooling.hidden", hidden))
        mixed = emit.op("Mul", emit.softmax(scores, axis=2), v)
        mixed = emit.op("ReduceSum", mixed, emit.ints(2), keepdims=0)  # [N, T, heads, d]
    return weights.linear(emit.reshape(mixed, -1, a.num_heads * a.head_dim), f"{POOL}.wo")
