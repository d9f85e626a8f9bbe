"""What the virtual servos' shafts do: the contract of a world, and the simplest one.

Takes what each servo's motor wants (Drive), gives where its shaft is (Motion). A physics engine stands
behind the same servos by implementing `World`: one method. Time is passed in. Knows nothing of frames.
"""

from __future__ import annotations

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


class World(Protocol):
    """Bodies that the shafts move. Must be cheap: it is advanced at each request on the bus."""

    def advance(self, now: float, drives: Sequence[Drive]) -> Sequence[Motion]:
        """Let time pass until `now` (monotonic s), one Drive and one Motion per joint."""


STEP_S = 0.005
LAG_S = 0.03  # a servo's own position loop, as a first-order lag
FALL_LAG_S = 0.4
FALL_SPEED = 1500.0  # ticks/s of a limp arm
LOAD_PER_TICK = 0.0002  # gravity's part of the load, growing with the distance from rest
MAX_STEPS = 2000  # 10 s; whoever sleeps longer finds a world at rest


class FirstOrderWorld:
    """Each joint for itself: limited speed and acceleration, a lag, and a pose it falls to when limp."""

    def __init__(self, start: Sequence[float], rest: Sequence[float] | None = None) -> None:
        """`start` and `rest` in shaft ticks; `rest` defaults to `start`: an arm that lies on the table."""
        self._rest = list(start if rest is None else rest)
        self._motions = [Motion(float(position), 0.0, 0.0) for position in start]
        self._now: float | None = None

    def advance(self, now: float, drives: Sequence[Drive]) -> Sequence[Motion]:
        elapsed = 0.0 if self._now is None else max(0.0, now - self._now)
        self._now = now
        steps = min(MAX_STEPS, int(elapsed / STEP_S) + 1) if elapsed else 0
        for index, drive in enumerate(drives):
            motion = self._motions[index]
            for _ in range(steps):
                after = _step(motion, drive, self._rest[index], elapsed / steps)
                if after == motion:
                    break
                motion = after
            self._motions[index] = motion
        return list(self._motions)

    def place(self, index: int, position: float) -> None:
        """Put a shaft somewhere by hand, in shaft ticks."""
        self._motions[index] = Motion(float(position), 0.0, 0.0)


def _step(motion: Motion, drive: Drive, rest: float, dt: float) -> Motion:
    target, lag, limit = (
        (drive.target, LAG_S, drive.max_speed * min(1.0, 2.0 * drive.effort))
        if drive.torque
        else (rest, FALL_LAG_S, FALL_SPEED)
    )
    error = target - motion.position
    wanted = max(-limit, min(limit, error / max(lag, dt)))
    change = drive.acceleration * dt
    velocity = motion.velocity + max(-change, min(change, wanted - motion.velocity))
    if abs(velocity * dt) >= abs(error) and velocity * error >= 0:
        velocity = wanted  # arrives: never overshoots for want of a finer step
    position = motion.position + velocity * dt
    if abs(target - position) < 0.01:
        position, velocity = target, 0.0
    gravity = (position - rest) * LOAD_PER_TICK if drive.torque else 0.0
    load = max(-1.0, min(1.0, gravity + velocity / 20000.0))
    return Motion(position, velocity, load)
