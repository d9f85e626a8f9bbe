"""What the virtual servos' shafts do: the contract of a world, and the simplest one.

Takes what each servo's motor wants (Drive), gives where its shaft is (Motion). A physics engine stands
behind the same servos by implementing `World`: one method. Time is passed in. Knows nothing of frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Drive:
    """What one servo's controller wants of its motor."""

    torque: bool  # False: the shaft turns freely
    target: float  # shaft ticks, unwrapped
    max_speed: float  # ticks/s
    acceleration: float  # ticks/s^2
    effort: float  # 0..1 of full torque


@dataclass(frozen=True, slots=True)
class Motion:
    """What one servo's sensors see."""

    position: float  # shaft ticks, unwrapped
    velocity: float  # ticks/s
    load: float  # -1..1 of full duty


@dataclass(frozen=True, slots=True)
class Place:
    """Where one shaft is, in shaft ticks."""

    rest: float  # where gravity pulls it
    weight: float  # load per tick away from there
    low: float  # walls
    high: float


class World(Protocol):
    """Bodies that the shafts move. Must be cheap: it is advanced at each request on the bus."""

    def advance(self, now: float, drives: Sequence[Drive]) -> Sequence[Motion]:
        """Let time pass until `now` (monotonic s), one Drive and one Motion per joint."""


STEP_S = 0.005
LAG_S = 0.03  # a servo's own position loop, as a first-order lag
FALL_LAG_S = 0.4
FALL_SPEED = 1500.0  # ticks/s of a limp arm
LOAD_PER_TICK = 0.0002  # gravity's part of the load, growing with the distance from rest
LOAD_PER_SPEED = 1 / 20000.0
STIFFNESS = 0.004  # duty per tick of a blocked shaft's error: full duty 22 degrees off
MAX_STEPS = 2000  # 10 s; whoever sleeps longer finds a world at rest
FREE = (-math.inf, math.inf)


class FirstOrderWorld:
    """Each joint for itself: limited speed and acceleration, a lag, gravity towards a pose of rest, obstacles."""

    def __init__(
        self, start: Sequence[float], rest: Sequence[float] | None = None, weights: Sequence[float] | None = None
    ) -> None:
        """`start` and `rest` in shaft ticks; `rest` defaults to `start`: an arm that lies on the table.

        `weights`: load per tick away from rest, of each joint; a motor weaker than that sinks.
        """
        self._rest = list(start if rest is None else rest)
        self._weights = list(weights) if weights is not None else [LOAD_PER_TICK] * len(self._rest)
        self._motions = [Motion(float(position), 0.0, 0.0) for position in start]
        self._walls = [FREE] * len(self._rest)
        self._now: float | None = None

    def advance(self, now: float, drives: Sequence[Drive]) -> Sequence[Motion]:
        elapsed = 0.0 if self._now is None else max(0.0, now - self._now)
        self._now = now
        if elapsed:
            steps = min(MAX_STEPS, int(elapsed / STEP_S) + 1)
            for index, drive in enumerate(drives):
                low, high = self._walls[index]
                place = Place(self._rest[index], self._weights[index], low, high)
                self._motions[index] = glide(self._motions[index], drive, place, steps, elapsed / steps)
        return list(self._motions)

    def place(self, index: int, position: float) -> None:
        """Put a shaft somewhere by hand, in shaft ticks."""
        self._motions[index] = Motion(float(position), 0.0, 0.0)

    def block(self, index: int, position: float | None) -> None:
        """An obstacle at `position` (shaft ticks): the shaft cannot pass it from where it is. None: gone."""
        if position is None:
            self._walls[index] = FREE
        elif self._motions[index].position <= position:
            self._walls[index] = (-math.inf, float(position))
        else:
            self._walls[index] = (float(position), math.inf)


def glide(was: Motion, drive: Drive, place: Place, steps: int, dt: float) -> Motion:
    """`steps` steps of `dt` s of one shaft: towards its target, or limp towards its rest; walls end it."""
    position, velocity = was.position, was.velocity
    rest, weight, low, high = place.rest, place.weight, place.low, place.high
    powered = drive.torque and drive.effort > 0.0
    target, lag, limit = rest, FALL_LAG_S, FALL_SPEED
    if powered:
        reach = drive.effort / weight if weight else math.inf  # further from rest it is too weak to hold
        target = min(max(drive.target, rest - reach), rest + reach)
        lag, limit = LAG_S, drive.max_speed * min(1.0, 2.0 * drive.effort)
    if position == target and velocity == 0.0 and low <= position <= high:
        steps = 0
    change = drive.acceleration * dt
    blocked = False
    for _ in range(steps):
        error = target - position
        wanted = max(-limit, min(limit, error / max(lag, dt)))
        velocity += max(-change, min(change, wanted - velocity))
        if abs(velocity * dt) >= abs(error) and velocity * error >= 0:
            velocity = wanted  # arrives: never overshoots for want of a finer step
        position += velocity * dt
        if abs(target - position) < 0.01:
            position, velocity = target, 0.0
        blocked = not low <= position <= high
        if blocked:
            position, velocity = min(max(position, low), high), 0.0
        if velocity == 0.0 and (position == target or blocked):
            break
    load = (position - rest) * weight + velocity * LOAD_PER_SPEED if powered else velocity * LOAD_PER_SPEED
    if powered and blocked:
        load = (drive.target - position) * STIFFNESS
    effort = drive.effort if powered else 1.0
    return Motion(position, velocity, max(-effort, min(effort, load)))
