"""Rendered clips of a moving arm, with the depth codes of each picture: what MolmoThink's reuse is measured on.

A still table with a seeded texture and three boxes; before it an arm of three links that swings in the picture's
plane, drawn here. How wide it is and how fast it swings decides how many of the grid's cells change. Sensor noise is
Gaussian, drawn afresh for each pixel of each picture. The depth of a cell (16 levels of its mean, 8 of its slope)
becomes one of 128 codes by a seeded permutation, since a VQ-VAE's codes have no order either. Knows nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 640, 480  # pixels
SIDE, MAP = 10, 16  # cells along each side; pixels of the depth map in a cell
LEVELS, SLOPES = 16, 8
NOISE = 6.0  # grey levels of 255, standard deviation
FLICKER = 0.1  # share of a picture's codes that a VQ-VAE might say otherwise

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, slots=True)
class Clip:
    """One motion: `share` of the cells change per picture, about."""

    share: int  # percent, as it is called
    width: float  # of a link, as a share of the picture's height
    speed: float  # rad per picture, of the fastest joint at its fastest
    noise: bool = False


# Widths and speeds by trial, so that about that many cells change; what did change stands in each table.
CLIPS = (Clip(0, 0.08, 0.0), Clip(5, 0.04, 0.006), Clip(20, 0.18, 0.16), Clip(60, 0.62, 1.2))


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One picture and the codes of its depth map."""

    image: Pixels  # [HEIGHT, WIDTH, 3]
    codes: np.ndarray[Any, np.dtype[np.int64]]  # [SIDE * SIDE]


def shots(clip: Clip, count: int, seed: int = 0, flicker: float = 0.0) -> list[Shot]:
    """The first `count` pictures. flicker: share of codes that are replaced by any others, drawn for each picture."""
    still, far = scene(np.random.default_rng([seed, 1]))
    sensor, vq = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])
    words = np.random.default_rng([seed, 4]).permutation(LEVELS * SLOPES)
    out = []
    for index in range(count):
        image, depth = Image.fromarray(still), Image.fromarray(far)
        draw_arm(image, depth, clip, index)
        pixels = np.asarray(image, np.float32)
        if clip.noise:
            pixels = pixels + NOISE * sensor.standard_normal(pixels.shape, np.float32)
        codes = words[cells(np.asarray(depth))]
        other = vq.random(len(codes)) < flicker
        codes = np.where(other, vq.integers(0, LEVELS * SLOPES, len(codes)), codes)
        out.append(Shot(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), codes))
    return out


def scene(rng: np.random.Generator) -> tuple[Pixels, np.ndarray]:
    """The still background, and its depth map float32 [SIDE * MAP, SIDE * MAP], 0 near to 1 far."""
    coarse, fine = (Image.fromarray(rng.integers(0, 256, (n, n, 3), np.uint8)) for n in (6, 96))
    a, b = (np.asarray(i.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32) for i in (coarse, fine))
    image = Image.fromarray(np.clip(0.6 * a + 0.35 * b - 20, 4, 255).astype(np.uint8))
    size = SIDE * MAP
    far = Image.fromarray(np.repeat(np.linspace(1.0, 0.55, size, dtype=np.float32)[:, None], size, 1))
    for left, top, side, grey in ((0.12, 0.55, 0.14, 60), (0.70, 0.62, 0.17, 190), (0.45, 0.30, 0.10, 110)):
        box = (left, top, left + side, top + side)
        tint = tuple(int(v) for v in np.clip(grey + rng.integers(-40, 40, 3), 0, 255))
        ImageDraw.Draw(image).rectangle(scaled(box, WIDTH, HEIGHT), fill=tint)
        ImageDraw.Draw(far).rectangle(scaled(box, size, size), fill=float(1.0 - 0.6 * top))
    return np.asarray(image), np.asarray(far)


def draw_arm(image: Image.Image, depth: Image.Image, clip: Clip, index: int) -> None:
    """Three links from the table's near edge; the last is the nearest. Joints swing with periods of their own."""
    x, y, heading = 0.5, 1.0, -np.pi / 2
    swings = zip((1.0, 0.7, 1.3), (0.34, 0.30, 0.22), strict=True)
    for link, (pace, length) in enumerate(swings):
        heading += 0.9 * np.sin(clip.speed * pace * index / 0.9 + link)
        to = (x + length * np.cos(heading) * HEIGHT / WIDTH, y + length * np.sin(heading))
        thick = clip.width * (1.0 - 0.2 * link)
        for canvas, fill in (
            (image, ((235, 120, 30), (250, 160, 60), (245, 200, 90))[link]),
            (depth, 0.3 - 0.1 * link),
        ):
            capsule(canvas, ((x, y), to), thick, fill)
        mark(image, ((x, y), to), thick)
        x, y = to


def capsule(canvas: Image.Image, ends: tuple[tuple[float, float], ...], thick: float, fill: Any) -> None:
    """A link: a line with round ends. Ends as shares of the picture's sides, thick of its height."""
    draw, half = ImageDraw.Draw(canvas), thick * canvas.height / 2
    points = [(x * canvas.width, y * canvas.height) for x, y in ends]
    draw.line(points, fill=fill, width=max(1, round(2 * half)))
    for x, y in points:
        draw.ellipse((x - half, y - half, x + half, y + half), fill=fill)


def mark(image: Image.Image, ends: tuple[tuple[float, float], ...], thick: float) -> None:
    """Dark screws along a link: without them an arm that moves over itself would look still."""
    draw, half, ((x, y), to) = ImageDraw.Draw(image), thick * image.height / 7, ends
    for along in (0.15, 0.4, 0.65, 0.9):
        at = (x + along * (to[0] - x)) * image.width, (y + along * (to[1] - y)) * image.height
        draw.ellipse((at[0] - half, at[1] - half, at[0] + half, at[1] + half), fill=(40, 45, 60))


def cells(depth: np.ndarray) -> np.ndarray:
    """[SIDE * SIDE] level and slope of each cell as one number."""
    tiles = depth.reshape(SIDE, MAP, SIDE, MAP).swapaxes(1, 2)
    level = np.minimum((tiles.mean((2, 3)) * LEVELS).astype(np.int64), LEVELS - 1)
    across, down = (np.diff(tiles.mean(axis), axis=-1).sum(-1) for axis in (2, 3))
    turn = np.arctan2(down, across) / (2 * np.pi) % 1.0
    steep = np.hypot(across, down) > 1.0 / LEVELS
    slope = np.where(steep, 1 + (turn * (SLOPES - 1)).astype(np.int64), 0)
    return np.asarray((level * SLOPES + slope).reshape(-1))


def scaled(box: tuple[float, ...], width: int, height: int) -> tuple[float, ...]:
    """Shares of the sides to pixels."""
    return tuple(v * (width, height)[i % 2] for i, v in enumerate(box))
