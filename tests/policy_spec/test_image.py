"""Resize bit for bit, patches, pooling; against the recipe written plainly here."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from policy_spec.errors import CheckpointError, ObservationError
from policy_spec.image import as_rgb, check_processor, pixel_values, pooling_index, resize_uint8, to_patches
from tests.policy_spec import tiny


def f32(x: Fraction) -> Fraction:
    """An exact number rounded once to float32, half to even, by integer arithmetic alone."""
    if x == 0:
        return x
    n, d = abs(x.numerator), x.denominator
    exponent = n.bit_length() - d.bit_length() - 24
    scaled = Fraction(n, d) / (Fraction(2) ** exponent)
    if scaled >= 2**24:
        exponent, scaled = exponent + 1, scaled / 2
    return (1 if x > 0 else -1) * Fraction(round(scaled)) * Fraction(2) ** exponent


def taps(size_in: int, size_out: int) -> list[tuple[int, int, Fraction, Fraction]]:
    scale = f32(Fraction(size_in, size_out))
    out = []
    for i in range(size_out):
        source = max(f32(scale * (i + Fraction(1, 2)) - Fraction(1, 2)), Fraction(0))
        first = min(int(source), size_in - 1)
        high = min(f32(source - first), Fraction(1))
        out.append((first, min(first + 1, size_in - 1), f32(1 - high), high))
    return out


def fma(a: Fraction, b: Fraction, c: Fraction) -> Fraction:
    return f32(a * b + c)


def slow(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The truth, one exact operation at a time."""
    out = np.empty((*size, 3), np.uint8)
    for y, (y0, y1, v0, v1) in enumerate(taps(image.shape[0], size[0])):
        for x, (x0, x1, w0, w1) in enumerate(taps(image.shape[1], size[1])):
            for c in range(3):
                p = [Fraction(int(image[j, i, c])) for j in (y0, y1) for i in (x0, x1)]
                if sum(size) <= 128:
                    total = f32(f32(v0 * w1) * p[1])
                    total = fma(f32(v0 * w0), p[0], total)
                    total = fma(f32(v1 * w0), p[2], total)
                    total = fma(f32(v1 * w1), p[3], total)
                else:
                    top, low = fma(w0, p[0], f32(w1 * p[1])), fma(w0, p[2], f32(w1 * p[3]))
                    total = fma(v0, top, f32(v1 * low))
                out[y, x, c] = round(total)
    return out


SIZES = [((30, 50), (42, 42)), ((50, 9), (56, 14)), ((7, 11), (2, 130)), ((61, 40), (100, 29)), ((1, 1), (70, 70))]


@pytest.mark.parametrize(("given", "wanted"), SIZES)
def test_resize_equals_the_exact_recipe(given: tuple[int, int], wanted: tuple[int, int]) -> None:
    image = tiny.picture(sum(given), *given)
    got, expected = resize_uint8(image, wanted), slow(image, wanted)
    wrong = np.argwhere(got != expected)
    assert not len(wrong), f"{len(wrong)} bytes, first at {wrong[0]}"


def test_plain_float_arithmetic_would_not_do() -> None:
    """The negative control: the same formula in float64 differs somewhere, so that the test above can fail."""
    image, size = tiny.picture(5, 480, 640), (378, 378)

    def axis(size_in: int, size_out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        source = np.maximum((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0)
        first = source.astype(int)
        return first, np.minimum(first + 1, size_in - 1), source - first

    (y0, y1, v), (x0, x1, w) = axis(480, 378), axis(640, 378)
    v, w = v[:, None, None], w[None, :, None]
    rows = image[:, x0] * (1 - w) + image[:, x1] * w
    other = np.rint(rows[y0] * (1 - v) + rows[y1] * v)
    wrong = int((resize_uint8(image, size) != other).sum())
    assert 0 < wrong < 2000


def test_resize_to_the_same_size_copies() -> None:
    image = tiny.picture(1, 42, 42)
    out = resize_uint8(image, (42, 42))
    assert np.array_equal(out, image) and not np.shares_memory(out, image)


def test_resize_takes_any_layout() -> None:
    image = tiny.picture(2, 60, 80)
    turned = np.asfortranarray(image)
    assert np.array_equal(resize_uint8(turned, (100, 100)), resize_uint8(image, (100, 100)))


def test_patches_go_row_by_row() -> None:
    image = tiny.picture(3, 28, 42)
    patches = to_patches(image, 14)
    assert patches.shape == (6, 588)
    assert np.array_equal(patches[4].reshape(14, 14, 3), image[14:28, 14:28])
    out = np.zeros_like(patches)
    assert to_patches(image, 14, out) is out and np.array_equal(out, patches)
    with pytest.raises(ObservationError, match="multiple of the patch size"):
        to_patches(image[:27], 14)


def test_pixel_values_round_back_to_their_bytes() -> None:
    every = np.arange(256, dtype=np.uint8)
    values = pixel_values(every)
    assert values.dtype == np.float32 and values[0] == -1 and values[255] == 1
    assert np.array_equal(np.rint((values + 1) * 0.5 * 255).astype(np.uint8), every)


def test_pooling_of_an_even_grid() -> None:
    assert pooling_index((2, 4), (2, 2)).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]


def test_pooling_of_an_odd_grid_pads_half_before_and_the_rest_after() -> None:
    assert pooling_index((3, 3), (2, 2)).tolist() == [
        [0, 1, 3, 4],
        [2, -1, 5, -1],
        [6, 7, -1, -1],
        [8, -1, -1, -1],
    ]
    assert pooling_index((4, 4), (3, 3))[0].tolist() == [-1, -1, -1, -1, 0, 1, -1, 4, 5]  # 2 pads: 1 before


def test_grey_and_alpha_become_rgb() -> None:
    image = tiny.picture(4, 5, 6)
    grey = image[:, :, 0]
    assert np.array_equal(as_rgb(grey), np.repeat(grey[:, :, None], 3, 2))
    assert np.array_equal(as_rgb(grey[:, :, None]), as_rgb(grey))
    assert np.array_equal(as_rgb(np.concatenate([image, image[:, :, :1]], 2)), image)


BAD = [
    np.zeros((4, 4, 3), np.float32),
    np.zeros((4, 4, 3), np.int64),
    np.zeros((4, 4, 2), np.uint8),
    np.zeros((3, 8, 8), np.uint8),
    np.zeros((0, 4, 3), np.uint8),
    np.zeros(3, np.uint8),
]


@pytest.mark.parametrize("bad", BAD)
def test_other_pictures_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ObservationError, match=r"picture (type|shape)"):
        as_rgb(bad)


@pytest.mark.parametrize(
    ("key", "value"),
    [("crop_mode", "overlap-and-resize-c2"), ("resample", 3), ("image_mean", [0.4] * 3), ("image_std", [1.0] * 3)],
)
def test_processors_that_are_not_built_are_refused_by_name(key: str, value: object) -> None:
    settings = tiny.processor()["image_processor"]
    assert check_processor(settings) == ((42, 42), 14, (2, 2))
    with pytest.raises(CheckpointError, match=key):
        check_processor({**settings, key: value})


def test_the_class_default_crop_mode_is_refused_too() -> None:
    settings = tiny.processor()["image_processor"]
    del settings["crop_mode"]
    with pytest.raises(CheckpointError, match="overlap-and-resize-c2"):
        check_processor(settings)
