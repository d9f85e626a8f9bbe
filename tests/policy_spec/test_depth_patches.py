"""Which cells changed: the reference's masks bit for bit, a plain loop as the truth, another resize as the control."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from policy_spec.depth_patches import CELL, THRESHOLD, changed_cells, grid_side, patches_of, similarity
from policy_spec.errors import ObservationError, SpecError
from policy_spec.image import resize_uint8
from tests.policy_spec import tiny

Arrays = dict[str, np.ndarray]
THINK = ("think-tiny", "think-nogate-tiny", "think-busy-tiny", "think-gate-tiny")


def frames(case: str) -> Iterator[tuple[Arrays, np.ndarray | None]]:
    """Each frame of an episode, and the first picture of the one before where that counts."""
    before = None
    for path in sorted((tiny.REFERENCE / case).glob("think_*.npz")):
        data = dict(np.load(path))
        yield data, None if data["reset"] else before
        before = data["image_0"]


@tiny.requires_reference
@pytest.mark.parametrize("case", THINK)
def test_masks_are_the_references(case: str) -> None:
    compared = 0
    for data, before in frames(case):
        assert ("update_mask" in data) == (before is not None)
        if before is not None:
            mask = changed_cells(patches_of(data["image_0"], 10), patches_of(before, 10))
            assert np.array_equal(mask, data["update_mask"])
            compared += 1
    assert compared >= 3


def _opencv(image: np.ndarray) -> np.ndarray:
    cv2 = pytest.importorskip("cv2")
    out: np.ndarray = cv2.resize(image, (320, 320), interpolation=cv2.INTER_LINEAR)
    return out


RESIZES = {
    "the model's own": lambda image: resize_uint8(image, (320, 320)),
    "OpenCV's": _opencv,
    "Pillow's nearest": lambda image: np.asarray(Image.fromarray(image).resize((320, 320), Image.Resampling.NEAREST)),
}


@tiny.requires_reference
@pytest.mark.parametrize("resize", RESIZES.values(), ids=list(RESIZES))
def test_another_resize_gives_another_mask(resize: Callable[[np.ndarray], np.ndarray]) -> None:
    """The negative control: this case's cells lie close to the threshold."""
    wrong = 0
    for data, before in frames("think-gate-tiny"):
        if before is not None:
            mask = changed_cells(patches_of(resize(data["image_0"]), 10), patches_of(resize(before), 10))
            wrong += int((mask != data["update_mask"]).sum())
    assert wrong > 0


def slow(now: np.ndarray, before: np.ndarray, side: int) -> list[float]:
    """Cosines of two uint8 pictures of the right size, exactly, pixel by pixel."""
    out = []
    for row in range(side):
        for column in range(side):
            part = np.s_[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
            a, b = (picture[part].reshape(-1).tolist() for picture in (now, before))
            dot = sum(x * y for x, y in zip(a, b, strict=True))
            length = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
            out.append(dot / length if length else 1.0)
    return out


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 20, 60, 200]), st.sampled_from([0, 20, 120]))
def test_cosines_are_those_of_a_plain_loop(seed: int, noise: int, floor: int) -> None:
    rng = np.random.default_rng(seed)
    before = rng.integers(floor, floor + 60, (2 * CELL, 2 * CELL, 3)).astype(np.uint8)
    before[:CELL, :CELL] = rng.integers(0, 2)  # one cell nearly or wholly black
    now = np.clip(before + rng.integers(-noise, noise + 1, before.shape), 0, 255).astype(np.uint8)
    a, b = patches_of(now, 2), patches_of(before, 2)
    truth = slow(now, before, 2)
    assert np.abs(similarity(a, b) - truth).max() < 1e-6
    clear = np.abs(np.array(truth) - THRESHOLD) > 1e-6
    assert np.array_equal(changed_cells(a, b)[clear], (np.array(truth) < THRESHOLD)[clear])


def test_a_cell_stands_where_its_picture_does() -> None:
    before = np.full((200, 400, 3), 90, np.uint8)
    now = before.copy()
    now[160:, 320:360] = (255, 0, 0)  # the last row's ninth cell, of 20 x 40 pixels each
    now[180:, 320:360] = 90
    assert np.flatnonzero(changed_cells(patches_of(now, 10), patches_of(before, 10))).tolist() == [88]


def test_brightness_as_a_whole_and_black_are_no_change() -> None:
    picture = tiny.picture(3, 64, 64) // 2
    dark = np.zeros_like(picture)
    one = patches_of(picture, 2)
    assert not changed_cells(one, one).any() and not changed_cells(patches_of(picture * 2, 2), one).any()
    assert not changed_cells(patches_of(dark, 2), one).any(), "released: nothing to compare with counts as equal"
    assert changed_cells(patches_of(tiny.picture(4, 64, 64), 2), one).all()


def test_what_the_picture_may_be() -> None:
    grey = tiny.picture(5, 64, 64)[:, :, :1]
    assert np.array_equal(patches_of(grey[:, :, 0], 2).pixels, patches_of(np.repeat(grey, 3, axis=2), 2).pixels)
    with pytest.raises(ObservationError, match="float32"):
        patches_of(np.zeros((64, 64, 3), np.float32), 2)


def test_the_grid_is_a_square() -> None:
    assert [grid_side(n) for n in (1, 4, 100, 144)] == [1, 2, 10, 12]
    for codes in (0, 2, 99, 128):
        with pytest.raises(SpecError, match="square"):
            grid_side(codes)


def test_pictures_are_kept_not_borrowed() -> None:
    """A camera reuses its buffer: what was cut from it must not follow."""
    picture = tiny.picture(6, 64, 64)
    kept = patches_of(picture, 2)
    before = kept.pixels.copy()
    picture[:] = 0
    assert np.array_equal(kept.pixels, before)
