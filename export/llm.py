"""The `llm` graph of a continuous bundle: prompt tokens and image features -> the expert's K and V of every layer.

Folded in: the merged embedding table, the expert's shared context projection and norms. Left out: the last layer's
attention output and MLP, the final norm and the lm_head, none of which a continuous policy reads.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from export.context import ExpertView
from export.decoder import LLM, Decoder, Queries
from export.emit import Emit, Output, layer_name, rope_constants
from export.weights import Weights
from train.checkpoint import Checkpoint
from train.model.llm import rope_tables


def llm_graph(checkpoint: Checkpoint, image_tokens: int, bracket: int) -> ir.Model:
    """image_tokens: rows of `features` over all cameras; bracket: prompt length. Shapes: docs/architecture.md."""
    emit, config = Emit("llm"), checkpoint.config
    c, weights = config.text, Weights(checkpoint, emit)
    decoder = Decoder(emit, weights, c, bracket, bracket)
    ids = emit.input("input_ids", ir.DataType.INT32, (1, bracket))
    row = emit.input("image_row", ir.DataType.INT32, (1, bracket))
    token_type = emit.input("token_type", ir.DataType.FLOAT, (1, bracket))
    features = emit.input("features", ir.DataType.FLOAT, (image_tokens, c.hidden_size))
    with emit.layer("llm.embed"):
        x = emit.out(decoder.embed(ids, row, features))
    cos, sin = (t.numpy() for t in rope_tables(bracket, c.head_dim, c.rope_theta))
    rope = rope_constants(emit, "rope", cos, sin)
    scaled = rope_constants(emit, "rope.scaled", cos, sin, c.head_dim**-0.5)
    with emit.island("mask"):
        causal = emit.const("causal", np.tril(np.ones((bracket, bracket), dtype=np.float32)))
        pairs = emit.op("Mul", emit.reshape(token_type, bracket, 1), emit.reshape(token_type, 1, bracket))
        queries = Queries(scaled, decoder.bias(causal, pairs))
    view, outputs = ExpertView(weights, config, bracket), list[Output]()
    for i in range(c.num_layers):
        name = f"{LLM}.blocks.{i}"
        with emit.layer(layer_name("llm.blocks", i)):
            inner = decoder.before(x, name)
            k, v = emit.rope(decoder.heads(inner, name, "k"), *rope), decoder.heads(inner, name, "v")
            outputs += view.outputs(i, view.flat(k), view.flat(v))
            if i < c.num_layers - 1:
                x = emit.out(decoder.rest(x, inner, (k, v), queries, name))
    return emit.model(outputs)
