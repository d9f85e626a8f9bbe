"""The losses of MolmoAct2's training: flow matching on chunks, next token on answers, and the z-loss.

Takes what a model gave and a Batch; gives sums and what to divide them by, so that micro-batches and ranks of unequal
size add up to the loss of the whole. Flow: x_t = (1 - t) noise + t a, target a - noise; padded dims leave the mean over
dims, padded steps count zero error and stay in the mean over steps. z: mean of logsumexp^2. Source: docs/sources.md,
training. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from train.learn.batch import IGNORED, Batch, Chunks
from train.model.norms import widen

Head = Callable[[Tensor], Tensor]  # hidden states -> logits


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Losses summed over what they are means of; each divided by its count of the whole step is its mean."""

    flow: Tensor  # [] over rows with a chunk
    ce: Tensor  # [] over tokens with a label
    z: Tensor  # [] over the same, of logsumexp^2, unweighted
    right: Tensor  # [] labelled tokens that the model would have said


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each loss counts."""

    flow: float = 1.0
    lm: float = 1.0
    z: float = 1e-4

    def total(self, sums: Sums, counts: Tensor) -> Tensor:
        """The loss; counts [2]: rows with a chunk, tokens with a label, of the whole step."""
        rows, tokens = (max(float(count), 1.0) for count in counts)
        return self.flow * sums.flow / rows + (self.lm * sums.ce + self.z * sums.z) / tokens


def trajectory(chunks: Chunks) -> tuple[Tensor, Tensor]:
    """Points on the way and the velocities there, both [B, K, H, A]; padded dims are 0 in noise, point and target."""
    kept = (~chunks.dim_is_pad)[:, None, None, :].to(chunks.noise.dtype)
    noise, actions = chunks.noise * kept, chunks.actions[:, None] * kept
    t = chunks.times[:, :, None, None]
    return (1.0 - t) * noise + t * actions, actions - noise


def flow_per_row(velocity: Tensor, target: Tensor, chunks: Chunks, mask_dims: bool) -> Tensor:
    """[B] the mean squared error of each row. velocity, target [B, K, H, A]. mask_dims: padded dims leave the mean."""
    error = (velocity.to(target.dtype) - target).square()
    error = error * (~chunks.step_is_pad)[:, None, :, None].to(error.dtype)
    if mask_dims:
        kept = (~chunks.dim_is_pad)[:, None, None, :].to(error.dtype)
        error = (error * kept).sum(-1) / kept.sum(-1).clamp(min=1.0)
    return error.flatten(1).mean(1)


def next_token(hidden: Tensor, head: Head, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over labelled tokens: cross entropy, logsumexp^2, and how many were right.

    hidden [B, S, width] normed; head gives logits [..., V]; labels [B, S]. Only positions before a
    labelled token meet the head.
    """
    wanted = labels[:, 1:]
    places = wanted != IGNORED
    if not bool(places.any()):
        nothing = head(hidden[:, :1]).float().sum() * 0.0  # every parameter stays in the graph
        return nothing, nothing, torch.zeros((), device=hidden.device)
    logits = widen(head(hidden[:, :-1][places]))
    target = wanted[places]
    log_z = logits.logsumexp(-1)
    ce = log_z - logits.gather(-1, target[:, None]).squeeze(-1)
    right = (logits.argmax(-1) == target).sum().to(torch.float32)
    return ce.sum(), log_z.square().sum(), right


def flow_sum(velocity: Tensor, target: Tensor, batch: Batch, mask_dims: bool) -> Tensor:
    """[] summed over the rows that have a chunk."""
    assert batch.chunks is not None
    rows = flow_per_row(velocity, target, batch.chunks, mask_dims)
    return (rows * batch.chunks.present.to(rows.dtype)).sum()
