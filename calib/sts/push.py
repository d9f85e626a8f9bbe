"""One joint driven towards a stop: where its goal is next, and whether it stands against something.

Takes the time, where the joint is (ticks, unwrapped) and the load its motor shows; gives a goal, until it has stopped.
The goal runs ahead of the joint by a few degrees only, so that whatever is in the way is pushed, not struck.
Pure; writes no goal.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_bridge.errors import ServoWrong, sentence
from firmware_bridge.sts.travel import DEGREES_PER_TICK

LEAD_DEG = 4.0  # ahead of a joint that moves
PUSH_DEG = 15.0  # ahead of one that does not
PROGRESS_DEG = 0.4  # less within STALL_S is none
LOADED = 0.5  # of the torque limit: a motor that pushes
IDLE = 4.0  # times stall_s without progress and without load


@dataclass(frozen=True, slots=True)
class Gentle:
    """How slowly, and when it is given up."""

    speed_deg_s: float = 30.0
    stall_s: float = 0.5
    longest_s: float = 25.0
    release_s: float = 2.0
    hottest_c: float = 60.0
    current_a: float = 2.0


@dataclass(slots=True)
class Push:
    """One way of one joint, from `start`. `step` until it gives None: then it stands."""

    joint: str
    way: int
    start: float  # ticks
    began: float  # s
    farthest: float  # ticks from `start`, beyond which no such joint can turn
    limit: float  # part of the full torque
    gentle: Gentle
    goal: float = 0.0
    _best: float = 0.0  # the farthest it got, ticks from start
    _best_at: float = 0.0
    _at: float = 0.0

    def __post_init__(self) -> None:
        self.goal, self._best_at, self._at = self.start, self.began, self.began

    def step(self, now: float, position: float, load: float) -> float | None:
        """The goal for now (ticks), None when it stands. Raises ServoWrong."""
        gone = self.way * (position - self.start)
        if gone > self._best + PROGRESS_DEG / DEGREES_PER_TICK:
            self._best, self._best_at = gone, now
        if gone > self.farthest:
            what = f"{self.joint} turned {gone * DEGREES_PER_TICK:.0f} degrees from the pose and met no stop"
            do = "start in the pose as drawn; a horn without its screw, or another joint's motor, does this too"
            raise ServoWrong(sentence(what, expected=f"{self.farthest * DEGREES_PER_TICK:.0f} at most", do=do))
        if now - self.began > self.gentle.longest_s:
            what = f"{self.joint} still moves after {self.gentle.longest_s:.0f} s"
            raise ServoWrong(sentence(what, expected="a stop", do="see what it does; sweep by hand, without --drive"))
        idle_s = now - self._best_at
        ahead = self.way * (self.goal - position) * DEGREES_PER_TICK
        if idle_s >= self.gentle.stall_s and ahead >= 0.9 * PUSH_DEG:
            if abs(load) >= LOADED * self.limit:
                return None
            if idle_s >= IDLE * self.gentle.stall_s:
                raise self._idle(load)
        most = PUSH_DEG if idle_s > self.gentle.stall_s / 3 else LEAD_DEG
        step = self.gentle.speed_deg_s * (now - self._at) / DEGREES_PER_TICK
        self._at = now
        furthest = position + self.way * most / DEGREES_PER_TICK
        self.goal += self.way * step
        if self.way * (self.goal - furthest) > 0:
            self.goal = furthest
        return self.goal

    def _idle(self, load: float) -> ServoWrong:
        what = f"{self.joint} does not follow its goal, and its motor does not pull"
        got = f"load {abs(load):.0%} of the full torque"
        do = "check its horn screw and its supply; sweep by hand, without --drive"
        return ServoWrong(sentence(what, expected=f"{LOADED * self.limit:.0%} at least", got=got, do=do))
