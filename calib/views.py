"""The camera check as a whole: pictures in, verdicts and one picture out. Frames are handed in; knows no cameras.

Also keeps and finds the pictures that a view is compared with: a folder of <slot>.png or .jpg.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from calib.sheet import Cell, overlay, save, sheet
from calib.view_match import Picture, Verdict, judge
from policy_spec.errors import CameraError, sentence

SUFFIXES = (".png", ".jpg", ".jpeg")
IN_BUNDLE = "views"  # a bundle's own folder of pictures, where somebody put one


def check(
    live: Mapping[str, Picture | None], reference: Mapping[str, Picture], frozen: Mapping[str, bool]
) -> tuple[tuple[Verdict, ...], Image.Image]:
    """A verdict on each slot, and the picture: reference, live, both in one."""
    verdicts = judge(live, reference, frozen)
    return verdicts, sheet([_row(item, live[item.slot], reference.get(item.slot)) for item in verdicts])


def _row(verdict: Verdict, live: Picture | None, reference: Picture | None) -> list[Cell]:
    words = (f"{verdict.slot}, now: {verdict.word}", *([verdict.text] if verdict.text else []))
    cells = [Cell(live, words, verdict.bad)]
    if reference is not None:
        cells.insert(0, Cell(reference, (f"{verdict.slot}, as expected",)))
        if live is not None:
            cells.append(Cell(overlay(live, reference), ("both: expected red, now cyan",)))
    return cells


def load(folder: Path) -> dict[str, Picture]:
    """slot -> picture, of a folder's <slot>.png and .jpg. Raises CameraError for one that cannot be read."""
    found: dict[str, Picture] = {}
    for file in sorted(item for item in folder.iterdir() if item.suffix.lower() in SUFFIXES):
        try:
            with Image.open(file) as image:
                found.setdefault(file.stem, np.asarray(image.convert("RGB"), np.uint8))
        except OSError as error:
            raise CameraError(sentence(f"{file} is no picture", got=error, do="remove it or replace it")) from None
    return found


def keep(pictures: Mapping[str, Picture], folder: Path) -> None:
    """Writes one <slot>.png each; what another slot has there stays. Raises OSError."""
    for slot, picture in pictures.items():
        save(Image.fromarray(picture), folder / f"{slot}.png")
