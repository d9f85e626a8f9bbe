"""A case through train/model, unpadded: the released tensors and the released numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from policy_spec.image import pooling_index
from policy_spec.pipeline import Pipeline, Prepared
from tests.reference.quantities import Case
from train.model import MolmoAct2
from train.model.expert import KV
from train.model.gate import depth_token_ids, gates

Arrays = Mapping[str, np.ndarray]


def flat(kv: tuple[torch.Tensor, torch.Tensor]) -> np.ndarray:
    """k, v [1, heads, S, d] -> [2, 1, S, heads * d], as the cases store them."""
    return torch.stack([t.transpose(1, 2).flatten(2) for t in kv]).numpy()


class ModelTruth:
    """One model, many cases."""

    def __init__(self, model: MolmoAct2) -> None:
        self.model = model

    @torch.no_grad()
    def prefill(
        self, pipeline: Pipeline, prepared: Prepared, data: Arrays, extra: np.ndarray
    ) -> tuple[np.ndarray, torch.Tensor, KV]:
        """Visual features, the last hidden state and every layer's K and V of the prompt and `extra` generated
        tokens.
        """
        pictures = int((prepared.ids == pipeline.spec.token_ids["im_patch"]).sum()) // pipeline.spec.tokens_per_image
        index = torch.from_numpy(pooling_index(pipeline.spec.grid, pipeline.spec.pool))
        features = self.model.vision(torch.from_numpy(prepared.vision["patches"][:pictures]), index)
        ids = torch.from_numpy(np.concatenate([prepared.ids, extra]))[None]
        types = torch.zeros(ids.shape, dtype=torch.float32)
        types[0, : len(prepared.ids)] = torch.from_numpy(prepared.token_type.astype(np.float32))
        hidden, kv = self.model.llm(ids, features, types)
        return features.numpy(), hidden, kv

    @torch.no_grad()
    def continuous(self, case: Case, pipeline: Pipeline, prepared: Prepared, data: Arrays) -> KV:
        """Stages and actions. Returns the expert's context, for the graphs to be compared with."""
        features, _, kv = self.prefill(pipeline, prepared, data, np.zeros(0, np.int64))
        case.relative("model: visual_features", features, data["visual_features"])
        case.relative("model: kv_layer0", flat(kv[0]), data["kv_layer0"])
        case.relative("model: kv_last", flat(kv[-1]), data["kv_last"])
        ids = torch.from_numpy(prepared.ids)[None]
        visible = torch.from_numpy(prepared.expert_mask)[None]
        context = self.model.context(kv, ids, visible)
        self.actions(case, pipeline, context, visible, data)
        return context

    @torch.no_grad()
    def actions(self, case: Case, pipeline: Pipeline, context: KV, visible: torch.Tensor, data: Arrays) -> None:
        """The chunk from the case's noise, normalised and in robot units."""
        dims = pipeline.tag.action_dim
        got = self.model.sample(torch.from_numpy(data["noise"]), context, visible, dims).numpy()
        case.absolute("model: actions_normalized", got[..., :dims], data["actions_normalized"][..., :dims])
        check_units(case, "model: actions", pipeline, pipeline.actions(got), data)

    @torch.no_grad()
    def think(self, case: Case, pipeline: Pipeline, prepared: Prepared, data: Arrays) -> None:
        """The released code's generated tokens, replayed in one pass: the gate, the gated K and V, the actions; and
        that each depth code is what greedy decoding would have chosen.
        """
        tokens = data["generated_token_ids"][0]
        _, hidden, kv = self.prefill(pipeline, prepared, data, tokens)
        ids = torch.from_numpy(np.concatenate([prepared.ids, tokens]))[None]
        visible = torch.from_numpy(data["expert_mask"])
        depth = torch.isin(ids, depth_token_ids(self.model.config)) & visible
        if "kv_layer0" in data:
            case.relative("model: kv_layer0", flat(kv[0]), data["kv_layer0"])
        head = getattr(self.model.model, "action_expert_depth_gate", None)
        if head is not None and "gate" in data:
            case.equal("model: depth_mask", depth.numpy(), data["depth_mask"])
            values = gates(head, kv, visible, depth)
            got = torch.stack(values) if data["gate"].ndim == 3 else values[-1]
            case.absolute("model: gate", got.numpy(), data["gate"])
        self._codes(case, prepared, tokens, hidden, data)
        self.actions(case, pipeline, self.model.context(kv, ids, visible), visible, data)

    def _codes(self, case: Case, prepared: Prepared, tokens: np.ndarray, hidden: torch.Tensor, data: Arrays) -> None:
        """Codes decoded freely (all of them, or the changed cells) are the arg max of the depth rows."""
        config = self.model.config
        first, count = config.token_ids["depth_token_start_id"], config.num_depth_tokens
        bins = data["depth_bins"][0]
        rows = self.model.lm_head.weight[first : first + count]
        at = len(prepared.ids) + np.arange(len(bins))  # hidden at depth_start predicts code 0
        chosen = (hidden[0, at] @ rows.T).argmax(-1).numpy()
        free = data["update_mask"] if "update_mask" in data else np.ones(len(bins), bool)
        case.equal("model: depth codes", chosen[free], bins[free])
        case.equal("model: code tokens", tokens[1 : 1 + len(bins)], bins + first)

    @torch.no_grad()
    def discrete(self, case: Case, pipeline: Pipeline, prepared: Prepared, data: Arrays) -> None:
        """The released answer, token by token the arg max of the whole lm_head."""
        tokens = data["generated_token_ids"][0]
        _, hidden, _ = self.prefill(pipeline, prepared, data, tokens[:-1])
        logits = self.model.lm_head(hidden[0, len(prepared.ids) - 1 :])
        case.equal("model: answer tokens", logits.argmax(-1).numpy(), tokens)


def check_units(case: Case, name: str, pipeline: Pipeline, got: np.ndarray, data: Arrays) -> None:
    """Actions in robot units, divided by half the normaliser's range."""
    half = pipeline.tag.action.half_range()
    expected = data["actions"][0]
    if got.shape == expected.shape:
        got, expected = got / half, expected / half
    case.absolute(name, got, expected)
