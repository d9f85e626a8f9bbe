"""Pictures to patches, bit for bit as the policy was trained: resize on uint8, cut, pooling indices.

Takes RGB uint8 pictures of any size, gives uint8 patches. The resize is bilinear without antialias, equal in
every byte to torchvision's on uint8. That one has two kernels with different roundings, and picks by the
output's size; both are here. Plain float32 arithmetic differs in a few bytes a picture, other libraries in
thousands. Knows nothing of cameras.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from policy_spec.errors import CheckpointError, ObservationError, sentence

Bytes = NDArray[np.uint8]
Float32 = NDArray[np.float32]

_SMALL = 128  # outputs whose height + width is at most this go through the four-tap kernel
_BLOCK = 32  # rows at a time: the scratch stays in the cache, twice as fast as the whole picture at once
_PIXEL = (np.arange(256, dtype=np.float32) / np.float32(255)) * np.float32(2) - np.float32(1)  # byte to -1..1


class _Axis(NamedTuple):
    """The two taps of every output index along one axis."""

    first: NDArray[np.intp]  # [out]
    second: NDArray[np.intp]  # [out]
    low: Float32  # [out] weight of first
    high: Float32  # [out] weight of second


@lru_cache(maxsize=64)
def _axis(size_in: int, size_out: int) -> _Axis:
    scale = np.float32(np.float32(size_in) / np.float32(size_out))
    # One fused multiply-add: float64 holds product and sum exactly, so that only one rounding is left.
    source = ((np.arange(size_out) + 0.5) * np.float64(scale) - 0.5).astype(np.float32)
    source = np.maximum(source, np.float32(0))
    first = np.minimum(source.astype(np.intp), size_in - 1)
    high = np.clip(source - first.astype(np.float32), np.float32(0), np.float32(1))
    return _Axis(first, np.minimum(first + 1, size_in - 1), np.float32(1) - high, high)


@lru_cache(maxsize=64)
def _bytes_axis(size_in: int, size_out: int) -> tuple[Any, Any, Any, Any]:
    """The horizontal taps as byte offsets into an interleaved RGB row, a weight per byte. [3 * out]"""
    axis = _axis(size_in, size_out)
    channel = np.arange(3)
    first = (axis.first[:, None] * 3 + channel).reshape(-1)
    second = (axis.second[:, None] * 3 + channel).reshape(-1)
    return first, second, np.repeat(axis.low, 3).astype(np.float64), np.repeat(axis.high, 3)


def as_rgb(image: Any) -> Bytes:
    """A picture as uint8 [H, W, 3]: grey is repeated, alpha dropped, as the released RGB conversion does.

    Raises ObservationError on anything else. Floating-point pictures are refused: the released policy resizes
    those in floating point, which gives other bytes, and nothing says whether they run to 1 or to 255.
    """
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise ObservationError(
            sentence(
                "picture type",
                expected="uint8, 0..255",
                got=array.dtype,
                do="round to 0..255 and convert to uint8 before handing it over",
            )
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ObservationError(
            sentence(
                "picture shape", expected="[H, W, 3], [H, W, 4], [H, W, 1] or [H, W]", got=list(array.shape)
            )
        )
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


def resize_uint8(image: Bytes, size: tuple[int, int]) -> Bytes:
    """uint8 [H, W, 3] to uint8 [h, w, 3], stretched: every byte as the released policy's resize gives it."""
    image = np.ascontiguousarray(image)
    if image.shape[:2] == size:
        return image.copy()
    return _four_taps(image, size) if sum(size) <= _SMALL else _two_passes(image, size)


def _two_passes(image: Bytes, size: tuple[int, int]) -> Bytes:
    """Along each row, then down each column: fma(w0, a, w1 * b), each rounded to float32."""
    height, width, _ = image.shape
    rows, columns = image.reshape(height, width * 3), size[1] * 3
    first, second, low, high = _bytes_axis(width, size[1])
    half = np.empty((height, columns), np.float32)  # resized along the rows only
    wide = np.empty((_BLOCK, columns), np.float64)
    narrow = np.empty((_BLOCK, columns), np.float32)
    taken = np.empty((_BLOCK, columns), np.uint8)
    for top in range(0, height, _BLOCK):
        block = rows[top : top + _BLOCK]
        n = len(block)
        block.take(second, axis=1, out=taken[:n], mode="clip")
        np.multiply(taken[:n], high, out=narrow[:n])
        block.take(first, axis=1, out=taken[:n], mode="clip")
        np.multiply(taken[:n], low, out=wide[:n])
        np.add(wide[:n], narrow[:n], out=wide[:n])
        half[top : top + n] = wide[:n]
    down = _axis(height, size[0])
    out = np.empty((size[0], columns), np.uint8)
    for top in range(0, size[0], _BLOCK):
        part = slice(top, top + _BLOCK)
        n = len(down.first[part])
        np.multiply(half[down.second[part]], down.high[part, None], out=narrow[:n])
        np.multiply(half[down.first[part]], down.low[part, None].astype(np.float64), out=wide[:n])
        np.add(wide[:n], narrow[:n], out=wide[:n])
        narrow[:n] = wide[:n]
        np.rint(narrow[:n], out=narrow[:n])
        out[part] = narrow[:n]
    return out.reshape(*size, 3)


def _four_taps(image: Bytes, size: tuple[int, int]) -> Bytes:
    """All four neighbours by the products of their weights, fused one by one: the kernel of small outputs."""
    down, along = _axis(image.shape[0], size[0]), _axis(image.shape[1], size[1])
    upper, lower = image[down.first], image[down.second]  # [h, W, 3]

    def weight(v: Float32, w: Float32) -> Float32:
        return np.multiply.outer(v, w)[:, :, None]  # [h, w, 1] float32

    total = weight(down.low, along.high) * upper[:, along.second]
    for v, w, pixels in (
        (down.low, along.low, upper[:, along.first]),
        (down.high, along.low, lower[:, along.first]),
        (down.high, along.high, lower[:, along.second]),
    ):
        total = (weight(v, w).astype(np.float64) * pixels + total).astype(np.float32)
    out: Bytes = np.rint(total).astype(np.uint8)
    return out


def to_patches(image: Bytes, patch: int, out: Bytes | None = None) -> Bytes:
    """uint8 [H, W, 3] to uint8 [P, patch * patch * 3]: row by row, inside a patch too, RGB innermost."""
    height, width, channels = image.shape
    if height % patch or width % patch:
        raise ObservationError(
            sentence(
                "picture size", expected=f"a multiple of the patch size {patch}", got=f"{height}x{width}"
            )
        )
    cut = image.reshape(height // patch, patch, width // patch, patch, channels).transpose(0, 2, 1, 3, 4)
    if out is None:
        return cut.reshape(-1, patch * patch * channels)
    out.reshape(cut.shape)[...] = cut  # a reshape of a contiguous buffer is a view
    return out


def pixel_values(patches: Bytes) -> Float32:
    """Patches as the vision encoder sees them: float32 -1..1, bit for bit the released processor's values."""
    out: Float32 = _PIXEL[patches]
    return out


def pooling_index(grid: tuple[int, int], pool: tuple[int, int]) -> NDArray[np.int64]:
    """[T, ph * pw] indices of the patches that make one image token; -1 where there is none.

    A grid that the pool does not divide is padded, half of it (rounded down) before and the rest after.
    """
    (grid_h, grid_w), (pool_h, pool_w) = grid, pool
    tokens_h, tokens_w = pooled_grid(grid, pool)
    top, left = (tokens_h * pool_h - grid_h) // 2, (tokens_w * pool_w - grid_w) // 2
    index = np.full((tokens_h * pool_h, tokens_w * pool_w), -1, np.int64)
    index[top : top + grid_h, left : left + grid_w] = np.arange(grid_h * grid_w).reshape(grid_h, grid_w)
    return (
        index.reshape(tokens_h, pool_h, tokens_w, pool_w).transpose(0, 2, 1, 3).reshape(-1, pool_h * pool_w)
    )


def pooled_grid(grid: tuple[int, int], pool: tuple[int, int]) -> tuple[int, int]:
    """Image tokens per column and per row."""
    return -(-grid[0] // pool[0]), -(-grid[1] // pool[1])


def check_processor(settings: dict[str, Any]) -> tuple[tuple[int, int], int, tuple[int, int]]:
    """The image section of processor_config.json: size, patch size, pool; refuses what is not built."""
    defaults = {
        "crop_mode": "overlap-and-resize-c2",
        "resample": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    allowed = {"crop_mode": "resize", "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    for key, only in allowed.items():
        got = settings.get(key, defaults[key])
        if got != only:
            raise CheckpointError(
                sentence(
                    f"processor_config.json: {key} is not supported",
                    expected=repr(only),
                    got=repr(got),
                    do="export a checkpoint that was trained with one resized crop per camera",
                )
            )
    size = settings.get("size", {"height": 378, "width": 378})
    pool = settings.get("pooling_size", [2, 2])
    return (
        (int(size["height"]), int(size["width"])),
        int(settings.get("patch_size", 14)),
        (int(pool[0]), int(pool[1])),
    )
