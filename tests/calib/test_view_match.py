"""The camera check by numbers: planted mistakes are named, and a view at another hour passes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from calib.view_match import TURNS, Picture, judge, light_of, likeness
from tests.calib.scenes import later, scene

REFERENCE = {"cam0": scene(1), "cam1": scene(2)}


def one(live: dict[str, Picture | None], slot: str = "cam0") -> tuple[str, str, bool]:
    verdict = {item.slot: item for item in judge(live, REFERENCE)}[slot]
    return verdict.word, verdict.text, verdict.bad


@pytest.mark.parametrize("seed", range(8))
def test_the_same_view_at_another_hour_passes(seed: int) -> None:
    live = later(scene(1), seed, gain=0.6 + 0.08 * seed)
    assert one({"cam0": live, "cam1": later(scene(2), seed)})[::2] == ("good", False)


def test_a_thing_that_was_carried_away_is_no_other_view() -> None:
    live = later(scene(1), 1)
    live[100:180, 60:160] = 120
    assert one({"cam0": live})[0] == "good"


def test_swapped_cameras_are_named() -> None:
    live = {"cam0": later(scene(2), 1), "cam1": later(scene(1), 2)}
    word, text, bad = one(live)
    assert (word, bad) == ("swapped", True) and "cam1" in text
    assert one(live, "cam1")[0] == "swapped"


@pytest.mark.parametrize("turn", [turn for turn in TURNS if turn != "as it is"])
def test_a_turned_camera_is_named(turn: str) -> None:
    mount: dict[str, Callable[[Picture], Picture]] = {
        "upside down": lambda p: np.rot90(p, 2),
        "mirrored": np.fliplr,
        "turned left": lambda p: np.rot90(p, 1),
        "turned right": lambda p: np.rot90(p, -1),
    }
    word, text, bad = one({"cam0": np.ascontiguousarray(mount[turn](later(scene(1), 3)))})
    assert (word, bad) == ("turned", True) and turn in text


@pytest.mark.parametrize("dx", [-60, -40, 40, 60])
def test_a_camera_that_moved_is_told_with_its_shift(dx: int) -> None:
    verdict = judge({"cam0": later(scene(1, dx), 4)}, REFERENCE)[0]
    assert verdict.word == "moved" and not verdict.bad
    assert verdict.shift is not None and abs(verdict.shift[0] + dx / 320) < 0.02
    assert ("left" if dx > 0 else "right") in verdict.text


@pytest.mark.parametrize("dy", [-40, 40])
def test_a_camera_that_tilted_is_told_with_its_shift(dy: int) -> None:
    verdict = judge({"cam0": np.roll(later(scene(1), 4), dy, axis=0)}, REFERENCE)[0]
    assert verdict.word == "moved" and ("down" if dy > 0 else "up") in verdict.text
    assert verdict.shift is not None and abs(verdict.shift[1] - dy / 240) < 0.02


def test_a_view_that_looks_alike_in_a_mirror_is_not_mirrored() -> None:
    """Another reading must be clearly better than the picture as it is."""
    even = scene(1) // 2 + np.fliplr(scene(1)) // 2
    assert likeness(np.ascontiguousarray(np.fliplr(even)), even).score > 0.9
    assert judge({"cam0": later(even, 3)}, {"cam0": even})[0].word == "good"


def test_another_scene_is_a_hint_and_no_verdict() -> None:
    words = [one({"cam0": later(scene(seed), 5)}) for seed in range(100, 130)]
    assert not any(bad for _, _, bad in words)
    assert sum(word == "unlike" for word, _, _ in words) > 20


@pytest.mark.parametrize(("value", "shade"), [(0, "black"), (255, "white")])
def test_a_covered_lens_is_bad(value: int, shade: str) -> None:
    word, text, bad = one({"cam0": np.full((240, 320, 3), value, np.uint8)})
    assert (word, bad) == ("dark", True) and shade in text


@pytest.mark.parametrize(("low", "high", "said"), [(0, 15, "almost black"), (245, 255, "overexposed"), (0, 40, "")])
def test_too_little_and_too_much_light(low: int, high: int, said: str) -> None:
    picture = np.full((240, 320, 3), low, np.uint8)
    picture[:, 160:] = high
    assert light_of(picture).complaint.startswith(said) and bool(light_of(picture).complaint) is bool(said)


def test_frozen_missing_and_unknown_slots() -> None:
    frozen = judge({"cam0": later(scene(1), 1)}, REFERENCE, {"cam0": True})[0]
    assert frozen.word == "frozen" and frozen.bad
    assert judge({"cam0": None}, REFERENCE)[0].word == "missing"
    word = judge({"wrist": later(scene(1), 1)}, REFERENCE)[0]
    assert word.word == "no reference" and not word.bad and word.light is not None


def test_pictures_of_other_sizes_and_a_single_pixel_strip() -> None:
    big = np.asarray(np.kron(scene(1), np.ones((2, 2, 1))), np.uint8)
    assert likeness(big, scene(1)).score > 0.95
    light_of(np.zeros((1, 7, 3), np.uint8))
