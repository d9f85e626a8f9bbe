"""Episodes one after another as one moving picture (WebP): both cameras, what was said, and what came of it.

Takes pictures as they were seen, twice as large, under a line with the instruction; each episode ends with its outcome
held still. Written whole or not at all. Knows nothing of worlds and policies.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LARGER = 2
BAND = 44  # pixels above the pictures: two lines
LETTERS = 15  # pixels
HELD_MS = 1500  # the outcome
QUALITY = 60  # of WebP
BACK, FORE, GREEN, RED = (24, 28, 36), (235, 238, 242), (90, 210, 120), (245, 110, 95)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One episode."""

    said: str  # the instruction
    success: bool
    outcome: str  # in words
    frames: Sequence[np.ndarray]  # [h, w, 3] uint8 each, all of one size


def write_film(path: Path, episodes: Sequence[Shown], fps: float) -> None:
    """ValueError where there is no picture at all."""
    images, times = list[Image.Image](), list[int]()
    for episode in episodes:
        for frame in episode.frames:
            images.append(_picture(frame, episode.said, "", FORE))
            times.append(round(1000 / fps))
        if len(episode.frames):
            colour = GREEN if episode.success else RED
            images.append(_picture(episode.frames[-1], episode.said, episode.outcome, colour))
            times.append(HELD_MS)
    if not images:
        raise ValueError("a film without pictures")
    data = io.BytesIO()
    images[0].save(
        data, "WEBP", save_all=True, append_images=images[1:], duration=times, loop=0, quality=QUALITY, method=2
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_bytes(data.getvalue())
    half.replace(path)


def _picture(frame: np.ndarray, said: str, outcome: str, colour: tuple[int, int, int]) -> Image.Image:
    height, width = frame.shape[:2]
    seen = Image.fromarray(frame).resize((width * LARGER, height * LARGER), Image.Resampling.BICUBIC)
    out = Image.new("RGB", (seen.width, seen.height + BAND), BACK)
    out.paste(seen, (0, BAND))
    words, font = ImageDraw.Draw(out), ImageFont.load_default(LETTERS)
    words.text((6, 3), f'told: "{said}"', fill=FORE, font=font)
    words.text((6, 3 + BAND // 2), outcome, fill=colour, font=font)
    return out
