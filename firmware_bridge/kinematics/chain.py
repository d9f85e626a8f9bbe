"""Forward kinematics: where all links of an arm are in many poses at once. Pure numpy.

Takes a `Body` and poses q [K, D]; gives transforms [K, L, 4, 4] in the frame of the arm's base (or of the
world, where the base is given). Knows nothing of limits, boxes or masses.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.kinematics.link import Body, Link, Quaternion, Vector

Array = npt.NDArray[np.float64]


def rotation(quat: Quaternion) -> Array:
    """The matrix [3, 3] of a quaternion w x y z of any length but 0."""
    w, x, y, z = np.asarray(quat, dtype=np.float64) / np.linalg.norm(quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def placed(position: Vector, yaw: float = 0.0) -> Array:
    """The transform [4, 4] of a base that stands upright at `position`, turned by `yaw` about z."""
    transform = np.eye(4)
    transform[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    transform[:3, 3] = position
    return transform


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """A body as arrays: a link's transform is linear in (1, sin, cos, slide) of its joint's value."""

    parents: tuple[int, ...]  # [L], -1 for the base
    columns: npt.NDArray[np.intp]  # [L] which joint of q moves the link; any where none does
    scale: Array  # [L] 0 where none does
    offset: Array  # [L]
    turns: Array  # [L] 1 where the value is an angle
    slides: Array  # [L] 1 where it is a distance
    basis: Array  # [L, 4, 16]


@functools.cache
def chain_of(body: Body) -> Chain:
    """The arrays of `body`, computed once."""
    names, joints = body.names, body.joints
    moves = [link.move for link in body.links]
    return Chain(
        parents=tuple(names.index(link.parent) if link.parent else -1 for link in body.links),
        columns=np.array([joints.index(move.joint) if move else 0 for move in moves], dtype=np.intp),
        scale=np.array([move.scale if move else 0.0 for move in moves]),
        offset=np.array([move.offset if move else 0.0 for move in moves]),
        turns=np.array([float(move is not None and not move.slide) for move in moves]),
        slides=np.array([float(move is not None and move.slide) for move in moves]),
        basis=np.stack([_basis(link) for link in body.links]),
    )


def _basis(link: Link) -> Array:
    """[4, 16]: what 1, sin, cos and slide each add to the link's transform (Rodrigues' formula)."""
    fixed = np.eye(4)
    fixed[:3, :3] = rotation(link.quat)
    fixed[:3, 3] = link.position
    cross = np.zeros((4, 4))
    shift = np.zeros((4, 4))
    if link.move is not None:
        x, y, z = link.move.axis
        cross[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
        shift[:3, 3] = link.move.axis
    parts = [fixed @ (np.eye(4) + cross @ cross), fixed @ cross, -fixed @ cross @ cross, fixed @ shift]
    return np.stack(parts).reshape(4, 16)


def forward(body: Body, q: Array, base: Array | None = None) -> Array:
    """Transforms [K, L, 4, 4] of every link at poses `q` [K, D], in the frame in which `base` [4, 4] stands."""
    chain = chain_of(body)
    value = q[:, chain.columns] * chain.scale + chain.offset
    angle = value * chain.turns
    features = np.stack((np.ones_like(value), np.sin(angle), np.cos(angle), value * chain.slides), axis=-1)
    links, poses = len(chain.parents), len(q)
    local = np.matmul(features.transpose(1, 0, 2), chain.basis).reshape(links, poses, 4, 4)
    world = np.empty_like(local)
    for index, parent in enumerate(chain.parents):
        if parent >= 0:
            np.matmul(world[parent], local[index], out=world[index])
        elif base is None:
            world[index] = local[index]
        else:
            np.matmul(base, local[index], out=world[index])
    poses_first: Array = world.transpose(1, 0, 2, 3)
    return poses_first


def tcp(body: Body, q: Array, base: Array | None = None) -> Array:
    """The tool centre point's transforms [K, 4, 4] at poses `q` [K, D]; its axes are the tip link's."""
    tip: Array = forward(body, q, base)[:, body.names.index(body.tip)].copy()
    tip[:, :3, 3] += tip[:, :3, :3] @ np.asarray(body.tcp)
    return tip
