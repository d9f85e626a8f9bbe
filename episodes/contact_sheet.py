"""A picture of a dataset: for some episodes a row of frames from each camera, with number, length and task above.

Takes a source of observations; gives [h, w, 3] uint8. Drawn with Pillow. Knows nothing of what is in the pictures.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from episodes.observations import ObservationSource

TILE = 128  # pixels along the longer side of a frame
LINE = 16  # pixels of a line of text
GAP = 4
PAPER, INK = (250, 250, 250), (20, 20, 20)


def contact_sheet(source: ObservationSource, episodes: int = 6, frames: int = 6) -> np.ndarray:
    """At most so many episodes, evenly from the first to the last, and frames of each. Raises DatasetError."""
    count = len(source.lengths)
    chosen = sorted({int(i) for i in np.linspace(0, count - 1, min(episodes, count)).round()})
    rows = [_episode(source, episode, frames) for episode in chosen]
    width = max(row.shape[1] for row in rows)
    return np.concatenate([_wide(row, width) for row in rows])


def _episode(source: ObservationSource, episode: int, frames: int) -> np.ndarray:
    length = source.lengths[episode]
    numbers = sorted({int(i) for i in np.linspace(0, length - 1, min(frames, length)).round()})
    seen = [source.observation(episode, number) for number in numbers]
    lines = [np.concatenate([_tile(one.images[camera]) for one in seen], axis=1) for camera in source.cameras]
    width = max((line.shape[1] for line in lines), default=TILE * len(numbers))
    text = f"episode {episode}: {length} frames, {seen[0].task!r}"
    return np.concatenate([_text(text, width), *(_wide(line, width) for line in lines)])


def _tile(image: np.ndarray) -> np.ndarray:
    """The picture at TILE, with a gap to its right and below."""
    share = TILE / max(image.shape[:2])
    size = max(1, round(image.shape[1] * share)), max(1, round(image.shape[0] * share))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    return np.pad(small, ((0, GAP), (0, GAP), (0, 0)), constant_values=PAPER[0])


def _text(text: str, width: int) -> np.ndarray:
    line = Image.new("RGB", (width, LINE), PAPER)
    ImageDraw.Draw(line).text((2, 2), text.encode("latin-1", "replace").decode("latin-1"), fill=INK)
    return np.asarray(line)


def _wide(image: np.ndarray, width: int) -> np.ndarray:
    return np.pad(image, ((0, 0), (0, max(0, width - image.shape[1])), (0, 0)), constant_values=PAPER[0])
