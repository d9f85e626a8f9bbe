"""A picture of calibration samples: what the cameras saw in each, and why it was chosen. Pillow; gives PNG bytes."""

from __future__ import annotations

import textwrap

import numpy as np
from PIL import Image, ImageDraw

from episodes.pictures import encode_png
from quant.samples import Sample, SampleSet

TILE, GAP, LINE = 112, 4, 13  # pixels: height of a picture, space, a line of text
COLUMNS, LINES = 4, 4  # samples side by side; lines of text under each
PAPER, INK, FAINT = (250, 250, 250), (20, 20, 20), (110, 110, 110)


def sheet(found: SampleSet) -> bytes:
    """All samples in their order."""
    tiles = [_tile(number, sample) for number, sample in enumerate(found.samples)]
    width, height = max(t.width for t in tiles), max(t.height for t in tiles)
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP), PAPER)
    for number, tile in enumerate(tiles):
        page.paste(tile, (GAP + number % columns * (width + GAP), GAP + number // columns * (height + GAP)))
    return encode_png(np.asarray(page))


def _tile(number: int, sample: Sample) -> Image.Image:
    pictures = [_picture(image) for image in sample.observation.images]
    width = max(sum(p.width + GAP for p in pictures), 220)
    tile = Image.new("RGB", (width, TILE + GAP + LINES * LINE), PAPER)
    left = 0
    for picture in pictures:
        tile.paste(picture, (left, 0))
        left += picture.width + GAP
    draw, letters = ImageDraw.Draw(tile), max(20, int(width / 6.2))
    place = f"{number}: episode {sample.where.episode}, frame {sample.where.frame} {sample.task!r}"
    draw.text((0, TILE + GAP), _plain(textwrap.shorten(place, letters, placeholder=" ...")), fill=FAINT)
    for line, text in enumerate(textwrap.wrap(sample.why, letters)[: LINES - 1]):
        draw.text((0, TILE + GAP + (line + 1) * LINE), _plain(text), fill=INK)
    return tile


def _picture(image: np.ndarray) -> Image.Image:
    """At TILE's height."""
    size = max(1, round(image.shape[1] * TILE / image.shape[0])), TILE
    return Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)


def _plain(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")
