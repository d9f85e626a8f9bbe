"""A world of joints between mechanical stops: limp they stay where a hand leaves them, pushed they show load.

A joint is a link, the shaft of a servo on it, and what is between them: `Joint` says how the two meet and what is
worn. Takes Drives and hands, gives Motions (the contract of virtual_world.py); time is passed in. Beside
FirstOrderWorld: limp joints do not fall (friction), stops are walls, motors may stick and have play. Knows
nothing of registers and buses.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firmware_bridge.sts.registers import TICKS_PER_TURN
from firmware_bridge.sts.virtual_world import (
    FREE,
    MAX_STEPS,
    STEP_S,
    STIFFNESS,
    Drive,
    Motion,
    Place,
    glide,
)

TICKS_PER_DEGREE = TICKS_PER_TURN / 360.0


@dataclass(frozen=True, slots=True)
class Joint:
    """One joint. Degrees are the link's, from the zero of the arm's model."""

    name: str
    stops: tuple[float, float]  # degrees
    anchor: tuple[float, float]  # degrees and shaft ticks that belong together
    sign: int = 1  # -1: the servo turns the other way
    start: float = 0.0  # degrees
    rest: float = 0.0  # degrees, where gravity pulls it
    weight: float = 0.0  # load per tick away from there
    stick: float = 0.0  # degrees of error from which on its motor starts
    play: float = 0.0  # degrees between motor and link; the sensor sits on the link

    def shaft(self, degrees: float) -> float:
        """Shaft ticks, unwrapped."""
        return self.anchor[1] + self.sign * (degrees - self.anchor[0]) * TICKS_PER_DEGREE

    def degrees(self, shaft: float) -> float:
        return self.anchor[0] + self.sign * (shaft - self.anchor[1]) / TICKS_PER_DEGREE

    @property
    def walls(self) -> tuple[float, float]:
        """Shaft ticks of the stops, the lower first."""
        low, high = sorted(self.shaft(stop) for stop in self.stops)
        return low, high


@dataclass(frozen=True, slots=True)
class Hand:
    """Somebody moves a limp joint."""

    to: float  # shaft ticks
    speed: float  # ticks/s


class JointedWorld:
    """Joints for themselves; see the file's head."""

    def __init__(self, joints: Sequence[Joint]) -> None:
        self.joints = tuple(joints)
        self._index = {joint.name: index for index, joint in enumerate(self.joints)}
        self._hands: list[Hand | None] = [None] * len(self.joints)
        self._obstacles = [FREE] * len(self.joints)
        self._motors = [Motion(_clamp(joint.shaft(joint.start), *joint.walls), 0.0, 0.0) for joint in self.joints]
        self._links = list(self._motors)  # as the sensors see them
        self._now = -math.inf

    def advance(self, now: float, drives: Sequence[Drive]) -> Sequence[Motion]:
        elapsed = max(0.0, now - self._now) if math.isfinite(self._now) else 0.0
        self._now = max(self._now, now)
        if elapsed:
            for index, drive in enumerate(drives):
                if drive.torque and drive.effort > 0.0:
                    self._hands[index] = None  # nobody moves a powered joint: the hand lets go
                    self._drive(index, drive, elapsed)
                else:
                    self._push(index, elapsed)
        return list(self._links)

    # -- hands

    def hand(self, degrees: Mapping[str, float], speed: float) -> None:
        """Limp joints go towards `degrees` at `speed` (degrees/s) and stay there, or at their stop."""
        for name, angle in degrees.items():
            index = self.index(name)
            joint = self.joints[index]
            self._hands[index] = Hand(_clamp(joint.shaft(angle), *joint.walls), speed * TICKS_PER_DEGREE)

    @property
    def handled(self) -> bool:
        """Whether a hand still moves something."""
        return any(hand is not None for hand in self._hands)

    def angle(self, name: str) -> float:
        """Degrees of the link."""
        index = self.index(name)
        return self.joints[index].degrees(self._links[index].position)

    def index(self, name: str) -> int:
        """Which row `name` is. Raises ValueError."""
        if name not in self._index:
            raise ValueError(f"no joint {name}: {', '.join(self._index)}")
        return self._index[name]

    def place(self, index: int, position: float) -> None:
        """Put a shaft somewhere at once, in shaft ticks."""
        self._hands[index] = None
        self._motors[index] = self._links[index] = Motion(_clamp(position, *self._walls(index)), 0.0, 0.0)

    def block(self, index: int, position: float | None) -> None:
        """An obstacle at `position` (shaft ticks): the shaft cannot pass it from where it is. None: gone."""
        if position is None:
            self._obstacles[index] = FREE
        elif self._links[index].position <= position:
            self._obstacles[index] = (-math.inf, float(position))
        else:
            self._obstacles[index] = (float(position), math.inf)

    # -- motion

    def _walls(self, index: int) -> tuple[float, float]:
        (low, high), (near, far) = self.joints[index].walls, self._obstacles[index]
        return max(low, near), min(high, far)

    def _push(self, index: int, elapsed: float) -> None:
        """A limp joint: friction holds it, or a hand moves it and drags its motor along."""
        link, hand = self._links[index].position, self._hands[index]
        moved = link
        if hand is not None:
            goal = _clamp(hand.to, *self._walls(index))
            moved = link + _clamp(goal - link, -hand.speed * elapsed, hand.speed * elapsed)
            if moved == goal:
                self._hands[index] = None
        half = self._half_play(index)
        self._links[index] = Motion(moved, (moved - link) / elapsed, 0.0)
        self._motors[index] = Motion(_clamp(self._motors[index].position, moved - half, moved + half), 0.0, 0.0)

    def _drive(self, index: int, drive: Drive, elapsed: float) -> None:
        """A powered joint: the motor goes for its target, the link follows when the play is used up."""
        joint, was = self.joints[index], self._motors[index]
        half, (low, high) = self._half_play(index), self._walls(index)
        error = drive.target - was.position
        stuck = was.velocity == 0.0 and 0.0 < abs(error) < joint.stick * TICKS_PER_DEGREE
        wanted = dataclasses.replace(drive, target=was.position) if stuck else drive
        place = Place(joint.shaft(joint.rest), joint.weight, low - half, high + half)
        steps = min(MAX_STEPS, int(elapsed / STEP_S) + 1)
        motor = self._motors[index] = glide(was, wanted, place, steps, elapsed / steps)
        before = self._links[index].position
        link = _clamp(_clamp(before, motor.position - half, motor.position + half), low, high)
        pull = STIFFNESS * error if stuck else 0.0
        load = _clamp(motor.load + pull, -drive.effort, drive.effort)
        velocity = motor.velocity if link != before else 0.0
        self._links[index] = Motion(link, velocity, load)

    def _half_play(self, index: int) -> float:
        return self.joints[index].play * TICKS_PER_DEGREE / 2.0


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
