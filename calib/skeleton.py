"""An arm in one pose as points and lines, and the three sides from which it is drawn. m, in the base's frame.

Takes a body and a pose q [D]; gives where its joints, bones, jaws and outlines are, by forward kinematics, and flat
coordinates of them for a view. Pure; knows no paper.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.kinematics.chain import forward, rotation, tcp
from firmware_bridge.kinematics.link import Body, Link

Array = npt.NDArray[np.float64]
TURN = 0.5  # rad by which a joint is turned to show where it goes
OPENING = 0.4  # the same for a gripper
CLEAR = 0.6  # of the best view's movement, that the side view must show to be preferred
STILL = 0.005  # m: a tip that moves less turns in place
ARC = 0.06  # m: radius of what is drawn for such a turn


@dataclass(frozen=True, slots=True)
class View:
    """One side: which way is right and which is up on paper."""

    name: str
    right: tuple[float, float, float]
    up: tuple[float, float, float]

    @property
    def upright(self) -> bool:
        """The table is a line."""
        return self.up == (0.0, 0.0, 1.0)

    def flat(self, points: Array) -> Array:
        """[..., 2] right and up, of points [..., 3]."""
        flat: Array = np.asarray(points) @ np.array([self.right, self.up]).T
        return flat


# x is forward, y left, z up: as one walks round the arm. The words are those of kinematics/directions.py.
SIDE = View("from its right side", (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
TOP = View("from above", (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
BEHIND = View("from behind", (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
VIEWS = (SIDE, TOP, BEHIND)


@dataclass(frozen=True, slots=True)
class Figure:
    """One pose."""

    bones: tuple[tuple[Array, Array], ...]  # from link to link, ends [3]
    jaws: tuple[tuple[Array, Array], ...]  # from where a jaw is held to its end
    joints: Mapping[str, Array]  # [3] where each joint sits
    tip: Array  # [3] the tool centre point
    solids: tuple[Array, ...]  # [N, 3] corners around each part, base first

    @property
    def points(self) -> Array:
        """[N, 3] everything that must be on the paper."""
        ends = [point for line in (*self.bones, *self.jaws) for point in line]
        return np.vstack([*ends, self.tip, self.solids[0]])


def figure(body: Body, q: Array) -> Figure:
    """The arm at pose `q` [D]."""
    pose = np.asarray(q, dtype=np.float64)[None]
    frames = forward(body, pose)[0]
    places = dict(zip(body.names, frames, strict=True))
    tip: Array = tcp(body, pose)[0, :3, 3]
    palm: Array = places[body.tip][:3, 3]
    fingers = {link.name for link in body.links if link.move is not None and link.move.joint == body.gripper}
    bones = tuple(
        (places[link.parent][:3, 3], places[link.name][:3, 3])
        for link in body.links
        if link.parent and link.name not in fingers
    )
    held = [link for link in body.links if link.name in fingers or (link.name == body.tip and len(fingers) == 1)]
    jaws = tuple(line for link in held for line in _jaw(link, places[link.name], palm, tip))
    joints: dict[str, Array] = {}
    for link in body.links:
        if link.move is not None:  # a gripper with two fingers sits at its palm
            spot = palm if link.move.slide else places[link.name][:3, 3]
            joints.setdefault(link.move.joint, spot)
    solids = tuple(_corners(link, places[link.name]) for link in body.links)
    return Figure(bones, jaws, joints, tip, solids)


def _jaw(link: Link, frame: Array, palm: Array, tip: Array) -> list[tuple[Array, Array]]:
    """From the palm over the jaw's root to its end: the middles of its outline's last points."""
    points = np.asarray(link.outline) @ frame[:3, :3].T + frame[:3, 3]
    root: Array = frame[:3, 3]
    along = np.linalg.norm(points - root, axis=1)
    if link.move is not None and link.move.slide:  # its frame is nowhere near its root
        along = (points - palm) @ (tip - palm)
        root = points[along <= np.quantile(along, 0.15)].mean(axis=0)
    end: Array = points[along >= np.quantile(along, 0.85)].mean(axis=0)
    return [(palm, root), (root, end)]


def _corners(link: Link, frame: Array) -> Array:
    """[N, 3] the corners of the link's boxes."""
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    boxes = [signs * box.half @ rotation(box.quat).T + np.asarray(box.centre) for box in link.boxes]
    corners: Array = np.vstack(boxes) @ frame[:3, :3].T + frame[:3, 3]
    return corners


def in_place(body: Body, q: Array, joint: str) -> bool:
    """Whether `joint` turns the gripper without moving its tip."""
    poses = np.tile(np.asarray(q, dtype=np.float64), (2, 1))
    poses[1, body.joints.index(joint)] += TURN
    before, after = tcp(body, poses)[:, :3, 3]
    return joint != body.gripper and float(np.linalg.norm(after - before)) < STILL


def trail(body: Body, q: Array, joint: str, way: int, steps: int = 24) -> Array:
    """[steps, 3]: where the point goes that `joint` moves most, when it turns that way (+1 or -1).

    What turns in place moves no point far: its way is an arc drawn around its axis.
    """
    size = OPENING if joint == body.gripper else TURN
    poses = np.tile(np.asarray(q, dtype=np.float64), (steps, 1))
    poses[:, body.joints.index(joint)] += np.linspace(0.0, way * size, steps)
    if in_place(body, q, joint):
        return _arc(tcp(body, poses)[:, :3, :3], figure(body, q), joint)
    drawn = [figure(body, pose) for pose in poses]
    ways = np.stack([np.vstack([one.tip, *(end for _, end in one.jaws)]) for one in drawn])  # [steps, points, 3]
    most = int(np.argmax(np.linalg.norm(ways[-1] - ways[0], axis=1)))
    moved: Array = ways[:, most]
    return moved


def _arc(turns: Array, drawn: Figure, joint: str) -> Array:
    """[steps, 3]: thrice the turn of `turns` [steps, 3, 3], ARC m around the gripper's axis, from its top on."""
    ahead = (drawn.tip - drawn.joints[joint]) / np.linalg.norm(drawn.tip - drawn.joints[joint])
    top = np.array((0.0, 0.0, 1.0) if abs(ahead[2]) < CLEAR else (0.0, 1.0, 0.0))
    start = top - ahead * (top @ ahead)
    once = turns @ turns[0].T
    arc: Array = drawn.joints[joint] + once @ once @ once @ (ARC * start / np.linalg.norm(start))
    return arc


def view_of(body: Body, q: Array, joint: str) -> View:
    """The side from which one sees `joint` move: its right side wherever that shows it."""
    if in_place(body, q, joint):  # one looks along the axis
        ahead = figure(body, q).tip - figure(body, q).joints[joint]
        return min(VIEWS, key=lambda view: float(np.linalg.norm(view.flat(ahead))))
    moved = trail(body, q, joint, 1, steps=3)
    return _clearest(moved[-1] - moved[0])


def view_between(body: Body, q: Array, other: Array) -> View:
    """The side from which the difference of two poses is seen best."""
    before, after = figure(body, q), figure(body, other)
    ways = [after.tip - before.tip, *(b[1] - a[1] for a, b in zip(before.jaws, after.jaws, strict=True))]
    return _clearest(max(ways, key=lambda way: float(np.linalg.norm(way))))


def _clearest(way: Array) -> View:
    seen = {view: float(np.linalg.norm(view.flat(way))) for view in VIEWS}
    best = max(VIEWS, key=lambda view: seen[view])
    return SIDE if seen[SIDE] >= CLEAR * seen[best] else best


def hull(points: Array) -> list[int]:
    """Which of the flat points [M, 2] are their convex outline, counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted(range(len(points)), key=lambda index: (points[index, 0], points[index, 1]))
    halves: list[int] = []
    for way in (ordered, ordered[::-1]):
        side: list[int] = []
        for index in way:
            while len(side) > 1 and _turn(points[side[-2]], points[side[-1]], points[index]) <= 1e-12:
                side.pop()
            side.append(index)
        halves += side[:-1]
    return halves


def _turn(a: Array, b: Array, c: Array) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
