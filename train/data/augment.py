"""Pictures changed as the released training changes them: crop, rotation, colours, blur; each from a seed of its own.

Takes uint8 [N, H, W, 3] and a seed for each picture, gives uint8 of the same shape. Crop and rotation are one bilinear
resampling, edges repeated; colours in torchvision's definitions, in the order brightness, contrast, saturation, hue
(there a random order). Knows nothing of policies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from train.recipe.config import Augment

GREY = (0.2989, 0.587, 0.114)  # weights of red, green and blue
SIGMA = (0.1, 2.0)  # pixels, of the blur
KERNEL = 5  # pixels


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Numbers of each picture, [N] float32."""

    angle: Tensor  # rad
    scale: Tensor  # of the part that is kept
    right: Tensor  # its middle, in halves of the picture from the middle
    down: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor  # turns
    sigma: Tensor  # 0: no blur


def draw(seeds: Sequence[int], how: Augment) -> Drawn:
    """The numbers of each seed: always as many draws, so that one switch changes nothing else."""
    rows = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        angle, right, down, bright, contrast, saturate, hue = rng.uniform(-1.0, 1.0, 7)
        blurred, sigma = rng.random(), rng.uniform(*SIGMA)
        slack = 1.0 - how.crop
        rows.append(
            (
                np.deg2rad(how.rotate) * angle,
                how.crop,
                slack * right,
                slack * down,
                1.0 + how.brightness * bright,
                1.0 + how.contrast * contrast,
                1.0 + how.saturation * saturate,
                how.hue * hue,
                sigma if blurred < how.blur else 0.0,
            )
        )
    return Drawn(*torch.tensor(np.asarray(rows, np.float32)).unbind(1))


def augment(images: Tensor, seeds: Sequence[int], how: Augment) -> Tensor:
    """uint8 [N, H, W, 3] -> the same. seeds: one for each."""
    drawn = draw(seeds, how)
    x = images.permute(0, 3, 1, 2).float() / 255.0
    if how.crop < 1.0 or how.rotate > 0.0:
        x = turned(x, drawn)
    x = coloured(x, drawn, hue=how.hue > 0.0)
    x = blurred(x, drawn.sigma)
    return (x * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def turned(x: Tensor, drawn: Drawn) -> Tensor:
    """Crop and rotation of [N, 3, H, W]."""
    height, width = x.shape[-2:]
    cos, sin = drawn.angle.cos() * drawn.scale, drawn.angle.sin() * drawn.scale
    tall = height / width
    theta = torch.stack(
        [torch.stack([cos, -sin * tall, drawn.right], 1), torch.stack([sin / tall, cos, drawn.down], 1)], 1
    )
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def coloured(x: Tensor, drawn: Drawn, hue: bool) -> Tensor:
    """Brightness, contrast, saturation, hue of [N, 3, H, W] in 0..1."""

    def each(values: Tensor) -> Tensor:
        return values[:, None, None, None]

    def mixed(a: Tensor, b: Tensor | float, share: Tensor) -> Tensor:
        return (share * a + (1.0 - share) * b).clamp(0.0, 1.0)

    x = mixed(x, 0.0, each(drawn.brightness))
    x = mixed(x, grey(x).mean((1, 2, 3), keepdim=True), each(drawn.contrast))
    x = mixed(x, grey(x), each(drawn.saturation))
    return shifted_hue(x, drawn.hue) if hue else x


def grey(x: Tensor) -> Tensor:
    """[N, 3, H, W] -> [N, 1, H, W]."""
    r, g, b = x.unbind(1)
    return (GREY[0] * r + GREY[1] * g + GREY[2] * b).unsqueeze(1)


def shifted_hue(x: Tensor, turns: Tensor) -> Tensor:
    """Hue moved by `turns` [N] at the same value and saturation (HSV), without branches: each channel of a colour of
    hue h is value - chroma * clamp(min(k, 4 - k), 0, 1) with k = (n + 6 h) mod 6, n = 5, 3, 1.
    """
    value, low = x.amax(1), x.amin(1)
    chroma = value - low
    r, g, b = x.unbind(1)
    safe = chroma.clamp(min=1e-8)
    sector = torch.where(
        value == r, ((g - b) / safe) % 6.0, torch.where(value == g, (b - r) / safe + 2.0, (r - g) / safe + 4.0)
    )
    sector = sector + 6.0 * turns[:, None, None]
    channels = []
    for n in (5.0, 3.0, 1.0):
        k = (n + sector) % 6.0
        channels.append(value - chroma * torch.minimum(k, 4.0 - k).clamp(0.0, 1.0))
    return torch.stack(channels, 1)


def blurred(x: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of those whose sigma [N] is above 0."""
    chosen = sigma > 0
    if not bool(chosen.any()):
        return x
    part, n = x[chosen], int(chosen.sum())
    offsets = torch.arange(KERNEL) - KERNEL // 2
    kernel = torch.exp(-0.5 * (offsets[None] / sigma[chosen][:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)  # [3 n, KERNEL]
    flat = F.pad(part.flatten(0, 1)[None], [KERNEL // 2] * 4, mode="reflect")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=3 * n)
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=3 * n)
    out = x.clone()
    out[chosen] = flat[0].unflatten(0, (n, 3))
    return out
