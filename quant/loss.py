"""Numbers of a sensitivity measurement: what one sample loses, and what a part loses over all samples.

Data, and how samples are put together: means for ranking, worsts with the sample and the layer that they are of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Loss:
    """One sample, one part quantized."""

    kv: tuple[float, ...]  # of each layer, root mean square of the difference as a share of the truth's
    velocity: float  # mean squared difference from the float model's velocity
    flow: float  # flow-matching loss: mean squared difference from target - noise
    action: tuple[float, ...]  # of each joint, largest difference in the normalised chunk
    cosine: float  # of the whole chunk


@dataclass(frozen=True, slots=True)
class Measured:
    """One part in one scheme, over all samples."""

    part: str  # llm.ffn, or a layer of it: llm.ffn@3
    scheme: str
    tensors: int
    saved: int  # bytes that it stores less than in float32
    kv: tuple[float, ...]  # of each layer, mean over samples
    kv_worst: float
    kv_layer: int  # the worst of
    kv_sample: int
    velocity: float  # mean
    velocity_worst: float
    velocity_sample: int
    flow: float  # mean flow-matching loss
    action_mean: float  # over samples, of each one's largest difference, normalised
    action_worst: float
    action_joint: int
    action_sample: int
    joints: tuple[float, ...]  # largest difference of each, normalised
    cosine: float  # the least

    @property
    def key(self) -> tuple[str, str]:
        """What was measured."""
        return self.part, self.scheme


def gathered(key: tuple[str, str], losses: Sequence[Loss], stored: tuple[int, int]) -> Measured:
    """key: part, scheme. stored: tensors, bytes saved. At least one loss."""
    kv = np.array([loss.kv for loss in losses])  # [samples, layers]
    action = np.array([loss.action for loss in losses])  # [samples, joints]
    velocity = np.array([loss.velocity for loss in losses])
    kv_sample, kv_layer = (int(i) for i in np.unravel_index(kv.argmax(), kv.shape))
    action_sample, joint = (int(i) for i in np.unravel_index(action.argmax(), action.shape))
    return Measured(
        part=key[0],
        scheme=key[1],
        tensors=stored[0],
        saved=stored[1],
        kv=tuple(float(value) for value in kv.mean(axis=0)),
        kv_worst=float(kv.max()),
        kv_layer=kv_layer,
        kv_sample=kv_sample,
        velocity=float(velocity.mean()),
        velocity_worst=float(velocity.max()),
        velocity_sample=int(velocity.argmax()),
        flow=float(np.mean([loss.flow for loss in losses])),
        action_mean=float(action.max(axis=1).mean()),
        action_worst=float(action.max()),
        action_joint=joint,
        action_sample=action_sample,
        joints=tuple(float(value) for value in action.max(axis=0)),
        cosine=float(min(loss.cosine for loss in losses)),
    )
