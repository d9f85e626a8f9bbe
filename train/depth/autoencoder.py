"""A small VQ autoencoder of depth maps: 10 x 10 cells, each one of 128 codes.

Takes depth as shares of a range, [B, 1, side, side] from -1 to 1; gives codes and depth again. Each cell becomes a
vector, the nearest entry of the codebook takes its place, and the decoder draws depth from those. What comes out of the
codebook passes its gradient straight through. Vector quantization: van den Oord et al., 2017, with the codebook as
running means (their appendix A.1). Knows nothing of metres, files and training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policy_spec.errors import CheckpointError, sentence

SHRINKS = 3  # convolutions that halve each side: 8 pixels a cell


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of an autoencoder. Raises CheckpointError on what cannot be."""

    grid: int = 10  # cells along each side
    codes: int = 128
    width: int = 32  # channels of the widest layer
    dim: int = 16  # of a code's vector

    def __post_init__(self) -> None:
        if min(self.grid, self.width, self.dim) < 1 or self.codes < 2:
            raise CheckpointError(sentence("sizes of a depth autoencoder", expected="1 or more, 2 codes", got=self))

    @property
    def side(self) -> int:
        """Pixels of a map's side."""
        return self.grid << SHRINKS

    @property
    def cells(self) -> int:
        return self.grid**2


class DepthAutoencoder(nn.Module):
    """`codes_of` and `decode` are what labels need; `forward` is what training needs."""

    codebook: Tensor  # [codes, dim]
    counts: Tensor  # [codes] running counts of how often each was nearest in a batch
    sums: Tensor  # [codes, dim] running sums of the vectors that it was nearest to

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        few, some, many = (max(1, sizes.width >> less) for less in (2, 1, 0))
        self.encoder = nn.Sequential(
            *(nn.Conv2d(1, few, 4, 2, 1), nn.GELU()),
            *(nn.Conv2d(few, some, 4, 2, 1), nn.GELU()),
            *(nn.Conv2d(some, many, 4, 2, 1), nn.GELU()),
            nn.Conv2d(many, sizes.dim, 1),
        )
        self.decoder = nn.Sequential(
            *(nn.Conv2d(sizes.dim, many, 3, 1, 1), nn.GELU()),
            *(nn.ConvTranspose2d(many, some, 4, 2, 1), nn.GELU()),
            *(nn.ConvTranspose2d(some, few, 4, 2, 1), nn.GELU()),
            nn.ConvTranspose2d(few, 1, 4, 2, 1),
        )
        self.register_buffer("codebook", torch.zeros(sizes.codes, sizes.dim))
        self.register_buffer("counts", torch.zeros(sizes.codes))
        self.register_buffer("sums", torch.zeros(sizes.codes, sizes.dim))

    def encode(self, maps: Tensor) -> Tensor:
        """[B, 1, side, side] -> vectors [B, cells, dim], cells row by row."""
        out: Tensor = self.encoder(maps).flatten(2).transpose(1, 2)
        return out

    def nearest(self, vectors: Tensor) -> Tensor:
        """[..., dim] -> int64 [...], the nearest entry of the codebook; of equal ones the first."""
        flat = vectors.detach().reshape(-1, self.sizes.dim)
        far = self.codebook.square().sum(1) - 2.0 * flat @ self.codebook.T
        return far.argmin(1).reshape(vectors.shape[:-1])

    @torch.no_grad()
    def codes_of(self, maps: Tensor) -> Tensor:
        """[B, 1, side, side] -> int64 [B, cells]."""
        return self.nearest(self.encode(maps))

    def decode(self, codes: Tensor, codebook: Tensor | None = None) -> Tensor:
        """int64 [B, cells] -> [B, 1, side, side]; `codebook`: another one, for a control."""
        return self._draw((self.codebook if codebook is None else codebook)[codes])

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[B, 1, side, side] -> the maps drawn again, the encoder's vectors and their entries [B, cells, dim], codes.

        The gradient of the drawing reaches the encoder as if the codebook were not there.
        """
        vectors = self.encode(maps)
        codes = self.nearest(vectors)
        entries = self.codebook[codes]
        return self._draw(vectors + (entries - vectors).detach()), vectors, entries, codes

    def _draw(self, vectors: Tensor) -> Tensor:
        out: Tensor = self.decoder(vectors.transpose(1, 2).unflatten(2, (self.sizes.grid, self.sizes.grid)))
        return out

    @torch.no_grad()
    def begin(self, vectors: Tensor, generator: torch.Generator) -> None:
        """A codebook of vectors that there are: the first one."""
        self._put(torch.arange(self.sizes.codes), vectors.reshape(-1, self.sizes.dim), generator)

    @torch.no_grad()
    def follow(self, vectors: Tensor, codes: Tensor, decay: float) -> None:
        """The codebook moves towards the mean of the vectors that each entry stands for."""
        flat, chosen = vectors.reshape(-1, self.sizes.dim), F.one_hot(codes.reshape(-1), self.sizes.codes).float()
        self.counts.mul_(decay).add_(chosen.sum(0), alpha=1.0 - decay)
        self.sums.mul_(decay).add_(chosen.T @ flat, alpha=1.0 - decay)
        self.codebook.copy_(self.sums / self.counts.clamp(min=1e-5)[:, None])

    @torch.no_grad()
    def revive(self, vectors: Tensor, least: float, generator: torch.Generator) -> int:
        """Entries that hardly anything is nearest to begin anew at vectors that there are. Returns how many."""
        dead = (self.counts < least).nonzero()[:, 0]
        self._put(dead, vectors.reshape(-1, self.sizes.dim), generator)
        return len(dead)

    def _put(self, entries: Tensor, flat: Tensor, generator: torch.Generator) -> None:
        drawn = flat[torch.randint(len(flat), (len(entries),), generator=generator)]
        self.codebook[entries], self.sums[entries] = drawn, drawn
        self.counts[entries] = 1.0
