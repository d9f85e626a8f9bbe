"""The reference model behind the graphs' own contract: the slow truth that every graph is compared with.

`TorchRunner(graph, feeds)` takes and gives what the exported graphs do, computed by train.model with nothing folded
or cut. `CachedTorchRunner` does so for think and discrete bundles: from one run to the next it keeps the tokens, not
their K and V, and computes the whole sequence again each time.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from policy_spec.graphs import Variant, cache_names, head_rows, kv_names
from policy_spec.image import pooling_index
from policy_spec.spec import PolicySpec
from train.model import MolmoAct2
from train.model.expert import KV, Masks
from train.model.gate import apply_gates, gates
from train.model.llm import attention_bias

Tensors = dict[str, torch.Tensor]


class TorchRunner:
    """Runs one stage of the reference model by the name of its graph."""

    def __init__(self, model: MolmoAct2, pooling: np.ndarray, steps: int) -> None:
        """pooling int64 [T, window]; steps: Euler steps of a call."""
        self.model, self.steps = model, steps
        self.pooling = torch.from_numpy(np.ascontiguousarray(pooling))
        self.stages = {"vision": self._vision, "llm": self._llm, "flow": self._flow}

    @torch.no_grad()
    def __call__(self, graph: str, feeds: Mapping[str, np.ndarray], /) -> dict[str, np.ndarray]:
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in feeds.items()}
        return {name: value.contiguous().numpy() for name, value in self.stages[graph](tensors).items()}

    def _vision(self, feeds: Tensors) -> Tensors:
        return {"features": self.model.vision(feeds["patches"], self.pooling)}

    def _llm(self, feeds: Tensors) -> Tensors:
        ids = feeds["input_ids"].long()
        used = int((feeds["image_row"] > 0).sum())  # a graph for several cameras may be fed fewer pictures
        _, kv = self.model.llm(ids, feeds["features"][:used], feeds["token_type"])
        return _named(self.model.context(kv, ids, torch.ones_like(ids, dtype=torch.bool)))

    def _flow(self, feeds: Tensors) -> Tensors:
        x, mask = feeds["trajectory"], feeds["dim_mask"]
        names = kv_names(self.model.config.expert.num_layers)
        context = [(feeds[k].transpose(2, 3), feeds[v]) for k, v in zip(names[::2], names[1::2], strict=True)]
        visible, steps = feeds["context_bias"][:, 0, 0] == 0, feeds["horizon_bias"][:, 0, 0] == 0
        masks = Masks(x.shape[1], self.model.config.expert, visible, None if bool(steps.all()) else steps)
        t = feeds["step"].float() / self.steps
        velocity = self.model.velocity(x, t, context, masks)
        return {"next": (x + velocity * mask * (1.0 / self.steps)) * mask}


class CachedTorchRunner(TorchRunner):
    """The same for graphs with a cache. What stands where it has not written is nobody's: zeros."""

    def __init__(self, model: MolmoAct2, spec: PolicySpec, length: int, head: str) -> None:
        """length: places of the cache; head: one of graphs.HEADS."""
        super().__init__(model, pooling_index(spec.grid, spec.pool), spec.flow_steps)
        c = model.config.text
        self.length, self.spans = length, head_rows(spec, head)
        self.embedded = torch.zeros(1, length, c.hidden_size)  # tokens so far, image features added
        self.kv: KV = []  # of the last run's whole sequence
        self.head_rows = self._head_rows  # rows [start, stop) of the lm_head; a model that is not in memory has another
        self.stages |= {"llm": self._cached_llm, "context": self._context}

    @property
    def caches(self) -> dict[str, np.ndarray]:
        """cache_k_00, ... [kv_heads, C, d] as the graphs would have them."""
        values = [self._padded(t)[0].numpy() for pair in self.kv for t in pair]
        return dict(zip(cache_names(len(self.kv)), values, strict=True))

    def _cached_llm(self, feeds: Tensors) -> Tensors:
        """All tokens up to the last of these, as one sequence."""
        places, features = feeds["positions"][0].long(), feeds["features"]
        images = torch.cat([torch.zeros(1, features.shape[1]), features])[feeds["image_row"][0].long()]
        self.embedded[0, places] = self.model.model.transformer.wte(feeds["input_ids"].long())[0] + images
        used = int(places.max()) + 1
        hidden, self.kv = self.model.model.transformer(
            self.embedded[:, :used], attention_bias(feeds["key_type"][:, :used])
        )
        rows = hidden[:, places[feeds["rows"][0].long()]]
        return {"logits": torch.cat([rows @ self.head_rows(*span).T for span in self.spans], dim=-1)}

    def _context(self, feeds: Tensors) -> Tensors:
        kv = [(self._padded(k), self._padded(v)) for k, v in self.kv]
        heads = getattr(self.model.model, "action_expert_depth_gate", None)
        if heads is not None:
            visible, depth = feeds["visible"] > 0, feeds["depth"] > 0
            kv = apply_gates(kv, gates(heads, kv, visible, depth), depth)
        return _named(self.model.model.action_expert.context(kv))

    def _padded(self, x: torch.Tensor) -> torch.Tensor:
        """[1, kv_heads, S, d] with zeros up to the cache's length."""
        return torch.nn.functional.pad(x, (0, 0, 0, self.length - x.shape[2]))

    def _head_rows(self, start: int, stop: int) -> torch.Tensor:
        tied = self.model.config.text.tie_word_embeddings
        return (self.model.model.transformer.wte.embedding if tied else self.model.lm_head.weight)[start:stop]


def torch_runner(model: MolmoAct2, spec: PolicySpec, bracket: int, variant: Variant) -> TorchRunner:
    """The runner of a mode. bracket: tokens of the prompt."""
    if not variant.cached:
        return TorchRunner(model, pooling_index(spec.grid, spec.pool), spec.flow_steps)
    return CachedTorchRunner(model, spec, bracket + variant.new_tokens, variant.head)


def _named(context: KV) -> Tensors:
    values = [t for k, v in context for t in (k.transpose(2, 3), v)]
    return dict(zip(kv_names(len(context)), values, strict=True))
