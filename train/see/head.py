"""What is asked of an image encoder while it learns to see: a linear reading of each of the connector's outputs.

Each output must say which words name what has its middle in its part of the picture, where exactly in the picture that
is, and where the part itself is: a language model cannot point at what its image tokens do not say. The reading is
thrown away afterwards. Takes features and labels; knows nothing of files and optimizers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PLACE, OWN = 10.0, 4.0  # weights of the distances, in parts of a picture, beside the words' entropy in nats a picture


@dataclass(frozen=True, slots=True)
class Marks:
    """How well a batch is seen."""

    words: float  # nats a picture
    place: float  # parts of the picture, mean distance along an axis of what is there
    own: float  # the same of the cells themselves
    right: float  # share of the pictures in which every word of every cell is right


class Reading(nn.Module):
    """Of `cells` by `cells` features of a picture, each [width]."""

    def __init__(self, width: int, words: int, cells: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, words + 4)
        axis = (torch.arange(cells) + 0.5) / cells
        down, across = torch.meshgrid(axis, axis, indexing="ij")
        self.register_buffer("middle", torch.stack([across.flatten(), down.flatten()], -1), persistent=False)
        self.words = words

    def forward(self, features: Tensor, there: Tensor, place: Tensor, known: Tensor) -> tuple[Tensor, Marks]:
        """features [N, cells^2, width], the rest as train/see/labels.py says. The loss [], and marks."""
        read = self.linear(features.float())
        logits, at, own = read.split([self.words, 2, 2], dim=-1)
        middle = self.middle
        entropy = F.binary_cross_entropy_with_logits(logits, there, reduction="sum") / len(there)
        off = (at + middle - place).abs().mean(-1)  # type: ignore[operator]  # a buffer
        far = (off * known).sum() / known.sum().clamp(min=1)
        lost = (own - middle).abs().mean()  # type: ignore[operator]
        right = ((logits > 0) == (there > 0)).flatten(1).all(1).float().mean()
        marks = Marks(float(entropy.detach()), float(far.detach()), float(lost.detach()), float(right))
        return entropy + PLACE * far + OWN * lost, marks
