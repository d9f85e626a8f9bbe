"""Does a camera show what it should: a live picture against a reference, by slot. Pure numpy; a hint, not a proof.

Pictures are compared by their edges at 96 x 72, so that exposure and noise matter little; the shift between them comes
from their cross-correlation and is taken out before they are scored. Takes uint8 RGB arrays [h, w, 3] of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float64]

WIDTH, HEIGHT = 96, 72
BLUR = 2.5  # pixels of the small picture: wider structures are exposure and shadows
FURTHEST = 0.3  # of the picture, that a shift is looked for
ALIKE = 0.5  # score above which two pictures show the same place; unrelated ones had 0.4, the worst of 60 0.54
SURE = 0.6  # score that another reading of the picture must have to be named
BETTER = 0.15  # and so much more than as it is
MOVED = 0.04  # of the picture's width: below, a shift is the scene's own
DARK, BRIGHT, FLAT = 0.04, 0.96, 0.015  # mean and spread of the light, 0..1

# How a camera may be mounted wrongly -> what undoes it. The last axis is colour's.
TURNS: dict[str, Callable[[Picture], Picture]] = {
    "as it is": lambda picture: picture,
    "upside down": lambda picture: picture[::-1, ::-1],
    "mirrored": lambda picture: picture[:, ::-1],
    "turned left": lambda picture: np.rot90(picture, -1),
    "turned right": lambda picture: np.rot90(picture, 1),
}


@dataclass(frozen=True, slots=True)
class Light:
    """Of one picture, 0..1."""

    brightness: float
    contrast: float
    sharpness: float

    @property
    def complaint(self) -> str:
        """Why nothing can be seen in it, or nothing."""
        if self.contrast < FLAT:
            shade = "black" if self.brightness < 0.5 else "white"
            return f"all {shade}: is the lens covered, is there light?"
        if self.brightness < DARK:
            return "almost black: is the lens covered, is there light?"
        return "overexposed: too much light" if self.brightness > BRIGHT else ""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much two pictures show the same. `shift`: x right and y down, as parts of the picture."""

    score: float  # -1..1
    shift: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One slot. `word`: good, moved, unlike, turned, swapped, dark, frozen, missing, no reference."""

    slot: str
    word: str
    text: str
    score: float | None = None
    shift: tuple[float, float] | None = None
    light: Light | None = None

    @property
    def bad(self) -> bool:
        """Clearly wrong: the policy would see something else than it was trained with."""
        return self.word in ("missing", "dark", "frozen", "turned", "swapped")


def light_of(picture: Picture) -> Light:
    """Brightness, contrast and sharpness of a picture."""
    grey = _grey(picture, (2 * WIDTH, 2 * HEIGHT))
    steps = np.abs(np.diff(grey, axis=1)).mean() + np.abs(np.diff(grey, axis=0)).mean()
    return Light(float(grey.mean()), float(grey.std()), float(steps))


def likeness(live: Picture, reference: Picture) -> Likeness:
    """How alike two pictures are once the one is shifted over the other."""
    return _likeness(_edges(live), _edges(reference))


def judge(
    live: Mapping[str, Picture | None], reference: Mapping[str, Picture], frozen: Mapping[str, bool] | None = None
) -> tuple[Verdict, ...]:
    """A verdict on every slot of `live`; None: no picture came. `frozen`: its pictures do not change at all."""
    edges = {slot: _edges(picture) for slot, picture in reference.items()}
    return tuple(_judge(slot, picture, edges, (frozen or {}).get(slot, False)) for slot, picture in live.items())


def _judge(slot: str, picture: Picture | None, edges: Mapping[str, Plane], frozen: bool) -> Verdict:
    if picture is None:
        return Verdict(slot, "missing", "no picture")
    light = light_of(picture)
    if light.complaint:
        return Verdict(slot, "dark", light.complaint, light=light)
    if frozen:
        text = "two pictures in a row are equal to the last bit: the camera stands still; unplug it, plug it in"
        return Verdict(slot, "frozen", text, light=light)
    if slot not in edges:
        return Verdict(slot, "no reference", "there is no picture to compare it with", light=light)
    plain = _likeness(_edges(picture), edges[slot])
    word, text = _another_reading(slot, picture, edges, plain.score)
    if not word:
        word, text = _same_reading(plain)
    return Verdict(slot, word, text, plain.score, plain.shift, light)


def _another_reading(slot: str, picture: Picture, edges: Mapping[str, Plane], plain: float) -> tuple[str, str]:
    """What the picture looks like, where that is clearly not its own slot as it is."""
    readings = {("turned", f"looks {turn}"): (undo, slot) for turn, undo in TURNS.items() if turn != "as it is"}
    readings |= {
        ("swapped", f"looks like {other}: are the two cameras swapped?"): (TURNS["as it is"], other)
        for other in edges
        if other != slot
    }
    scores = {
        words: _likeness(_edges(np.ascontiguousarray(undo(picture))), edges[target]).score
        for words, (undo, target) in readings.items()
    }
    best = max(scores, key=lambda words: scores[words], default=None)
    if best is None or scores[best] < max(SURE, plain + BETTER):
        return "", ""
    return best[0], f"{best[1]} (likeness {scores[best]:.2f}, as it is {plain:.2f})"


def _same_reading(plain: Likeness) -> tuple[str, str]:
    if plain.score < ALIKE:
        return "unlike", "shows another scene than the reference; look at the picture"
    x, y = plain.shift
    if max(abs(x), abs(y)) >= MOVED:
        sides = [f"{abs(x):.0%} to the {'right' if x > 0 else 'left'}"] if abs(x) >= MOVED else []
        sides += [f"{abs(y):.0%} {'down' if y > 0 else 'up'}"] if abs(y) >= MOVED else []
        return "moved", f"the same scene, shifted by {' and '.join(sides)}: the camera, or what it stands on, moved"
    return "good", "shows the same"


# -- numbers


def _grey(picture: Picture, size: tuple[int, int]) -> Plane:
    small = Image.fromarray(np.ascontiguousarray(picture)).convert("L").resize(size, Image.Resampling.BOX)
    return np.asarray(small, np.float64) / 255.0


def _edges(picture: Picture) -> Plane:
    """[HEIGHT, WIDTH]: what is finer than BLUR, evened out, so that a lamp does not outweigh the rest."""
    grey = _grey(picture, (WIDTH, HEIGHT))
    fine = grey - _blurred(grey, BLUR)
    spread = np.sqrt(_blurred(fine**2, 3 * BLUR)) + 0.01
    even: Plane = np.clip(fine / spread, -3.0, 3.0)
    return even


def _blurred(plane: Plane, sigma: float) -> Plane:
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(plane, reach, mode="edge")
    rows = np.apply_along_axis(lambda row: np.convolve(row, kernel, "valid"), 1, padded)
    out: Plane = np.apply_along_axis(lambda column: np.convolve(column, kernel, "valid"), 0, rows)
    return out


def _likeness(live: Plane, reference: Plane) -> Likeness:
    x, y = _shift(live, reference)
    ours = live[max(0, y) : HEIGHT + min(0, y), max(0, x) : WIDTH + min(0, x)]
    theirs = reference[max(0, -y) : HEIGHT + min(0, -y), max(0, -x) : WIDTH + min(0, -x)]
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    size = float(np.sqrt((ours**2).sum() * (theirs**2).sum()))
    score = float((ours * theirs).sum()) / size if size else 0.0
    return Likeness(score, (x / WIDTH, y / HEIGHT))


def _shift(live: Plane, reference: Plane) -> tuple[int, int]:
    """Pixels right and down by which `live` lies from `reference`: where their cross-correlation is highest."""
    shape = (2 * HEIGHT, 2 * WIDTH)  # so that nothing wraps around
    product = np.fft.rfft2(live, shape) * np.conj(np.fft.rfft2(reference, shape))
    scores = np.fft.irfft2(product, shape)
    most_x, most_y = int(FURTHEST * WIDTH), int(FURTHEST * HEIGHT)
    ys, xs = np.arange(-most_y, most_y + 1), np.arange(-most_x, most_x + 1)
    near = scores[np.ix_(ys, xs)]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    return int(xs[column]), int(ys[row])
