"""Depth maps of a LeRobot dataset in metres: from 16-bit pictures, or from the 12-bit codes of a depth video.

Takes encoded bytes or codes with the feature's facts; gives [h, w] float32 in metres. A video's codes are logarithms
(by default) of depth + shift between depth_min and depth_max, all in metres, as LeRobot writes them. Knows nothing of
files.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from policy_spec.errors import DatasetError, sentence

CODES = 4095  # the greatest 12-bit code
DEFAULTS = {"depth_min": 0.01, "depth_max": 10.0, "shift": 3.5, "use_log": True}
MM = 1000.0


def depth_of_bytes(data: bytes, facts: Mapping[str, Any], what: str) -> np.ndarray:
    """[h, w] float32 metres of a PNG or TIFF: integers are millimetres, floats metres, unless `depth_unit` says."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            values = np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DatasetError(sentence(f"{what} is damaged", expected="a depth picture", got=error)) from None
    if values.ndim != 2:
        raise DatasetError(sentence(what, expected="a picture of one channel", got=list(values.shape)))
    unit = facts.get("depth_unit") or ("m" if values.dtype.kind == "f" else "mm")
    return values.astype(np.float32) if unit == "m" else values.astype(np.float32) / np.float32(MM)


def depth_of_video(codes: np.ndarray, facts: Mapping[str, Any]) -> np.ndarray:
    """[h, w] float32 metres of the codes [h, w] of a depth video."""
    said = {name: facts.get(f"video.{name}", facts.get(name, default)) for name, default in DEFAULTS.items()}
    low, high, shift = float(said["depth_min"]), float(said["depth_max"]), float(said["shift"])
    share = codes.astype(np.float64) / CODES
    if said["use_log"]:
        first, last = np.log(low + shift), np.log(high + shift)
        metres = np.exp(first + share * (last - first)) - shift
    else:
        metres = low + share * (high - low)
    return np.clip(metres, low, high).astype(np.float32)


def encode_depth(metres: np.ndarray) -> bytes:
    """A 16-bit PNG in millimetres of [h, w] float metres. DatasetError beyond 65 m, or below 0."""
    mm = np.rint(np.asarray(metres, np.float64) * MM)
    if metres.ndim != 2 or not np.isfinite(mm).all() or mm.min(initial=0) < 0 or mm.max(initial=0) > 65535:
        got = f"shape {list(metres.shape)}, {np.nanmin(metres):g} to {np.nanmax(metres):g}"
        raise DatasetError(sentence("a depth map", expected="[h, w], 0 to 65.535 m", got=got))
    out = io.BytesIO()
    Image.fromarray(mm.astype(np.uint16)).save(out, "PNG", compress_level=1)
    return out.getvalue()
