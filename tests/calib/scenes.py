"""Pictures of made-up tables for tests of the camera check: shapes on a ground, seen from a seeded viewpoint."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Picture = npt.NDArray[np.uint8]
SIZE = (320, 240)


def scene(seed: int, dx: int = 0) -> Picture:
    """A table with a dozen things on it; `dx`: the same table seen from a camera moved by so many pixels."""
    rng = np.random.default_rng(seed)
    width, height = SIZE
    wide = Image.new("RGB", (3 * width, height), tuple(rng.integers(90, 200, 3).tolist()))
    pen = ImageDraw.Draw(wide)
    pen.rectangle((0, 0, 3 * width, int(rng.integers(30, 90))), tuple(rng.integers(20, 120, 3).tolist()))
    for _ in range(36):
        x, y = int(rng.integers(0, 3 * width)), int(rng.integers(60, height))
        w, h = rng.integers(12, 60, 2).tolist()
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape((x, y, x + w, y + h), tuple(rng.integers(0, 255, 3).tolist()))
    return np.asarray(wide.crop((width + dx, 0, 2 * width + dx, height)), np.uint8)


def later(picture: Picture, seed: int, gain: float = 1.0) -> Picture:
    """The same at another hour: sensor noise, another exposure, a shadow across it."""
    rng = np.random.default_rng(seed)
    shadow = np.linspace(0.75, 1.1, picture.shape[1])[None, :, None]
    noisy = picture * gain * shadow + rng.normal(0, 6, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)
