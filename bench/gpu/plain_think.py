"""The plain model's layers with K and V kept from pass to pass, eager, behind the contract of ThinkPipeline.

What a Think call costs without graphs: the prompt unpadded, each pass of new tokens by the plain layers over keys that
are joined to those before. The flow loop is plain.Flow, a CUDA graph where that was asked for. With the released order
of codes it is the released way; with any order it is the check of the captured one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor

from bench.gpu.plain import Flow, Plain
from policy_spec.graphs import Variant, head_rows, kv_names
from policy_spec.image import pooling_index
from policy_spec.loop import Loop
from policy_spec.pipeline import Array
from train.model.expert import KV
from train.model.gate import apply_gates, gates
from train.model.llm import Layer, attention_bias, rope_tables

NOTHING = np.zeros(0, np.float32)


class PlainThinkRun:
    """`run(graph, feeds)` for one ThinkPipeline."""

    def __init__(self, plain: Plain, variant: Variant) -> None:
        self.plain, self.flow = plain, Flow(plain)
        spec, c = plain.pipeline.spec, plain.model.config.text
        self.bracket, self.pooling = plain.pipeline.bracket, plain.tensor(pooling_index(spec.grid, spec.pool))
        table = plain.model.model.transformer.wte.embedding if c.tie_word_embeddings else plain.model.lm_head.weight
        self.head = torch.cat([table[start:stop] for start, stop in head_rows(spec, variant.head)])
        self.rope = rope_tables(self.bracket + variant.new_tokens, c.head_dim, c.rope_theta, plain.device)
        self.kv: KV = []
        self.features: Tensor | None = None
        self.expert_kv: KV | None = None
        self.names = dict.fromkeys(kv_names(spec.layers), NOTHING)
        self.runs = {"vision": self._vision, "llm": self._llm, "context": self._context}

    @torch.no_grad()
    def __call__(self, graph: str, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        with self.plain.autocast():
            return self.runs[graph](feeds)

    def repeat(self, graph: str, feeds: Mapping[str, Array], loop: Loop, /) -> Mapping[str, Array]:
        """The flow, all steps at once; it has no other loop."""
        assert graph == "flow" and self.expert_kv is not None
        used = self.expert_kv[0][0].shape[2]
        visible = self.plain.tensor(feeds["context_bias"][0, 0, :, :used]) == 0
        out = self.flow(self.plain.tensor(feeds[loop.taken]), visible, self.expert_kv)
        return {loop.given: out.float().cpu().numpy()}

    def _vision(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        self.features = self.plain.model.vision(self.plain.tensor(feeds["patches"]), self.pooling)
        return {"features": NOTHING}

    def _llm(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """The prompt at once, or some tokens after what stands before them."""
        model, transformer = self.plain.model, self.plain.model.model.transformer
        if feeds["positions"][0, 0] == 0:
            used, start = int(feeds["rows"][0, 0]) + 1, 0
            ids, types = (self.plain.tensor(feeds[name][:, :used]) for name in ("input_ids", "token_type"))
            assert self.features is not None
            x, bias, self.kv = model.embed(ids.long(), self.features), attention_bias(types), []
        else:
            start, count = int(feeds["positions"][0, 0]), feeds["input_ids"].shape[1]
            used = start + count
            x = transformer.wte(self.plain.tensor(feeds["input_ids"]).long())
            bias = attention_bias(torch.zeros(1, used, device=self.plain.device))[:, :, start:]
        x = self._layers(x, bias, start, used)
        rows = self.plain.tensor(feeds["rows"][0]).long()
        logits = transformer.ln_f(x)[:, rows] @ self.head.T
        return {"logits": logits.float().cpu().numpy()}

    def _layers(self, x: Tensor, bias: Tensor, start: int, used: int) -> Tensor:
        cos, sin = (t[start:used] for t in self.rope)
        kept = []
        for i, layer in enumerate(cast(list[Layer], self.plain.model.model.transformer.blocks)):
            q, k, v = layer.self_attn.project(layer.attn_norm(x), cos, sin)
            if start:
                k, v = (torch.cat([old[:, :, :start], new], dim=2) for old, new in zip(self.kv[i], (k, v), strict=True))
            kept.append((k, v))
            x = x + layer.self_attn.attend(q, k, v, bias)
            x = x + layer.mlp(layer.ff_norm(x))
        self.kv = kept
        return x

    def _context(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        used, kv = self.kv[0][0].shape[2], self.kv
        visible, depth = (self.plain.tensor(feeds[name][:, :used]) > 0 for name in ("visible", "depth"))
        heads = getattr(self.plain.model.model, "action_expert_depth_gate", None)
        if heads is not None:
            kv = apply_gates(kv, gates(heads, kv, visible, depth), depth)
        self.expert_kv = self.plain.expert.context(kv)
        return self.names
