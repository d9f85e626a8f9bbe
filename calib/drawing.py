"""An arm drawn in a terminal or as a picture: where its links are in a pose, which joint matters, which way it goes.

`draw` and `draw_two` give text of at most 60 columns and 18 lines, `picture` writes a PNG. Takes a body of
firmware_bridge and poses q [D] in its own joints; knows no bus, no screen and no calibration.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calib.canvas import Canvas
from calib.skeleton import SIDE, Figure, View, figure, hull, in_place, trail, view_between, view_of
from firmware_bridge.kinematics.directions import direction
from firmware_bridge.kinematics.link import Body

Array = npt.NDArray[np.float64]
WIDTH, HEIGHT = 58, 14  # cells, of one view
GAP = 2  # columns between two views
MARGIN = 0.03  # m around what is drawn
SHORTEST = 0.35  # m that the paper is wide and high at least: a folded arm is not blown up
ARROWS = "→↗↑↖←↙↓↘"  # each an eighth of a turn further
OPPOSITE = {"forward": "back", "left": "right", "up": "down", "clockwise": "counter-clockwise", "opens": "closes"}
OPPOSITE |= {other: word for word, other in OPPOSITE.items()}


def draw(body: Body, q: Array, mark: str = "", arrow: int = 0, plain: bool | None = None) -> str:
    """The arm at pose `q`; `mark` names a joint to point at, `arrow` (+1, -1) the way it should turn.

    Drawn from its right side; where that does not show how `mark` moves, a second view stands beside it.
    `plain`: ASCII only; None: where this terminal cannot show more.
    """
    views = [SIDE]
    if mark and (other := view_of(body, q, mark)) is not SIDE:
        views.append(other)
    drawn = figure(body, q)
    way = trail(body, q, mark, arrow) if mark and arrow else np.empty((0, 3))
    width = (WIDTH - GAP * (len(views) - 1)) // len(views)
    panels = []
    for view in views:
        sheet = Sheet(view, np.vstack([drawn.points, way]), width, _is_plain(plain))
        _arm(sheet, drawn, mark)
        if view is views[-1] and len(way):
            _arrow(sheet.canvas, [sheet.at(point) for point in way])
        if view is views[-1] and mark:
            _label(sheet.canvas, sheet.at(drawn.joints[mark]), mark)
        panels.append(sheet.canvas.lines())
    text = _beside(panels, [f"seen {view.name}" for view in views], width)
    return f"{text}\n{goes(body, q, mark, arrow)}" if mark and arrow else text


def draw_two(body: Body, now: Array, wanted: Array, plain: bool | None = None) -> str:
    """The present pose beside the wanted one, in one scale, from the side that shows the difference best."""
    view = view_between(body, now, wanted)
    width = (WIDTH - GAP) // 2
    both = [figure(body, now), figure(body, wanted)]
    points = np.vstack([one.points for one in both])
    panels = []
    for drawn in both:
        sheet = Sheet(view, points, width, _is_plain(plain))
        _arm(sheet, drawn)
        panels.append(sheet.canvas.lines())
    return _beside(panels, [f"now, {view.name}", "wanted"], width)


def picture(body: Body, poses: Mapping[str, Array], path: Path) -> None:
    """A PNG: each pose by its name, from the side and from above."""
    from calib.draw_png import write_png  # Pillow is not needed for text

    write_png(body, poses, path)


def goes(body: Body, q: Array, joint: str, way: int) -> str:
    """What one sees when `joint` turns that way: "elbow_flex: the gripper goes forward, down"."""
    words = direction(body, joint, q).split(", ")
    if way < 0:
        words = [OPPOSITE[word] for word in words]
    if joint == body.gripper:
        return f"{joint}: it {words[0]}"
    if in_place(body, q, joint):
        return f"{joint}: {words[0]}, as one looks along it"
    return f"{joint}: the gripper goes {', '.join(words)}"


class Sheet:
    """A canvas for one view, with a scale that holds all of `points` [N, 3]."""

    def __init__(self, view: View, points: Array, width: int, plain: bool) -> None:
        self.view = view
        self.canvas = Canvas(width, HEIGHT, plain)
        flat = view.flat(points)
        low, high = flat.min(axis=0) - MARGIN, flat.max(axis=0) + MARGIN
        if view.upright:
            low[1] = min(flat[:, 1].min(), 0.0) - 0.01  # m: the table is the last line
        spread = np.maximum(high - low, SHORTEST)
        self.cells = min(width / spread[0], 2 * HEIGHT / spread[1])  # columns per m; a cell is twice as high as wide
        self._left = (low[0] + high[0]) / 2 - width / 2 / self.cells
        centred = (low[1] + high[1]) / 2 + HEIGHT / self.cells
        self._top = low[1] + 2 * HEIGHT / self.cells if view.upright else centred

    def at(self, point: Array) -> tuple[float, float]:
        """Column and row of a point [3]."""
        right, up = self.view.flat(point)
        return float((right - self._left) * self.cells), float((self._top - up) * self.cells / 2)


def _arm(sheet: Sheet, drawn: Figure, mark: str = "") -> None:
    """Foot, table, bones and joints."""
    canvas, view = sheet.canvas, sheet.view
    foot = drawn.solids[0][hull(view.flat(drawn.solids[0]))]
    for start, end in zip(foot, np.roll(foot, -1, axis=0), strict=True):
        canvas.line(sheet.at(start), sheet.at(end))
    if view.upright:
        row = int(sheet.at(np.zeros(3))[1])
        for column in range(canvas.width):
            if canvas.free(column, row, 1):
                canvas.write(column, row, "─")
    for start, end in (*drawn.bones, *drawn.jaws):
        canvas.line(sheet.at(start), sheet.at(end))
    for joint, spot in drawn.joints.items():
        column_, row_ = sheet.at(spot)
        canvas.write(int(column_), int(row_), "◉" if joint == mark else "●")


def _arrow(canvas: Canvas, way: Sequence[tuple[float, float]]) -> None:
    """A dotted way with a head."""
    across, down = way[-1][0] - way[-4][0], way[-1][1] - way[-4][1]
    head = ARROWS[round(math.atan2(-2 * down, across) / (math.pi / 4)) % 8]
    for column, row in way[3:-1:2]:
        canvas.dot(column, row)
    canvas.write(int(way[-1][0]), int(way[-1][1]), head)


def _label(canvas: Canvas, spot: tuple[float, float], text: str) -> None:
    """Beside the joint where there is room, as near as can be."""
    column, row = int(spot[0]), int(spot[1])
    places = [
        (column + 2 + far if right else column - 1 - far - len(text), row + step)
        for far in range(4)
        for step in (0, -1, 1, -2, 2)
        for right in (True, False)
    ]
    free = [place for place in places if canvas.free(place[0], place[1], len(text))]
    roomy = [place for place in free if canvas.free(place[0] - 1, place[1], len(text) + 2)]
    middle = min(max(column - len(text) // 2, 0), canvas.width - len(text))
    canvas.write(*(roomy or free or [(middle, max(0, row - 2))])[0], text)


def _beside(panels: Sequence[list[str]], captions: Sequence[str], width: int) -> str:
    rows = [(" " * GAP).join(parts).rstrip() for parts in zip(*panels, strict=True)]
    while rows and not rows[0].strip(" ⠀"):
        rows.pop(0)
    rows.append((" " * GAP).join(caption.ljust(width) for caption in captions).rstrip())
    return "\n".join(rows)


def _is_plain(asked: bool | None) -> bool:
    """As asked, else whether stdout's encoding lacks what a drawing needs."""
    if asked is not None:
        return asked
    encodings = [getattr(stream, "encoding", None) for stream in (sys.stdout, sys.__stdout__)]
    try:
        "⣿●◉─→".encode(next((name for name in encodings if name), "ascii"))
    except (UnicodeEncodeError, LookupError):
        return True
    return False
