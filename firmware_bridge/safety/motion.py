"""From a wish to the next command: one tick of motion inside an arm's envelope. Pure.

Takes where a command should go, the last command and the measured joints, all in rad (gripper 0..1);
gives the next command and what was cut from the wish. Knows nothing of servos, chunks or modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from firmware_bridge.safety.limits import Limits, limit

Array = npt.NDArray[np.float64]


class Clearance(Protocol):
    """How far an arm's links are from what they must not touch. Deterministic, no I/O."""

    @property
    def names(self) -> tuple[str, ...]:
        """[C] what each column means: "floor: gripper", "left forearm - right hand"."""

    def clearance(self, poses: Array) -> Array:
        """Free space of `poses` [K, D] (rad, gripper 0..1) as [K, C], m; negative = inside."""


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """A command: where, and how fast it was going there."""

    position: Array  # [D] rad, gripper 0..1
    velocity: Array  # [D] rad/s, gripper 1/s


@dataclass(frozen=True, slots=True, eq=False)
class Envelope:
    """What bounds a command."""

    limits: Limits
    acceleration: Array  # [D] rad/s^2, gripper 1/s^2
    lead: Array  # [D] rad, gripper 1: how far a command may run ahead of the measured joint
    dt: float  # s, one tick
    workspace: Clearance | None = None  # None: nothing around the arm is known


@dataclass(frozen=True, slots=True, eq=False)
class Advance:
    """The next command, and what was cut from the wish: "elbow_flex upper", "speed elbow_flex"."""

    motion: Motion
    cuts: tuple[str, ...]


def standing(position: Array) -> Motion:
    """A command at rest at `position` [D]."""
    return Motion(position.copy(), np.zeros_like(position))


def advance(wish: Array | None, last: Motion, measured: Array, envelope: Envelope) -> Advance:
    """The command one tick after `last`, towards `wish` [D] (None: come to rest).

    Raises ChunkRefused for a wish of a wrong size, with NaN or infinity.
    """
    limited = limit(last.position if wish is None else wish, last.position, envelope.limits, envelope.dt)
    velocity = (limited.target - last.position) / envelope.dt
    return Advance(Motion(limited.target, velocity), limited.clamped)
