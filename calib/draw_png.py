"""The PNG twin of drawing.py: an arm's poses side by side, from its right side and from above, for reports and docs.

Takes a body and named poses; writes a file whole. Uses Pillow, nothing else of drawing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from calib.skeleton import SIDE, TOP, Figure, View, figure, hull
from firmware_bridge.kinematics.link import Body

Array = npt.NDArray[np.float64]
Points = list[tuple[float, float]]
Rectangle = tuple[float, float, float, float]
PANEL = (460, 340)  # px, of one view of one pose
HEAD = 44  # px above, for the names
FINE = 3  # drawn so much larger, then made smaller: smooth edges
MARGIN = 0.05  # m around what is drawn
SHORTEST = 0.45  # m that a panel is wide at least
# Where a joint's name may stand: to its right or left, or in the middle, so many px lower.
NEAR = ((1, 0), (1, 16), (1, -16), (-1, 0), (-1, 16), (-1, -16), (0, 24), (0, -24), (1, 34), (-1, 34))
PAPER, INK, PALE, FRAME, TABLE, BONE, JOINT = (
    "#ffffff",
    "#1c2833",
    "#dfe6ec",
    "#b4c0cb",
    "#8d6e4f",
    "#1f6fb2",
    "#d9480f",
)


def write_png(body: Body, poses: Mapping[str, Array], path: Path) -> None:
    """One column for each pose; all columns of a row have one scale."""
    figures = {name: figure(body, np.asarray(q, dtype=np.float64)) for name, q in poses.items()}
    size = (PANEL[0] * len(figures), HEAD + PANEL[1] * 2)
    image = Image.new("RGB", (size[0] * FINE, size[1] * FINE), PAPER)
    pen = ImageDraw.Draw(image)
    for row, view in enumerate((SIDE, TOP)):
        scale = Scale(view, list(figures.values()))
        for column, (name, drawn) in enumerate(figures.items()):
            corner = (column * PANEL[0], HEAD + row * PANEL[1])
            if not row:
                _words(pen, (corner[0] + 16, 10), name, 20, INK)
            _panel(pen, drawn, scale, corner)
            _words(pen, (corner[0] + 16, corner[1] + 4), f"seen {view.name}", 13, "#5d6d7b")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        image.resize(size, Image.Resampling.LANCZOS).save(part, "PNG", optimize=True)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class Scale:
    """Where a point of a view is in its panel, the same for all poses."""

    def __init__(self, view: View, figures: list[Figure]) -> None:
        self.view = view
        flat = np.vstack([view.flat(np.vstack([one.points, *one.solids])) for one in figures])
        low, high = flat.min(axis=0) - MARGIN, flat.max(axis=0) + MARGIN
        if view.upright:
            low[1] = min(float(flat[:, 1].min()), 0.0) - 0.02  # m of table
        spread = np.maximum(high - low, (SHORTEST, SHORTEST * PANEL[1] / PANEL[0]))
        self.px = float(min(PANEL[0] / spread[0], PANEL[1] / spread[1])) * FINE  # per m
        self._middle = (low + high) / 2
        if view.upright:
            self._middle[1] = low[1] + PANEL[1] * FINE / self.px / 2

    def at(self, points: Array, corner: tuple[int, int]) -> Points:
        """Pixels of points [N, 3]."""
        offset = (self.view.flat(points) - self._middle) * (self.px, -self.px)
        middle = (np.array(corner) + np.array(PANEL) / 2) * FINE
        return [(float(x), float(y)) for x, y in offset + middle]


def _panel(pen: ImageDraw.ImageDraw, drawn: Figure, scale: Scale, corner: tuple[int, int]) -> None:
    """Parts in grey, bones and jaws over them, joints on top."""
    if scale.view.upright:
        level = scale.at(np.zeros((1, 3)), corner)[0][1]
        left, right = (corner[0] + 12) * FINE, (corner[0] + PANEL[0] - 12) * FINE
        pen.line([(left, level), (right, level)], fill=TABLE, width=3 * FINE)
    for solid in drawn.solids:
        outline = [scale.at(solid, corner)[index] for index in hull(scale.view.flat(solid))]
        pen.polygon(outline, fill=PALE, outline=FRAME, width=FINE)
    for start, end in (*drawn.bones, *drawn.jaws):
        pen.line(scale.at(np.vstack([start, end]), corner), fill=BONE, width=5 * FINE, joint="curve")
    for x, y in scale.at(np.vstack(list(drawn.joints.values())), corner):
        round_ = 7 * FINE
        pen.ellipse([x - round_, y - round_, x + round_, y + round_], fill=PAPER, outline=JOINT, width=3 * FINE)
    _names(pen, drawn, scale, corner)


def _names(pen: ImageDraw.ImageDraw, drawn: Figure, scale: Scale, corner: tuple[int, int]) -> None:
    """Joints' names beside them, each where no joint and no other name is."""
    spots = scale.at(np.vstack(list(drawn.joints.values())), corner)
    taken = [(x - 9 * FINE, y - 9 * FINE, x + 9 * FINE, y + 9 * FINE) for x, y in spots]
    for name, (x, y) in zip(drawn.joints, spots, strict=True):
        left, top, right, bottom = pen.textbbox((0, 0), name, font=_font(13))
        width, height = right - left, bottom - top
        for across, down in NEAR:
            start = x + 13 * FINE if across > 0 else x - 13 * FINE - width if across < 0 else x - width / 2
            box = (start, y + down * FINE - height / 2, start + width, y + down * FINE + height / 2)
            if not any(_meet(box, other) for other in taken):
                break
        else:
            continue  # no room: the other view, or another pose, has some
        taken.append(box)
        place = (box[0] - left, box[1] - top)
        pen.text(place, name, fill=INK, font=_font(13), stroke_width=2 * FINE, stroke_fill=PAPER)


def _meet(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _words(pen: ImageDraw.ImageDraw, spot: tuple[float, float], text: str, size: int, ink: str) -> None:
    pen.text((spot[0] * FINE, spot[1] * FINE), text, fill=ink, font=_font(size))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * FINE)
