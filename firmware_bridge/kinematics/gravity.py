"""The torque that holds an arm against gravity, from its links' masses. Pure numpy; the base stands upright.

Takes a `Body` and one pose q [D]; gives N m at the joints [D]. Applied as it is, it holds the arm. Knows
nothing of motors, friction or loads in the gripper.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.kinematics.chain import chain_of, forward
from firmware_bridge.kinematics.link import Body

Array = npt.NDArray[np.float64]
GRAVITY = 9.80665  # m/s^2, standard


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """A body's masses, ready to be multiplied."""

    mass: Array  # [L] kg
    com: Array  # [L, 4, 1] m, with a 1
    carried: Array  # [D, L] 1 where the joint carries the link
    total: Array  # [D, 1] kg carried
    movers: npt.NDArray[np.intp]  # [D] the first link that the joint moves
    axes: Array  # [D, 3, 1] of that link, times the joint's scale; 0 for a slide, which holds nothing here


@functools.cache
def _weights(body: Body) -> _Weights:
    chain = chain_of(body)
    mass = np.array([link.mass for link in body.links])
    com = np.array([(*link.com, 1.0) for link in body.links])[:, :, None]
    movers = [next(i for i, link in enumerate(body.links) if link.move and link.move.joint == j) for j in body.joints]
    carried = np.zeros((len(body.joints), len(body.links)))
    for row, mover in enumerate(movers):
        for index in range(len(body.links)):
            above = index
            while above not in (mover, -1):
                above = chain.parents[above]
            carried[row, index] = above == mover
    axes = np.zeros((len(body.joints), 3, 1))
    for row, mover in enumerate(movers):
        move = body.links[mover].move
        assert move is not None
        if not move.slide and move.joint != body.gripper:
            axes[row, :, 0] = np.asarray(move.axis) * move.scale
    return _Weights(mass, com, carried, carried @ mass[:, None], np.array(movers, dtype=np.intp), axes)


def gravity_torque(body: Body, q: Array) -> Array:
    """Torques [D] in N m that hold `body` at pose `q` [D]; 0 for the gripper.

    The moment of the weight that a joint carries about its axis, with the sign turned:
    tau_j = dU/dq_j of the potential energy U = g * sum(m z).
    """
    weights = _weights(body)
    transforms = forward(body, q[None])[0]
    points = np.matmul(transforms, weights.com)[:, :2, 0] * weights.mass[:, None]
    frames = transforms[weights.movers]
    arm = weights.carried @ points - weights.total * frames[:, :2, 3]  # kg m, from the joint to what it carries
    axis = np.matmul(frames[:, :2, :3], weights.axes)[:, :, 0]
    torque: Array = GRAVITY * (axis[:, 0] * arm[:, 1] - axis[:, 1] * arm[:, 0])
    return torque


def potential_energy(body: Body, q: Array) -> Array:
    """U [K] in J at poses `q` [K, D], zero at the base's height: the slow truth of `gravity_torque`."""
    heights = np.matmul(forward(body, q), _weights(body).com)[:, :, 2, 0]
    energy: Array = GRAVITY * heights @ _weights(body).mass
    return energy
