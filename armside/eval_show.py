"""Episodes to look at: a moving picture (GIF) of each, and a sheet of stills. Written whole or not at all.

Takes lists of pictures. Knows nothing of worlds and policies.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

STILLS = 6  # of one episode on a sheet
CAPTION = 14  # pixels of a line of words
GREEN, RED = (40, 160, 60), (200, 50, 40)


def write_gif(path: Path, frames: Sequence[np.ndarray], fps: float) -> None:
    """[h, w, 3] uint8 each. ValueError for none."""
    if not frames:
        raise ValueError("an episode without pictures")
    images = [Image.fromarray(frame).quantize(colors=128, dither=Image.Dither.NONE) for frame in frames]
    data = io.BytesIO()
    images[0].save(
        data, "GIF", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0, optimize=True
    )
    _write(path, data.getvalue())


def write_sheet(path: Path, episodes: Sequence[tuple[str, bool, Sequence[np.ndarray]]]) -> None:
    """A row per episode: its words, whether it was done, and STILLS pictures from its beginning to its end."""
    rows = [_row(words, done, frames) for words, done, frames in episodes if frames]
    if not rows:
        raise ValueError("episodes without pictures")
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), (255, 255, 255))
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    data = io.BytesIO()
    sheet.save(data, "PNG")
    _write(path, data.getvalue())


def _row(words: str, done: bool, frames: Sequence[np.ndarray]) -> Image.Image:
    chosen = [frames[round(place)] for place in np.linspace(0, len(frames) - 1, STILLS)]
    height, width, _ = chosen[0].shape
    row = Image.new("RGB", (STILLS * width, height + CAPTION), (255, 255, 255))
    ImageDraw.Draw(row).text((2, 1), f"{'done' if done else 'not done'}: {words}", fill=GREEN if done else RED)
    for place, frame in enumerate(chosen):
        row.paste(Image.fromarray(frame), (place * width, CAPTION))
    return row


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_bytes(data)
    half.replace(path)
