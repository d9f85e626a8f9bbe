"""A picture file or its bytes as RGB pixels, by Pillow: no opencv, so that a workstation can read what a robot kept.

Takes paths or encoded bytes (PNG, JPEG, whatever Pillow opens), gives [h, w, 3] uint8 RGB. Knows nothing of datasets.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from policy_spec.errors import DatasetError, sentence

SUFFIXES = (".png", ".jpg", ".jpeg")


def read_picture(file: Path) -> np.ndarray:
    """[h, w, 3] uint8 RGB. DatasetError where the file is missing or is no picture."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DatasetError(sentence(f"{file} cannot be read", expected="a picture", got=error.strerror)) from None
    return decode_picture(data, str(file))


def decode_picture(data: bytes, what: str) -> np.ndarray:
    """[h, w, 3] uint8 RGB of encoded bytes; `what` names them in the DatasetError where they are no whole picture."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"), np.uint8)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:  # SyntaxError: Pillow's broken PNG
        raise DatasetError(sentence(f"{what} is damaged", expected="a PNG or JPEG picture", got=error)) from None


def encode_png(picture: np.ndarray) -> bytes:
    """PNG bytes of [h, w, 3] uint8 RGB; every pixel is kept."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(out, "PNG", compress_level=1)
    return out.getvalue()
