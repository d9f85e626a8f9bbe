"""An arm as data: its links, what moves them, what they weigh and the boxes that enclose them. m, rad, kg.

A `Body` is one arm. Its joints are ours (arm frame: rad from the middle of an SO arm's range, a YAM's own
motor angles, grippers 0 closed to 1 open); each `Move` says what a joint of ours is to the model.
Knows nothing of transforms: chain.py computes, so101.py, so100.py and yam.py hold the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]  # w x y z; need not have length 1
UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Box:
    """A solid box in its link's frame."""

    centre: Vector  # m
    half: Vector  # m, half of each edge, > 0
    quat: Quaternion = UPRIGHT


@dataclass(frozen=True, slots=True)
class Move:
    """What a joint does to a link: model value = scale * joint + offset, about or along `axis`."""

    joint: str
    axis: Vector = (0.0, 0.0, 1.0)  # in the link's own frame, length 1
    slide: bool = False  # along the axis in m, instead of about it in rad
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Link:
    """One rigid part; its frame is its joint's when the model's value is 0."""

    name: str
    parent: str  # "" for the base
    position: Vector  # m, in the parent's frame
    quat: Quaternion
    move: Move | None
    mass: float  # kg
    com: Vector  # m, centre of mass in its own frame
    boxes: tuple[Box, ...]  # which enclose it
    outline: tuple[Vector, ...] = ()  # points, see outlines.py; () where boxes will do


@dataclass(frozen=True, eq=False)  # by identity: what is computed once for a body is kept by it
class Body:
    """One arm, base first, parents before children."""

    name: str
    joints: tuple[str, ...]  # [D] the order of every q
    links: tuple[Link, ...]  # [L]
    gripper: str  # the joint that is 0..1 and carries nothing worth holding
    tip: str  # the link that carries the tool centre point
    tcp: Vector  # m, in that link's frame
    straight: tuple[float, ...]  # [D] a pose that people recognise, for directions.py
    never: tuple[tuple[str, str], ...] = ()  # pairs of links that cannot meet, or do not by their boxes' fault

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(link.name for link in self.links)
