"""The model as a trainer calls it: a batch in, sums of losses out, in one forward pass that a wrapper can shard.

One pass over the prompt and answer gives K and V to all K noisy chunks of a row. `insulated` detaches them (knowledge
insulation): the flow loss then teaches the expert alone. The depth gate, where the model has one, takes part. Knows
nothing of optimizers, files or processes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policy_spec.image import pooling_index
from train.learn import losses
from train.learn.batch import Batch, Chunks
from train.learn.losses import Sums
from train.model import MolmoAct2
from train.model.expert import KV, Masks


@dataclass(frozen=True, slots=True)
class Pass:
    """What a stage wants of a forward pass."""

    flow: bool = True  # the expert is asked
    lm: bool = True  # the lm_head is asked
    insulated: bool = False  # K and V are detached before the expert


class Learner(nn.Module):
    """Holds a model; `forward` is what is differentiated."""

    def __init__(self, model: MolmoAct2, pool: tuple[int, int] = (2, 2)) -> None:
        super().__init__()
        self.model = model
        index = torch.from_numpy(pooling_index(model.config.vit.grid, pool))
        self.register_buffer("pooling", index, persistent=False)

    def forward(self, batch: Batch, want: Pass) -> Sums:
        """The sums of the losses that are wanted; the others are 0."""
        hidden, kv = self.context(batch)
        zero = torch.zeros((), device=hidden.device)
        flow, ce, z, right = zero, zero, zero, zero
        if want.flow and batch.chunks is not None:
            velocity, target = self.velocity(kv, batch, want.insulated)
            flow = losses.flow_sum(velocity, target, batch, self.model.config.mask_action_dim_padding)
        if want.lm:
            ce, z, right = losses.next_token(hidden, self.logits, batch.labels)
        return Sums(flow, ce, z, right)

    def context(self, batch: Batch) -> tuple[Tensor, KV]:
        """Last hidden state [B, S, hidden] and what the expert is conditioned on."""
        features = self.model.vision(batch.patches, self.pooling)  # type: ignore[arg-type]  # a buffer
        return self.model.llm(batch.input_ids, features, batch.token_type)

    def velocity(self, kv: KV, batch: Batch, insulated: bool) -> tuple[Tensor, Tensor]:
        """The expert's velocities and the target, [B, K, H, A]."""
        assert batch.chunks is not None
        if insulated:
            kv = [(k.detach(), v.detach()) for k, v in kv]
        chunks: Chunks = batch.chunks
        samples, horizon = chunks.noise.shape[1:3]
        point, target = losses.trajectory(chunks)
        context = self.model.context(kv, batch.input_ids, batch.visible)
        steps = None
        if bool(chunks.step_is_pad.any()):
            steps = (~chunks.step_is_pad).repeat_interleave(samples, dim=0)
        masks = Masks(horizon, self.model.config.expert, batch.visible, steps)
        velocity = self.model.velocity(point.flatten(0, 1), chunks.times.flatten(), context, masks)
        return velocity.unflatten(0, (-1, samples)), target

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., hidden] normed -> [..., V]."""
        if self.model.config.text.tie_word_embeddings:
            return F.linear(hidden, self.model.model.transformer.wte.embedding)
        return self.model.lm_head(hidden)
