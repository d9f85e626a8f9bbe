"""Examples of any length as one Batch: padded on the right to a multiple of eight, pictures augmented and cut.

Takes Examples, gives tensors on the CPU. Knows nothing of where examples come from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from policy_spec.spec import PolicySpec
from train.data.augment import augment
from train.data.examples import IGNORED, Example
from train.learn.batch import Batch, Chunks
from train.recipe.config import Augment

MULTIPLE = 8  # of tokens: fewer shapes, and what kernels like


def collate(examples: Sequence[Example], spec: PolicySpec, how: Augment) -> Batch:
    """[B] examples of one stage."""
    longest = max(len(example.ids) for example in examples)
    size = -(-longest // MULTIPLE) * MULTIPLE
    ids = torch.full((len(examples), size), spec.token_ids["pad"], dtype=torch.int64)
    labels = torch.full_like(ids, IGNORED)
    types = torch.zeros(ids.shape)
    visible = torch.zeros(ids.shape, dtype=torch.bool)
    for row, example in enumerate(examples):
        length = len(example.ids)
        ids[row, :length] = torch.from_numpy(example.ids)
        labels[row, :length] = torch.from_numpy(example.labels)
        types[row, :length] = torch.from_numpy(example.token_type.astype(np.float32))
        visible[row, :length] = torch.from_numpy(example.visible)
    return Batch(ids, types, visible, labels, patches_of(examples, spec, how), chunks_of(examples))


def chunks_of(examples: Sequence[Example]) -> Chunks | None:
    """None where no example has noise: the stage learns no flow."""
    if not len(examples[0].times):
        return None

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(example, name) for example in examples]))

    return Chunks(
        actions=stacked("actions"),
        step_is_pad=stacked("step_is_pad"),
        dim_is_pad=stacked("dim_is_pad"),
        noise=stacked("noise"),
        times=stacked("times"),
        present=torch.tensor([example.present for example in examples]),
    )


def patches_of(examples: Sequence[Example], spec: PolicySpec, how: Augment) -> Tensor:
    """uint8 [N, P, 3 * patch^2] of all pictures, row by row."""
    images = torch.from_numpy(np.concatenate([example.images for example in examples]))
    if how.enabled and len(images):
        seeds = [example.seed + camera for example in examples for camera in range(len(example.images))]
        images = augment(images, seeds, how)
    return cut(images, spec.patch_size)


def cut(images: Tensor, patch: int) -> Tensor:
    """uint8 [N, H, W, 3] -> [N, P, 3 * patch^2]: row by row, inside a patch too, RGB innermost."""
    n, height, width, channels = images.shape
    grid = images.reshape(n, height // patch, patch, width // patch, patch, channels).transpose(2, 3)
    return grid.reshape(n, -1, patch * patch * channels)
