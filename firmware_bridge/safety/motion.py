"""From a wish to the next command: one tick of motion inside an arm's envelope. Pure.

Takes where a command should go, the last command and the measured joints, all in rad (gripper 0..1);
gives the next command and what was cut from the wish. Knows nothing of servos, chunks or modes.

The first of these velocities that `_blocked` has nothing against is taken:
exact (at the wish in one tick), towards it (braking.approach), along what is in the way (slide.py), towards
it at a half and a quarter, brake, stop.
Whatever was commanded could brake to rest inside the bounds and clear of the workspace, so its brake is
open in the next tick: bounds are never left, and a command stops harder than its acceleration only where
the arm does not follow (lead) or where the workspace was sampled too coarsely to know before.
A start outside (moved by hand) may only come back: "inside" for each limit is at least where the command is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ChunkRefused, ConfigError, sentence
from firmware_bridge.safety.braking import approach, braked, trail
from firmware_bridge.safety.limits import Limits
from firmware_bridge.safety.slide import slide

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
SLOWER = (0.5, 0.25)  # parts of the wanted velocity that are tried where something is in the way
SLACK = 1e-9  # rad, m: rounding, by which a braking path may seem to end outside
_ROUNDING = 1.0 + 1e-9
_THERE = 1e-6  # rad, gripper 0..1: as near to its lead a joint is at it


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
    """What bounds a command. Raises ConfigError for numbers that are not > 0."""

    limits: Limits
    acceleration: Array  # [D] rad/s^2, gripper 1/s^2
    lead: Array  # [D] rad, gripper 1: how far a command may run ahead of the measured joint
    dt: float  # s, one tick
    workspace: Clearance | None = None  # None: nothing around the arm is known
    alone: Mask | None = None  # [D] joints that may stall without stopping the others: grippers; None: none

    def __post_init__(self) -> None:
        rows = {"speed": self.limits.speed, "acceleration": self.acceleration, "lead": self.lead}
        for name, row in rows.items():
            for joint, value in zip(self.limits.joints, row, strict=True):
                if not (math.isfinite(value) and value > 0.0):
                    raise ConfigError(sentence(f"{name} of {joint}", expected="a number > 0", got=float(value)))


@dataclass(frozen=True, slots=True, eq=False)
class Advance:
    """The next command, and what was cut from the wish: "elbow_flex upper", "speed elbow_flex"."""

    motion: Motion
    cuts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Try:
    velocity: Array  # [D]
    end: Array | None = None  # [D] exactly here
    cut: str = ""  # what kept it from being exact
    slack: float = SLACK


def standing(position: Array) -> Motion:
    """A command at rest at `position` [D]."""
    return Motion(position.copy(), np.zeros_like(position))


def advance(
    wish: Array | None, last: Motion, measured: Array, envelope: Envelope, pace: Array | None = None
) -> Advance:
    """The command one tick after `last`, towards `wish` [D] (None: come to rest).

    `pace` [D] is the velocity with which the wish itself moves: with it a moving wish is met and then
    followed, without it every wish is approached as a place to stop at.
    Raises ChunkRefused for anything of a wrong size, with NaN or infinity.
    """
    cuts: list[str] = []
    tries = _braking(last, envelope)
    _check(last.position, last.velocity, measured)
    if wish is not None:
        pace = np.zeros_like(wish) if pace is None else pace
        _check(last.position, wish, pace)
        end = _inside(wish, last.position, measured, envelope, cuts)
        tries = _towards(end, np.where(end == wish, pace, 0.0), last, envelope)
    for attempt in tries:
        velocity, led = _lead(attempt.velocity, last.position, measured, envelope)
        if attempt.end is not None and led:
            continue
        position = last.position + velocity * envelope.dt if attempt.end is None else attempt.end
        blocked = _blocked(Motion(position, velocity), last.position, envelope, attempt.slack)
        if not blocked:
            cuts += led or [attempt.cut]
            return Advance(Motion(np.clip(position, *_bounds(last.position, envelope)), velocity), _named(cuts))
        cuts.append(blocked)
    return Advance(standing(last.position), _named(cuts))


def _named(cuts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cut for cut in cuts if cut))


def _check(one: Array, *others: Array) -> None:
    for row in (one, *others):
        if row.shape != one.shape or not np.isfinite(row).all():
            raise ChunkRefused(sentence("a target", expected=f"{len(one)} finite numbers", got=row.tolist()))


# -- where to


def _inside(wish: Array, position: Array, measured: Array, envelope: Envelope, cuts: list[str]) -> Array:
    """The nearest place to `wish` that may be wished for; names what was cut.

    A joint that is further from its measured place than its lead is asked back, and one that may stall
    alone is asked no further once it is there. For the others the lead cuts only the step (`_lead`):
    clipping their wish would bend the path of an arm that lags as every arm does.
    """
    limits = envelope.limits
    inside = np.clip(wish, limits.lower, limits.upper)
    cuts += [f"{limits.joints[index]} upper" for index in np.flatnonzero(wish > limits.upper)]
    cuts += [f"{limits.joints[index]} lower" for index in np.flatnonzero(wish < limits.lower)]
    ahead = np.abs(position - measured)
    held = ahead > envelope.lead
    if envelope.alone is not None:
        held = held | (envelope.alone & (ahead > envelope.lead - _THERE))
    near = np.clip(np.clip(inside, measured - envelope.lead, measured + envelope.lead), limits.lower, limits.upper)
    cuts += [f"lead {limits.joints[index]}" for index in np.flatnonzero(held & (near != inside))]
    return np.where(held, near, inside)


# -- how fast, in the order of preference


def _towards(end: Array, pace: Array, last: Motion, envelope: Envelope) -> Iterator[_Try]:
    limits, dt = envelope.limits, envelope.dt
    most = envelope.acceleration * dt
    exact = (end - last.position) / dt
    reachable = bool((np.abs(exact) <= limits.speed * _ROUNDING).all())
    # From what it has, and to the wish's own velocity: arriving faster would only carry it over.
    for known in (last.velocity, pace):
        reachable = reachable and bool((np.abs(exact - known) <= most * _ROUNDING).all())
    if reachable:
        yield _Try(exact, end)
    wanted = pace + approach(end - pace * dt - last.position, envelope.acceleration, dt)
    fast = np.abs(wanted) / limits.speed
    wanted = wanted / max(1.0, fast.max())
    hard = np.abs(wanted - last.velocity) / most
    cut = ""
    if not reachable:
        fastest = fast.max() > 1.0 and hard.max() <= 1.0
        cut = f"speed {limits.joints[fast.argmax()]}" if fastest else f"acceleration {limits.joints[hard.argmax()]}"
    yield _Try(_changed(last.velocity, wanted, most), cut=cut)
    if envelope.workspace is not None:
        along = slide(wanted, last.position, envelope.workspace)
        along = along / max(1.0, (np.abs(along) / limits.speed).max())
        yield _Try(_changed(last.velocity, along, most), cut=cut)
    for part in SLOWER:
        yield _Try(_changed(last.velocity, part * wanted, most), cut=cut)
    yield from _braking(last, envelope)


def _changed(velocity: Array, wanted: Array, most: Array) -> Array:
    """As far from `velocity` to `wanted` as one tick allows, all joints together."""
    change = wanted - velocity
    part = 1.0 / max(1.0, float((np.abs(change) / most).max()))
    return velocity + change * part


def _braking(last: Motion, envelope: Envelope) -> Iterator[_Try]:
    # What was allowed with SLACK a tick ago must not fail by another rounding now.
    yield _Try(braked(last.velocity, envelope.acceleration, envelope.dt), slack=10.0 * SLACK)


# -- what is in the way


def _bounds(position: Array, envelope: Envelope) -> tuple[Array, Array]:
    """The limits, widened to where the command is already."""
    limits = envelope.limits
    return np.minimum(limits.lower, position), np.maximum(limits.upper, position)


def _lead(velocity: Array, position: Array, measured: Array, envelope: Envelope) -> tuple[Array, list[str]]:
    """`velocity` [D] such that no joint's lead grows beyond its limit, and the joints that were held back.

    All joints are slowed together, but for those that may stall alone.
    """
    step = velocity * envelope.dt
    ahead = np.maximum(measured + envelope.lead, position) - position
    behind = position - np.minimum(measured - envelope.lead, position)
    room = np.where(step > 0.0, ahead, behind)
    over = np.abs(step) > room + SLACK
    if not over.any():
        return velocity, []
    part = np.divide(room, np.abs(step), out=np.ones_like(step), where=over)
    alone = np.zeros_like(over) if envelope.alone is None else envelope.alone
    together = float(part[~alone].min(initial=1.0))
    names = [f"lead {envelope.limits.joints[index]}" for index in np.flatnonzero(over)]
    return velocity * np.where(alone, np.minimum(part, together), together), names


def _blocked(motion: Motion, position: Array, envelope: Envelope, slack: float) -> str:
    """What `motion`, or braking from it, would run into; "" for nothing."""
    limits = envelope.limits
    factors = trail(motion.velocity, envelope.acceleration, envelope.dt)
    path = motion.position + np.append(0.0, factors)[:, None] * motion.velocity
    low, high = _bounds(position, envelope)
    for name, outside in (("upper", path[-1] > high + slack), ("lower", path[-1] < low - slack)):
        if outside.any():
            return f"{limits.joints[outside.argmax()]} {name}"
    if envelope.workspace is None or not motion.velocity.any():
        return ""
    path[0] = np.clip(path[0], low, high)  # as it will be commanded
    free = envelope.workspace.clearance(np.vstack([position, path]))
    # Written so that a clearance that is no number is in the way.
    clear = (free[1:] >= np.minimum(free[0], -slack)).all(axis=0)
    return "" if clear.all() else envelope.workspace.names[int((~clear).argmax())]
