"""A body without physics: joints that follow their goals with a lag, and fall to rest when limp. For the machinery."""

from __future__ import annotations

import math
from collections.abc import Mapping

from firmware_bridge import robots

ROBOT = robots.find("so101")
START = dict(zip(ROBOT.joints, ROBOT.home_pose, strict=True))
LAG_S = 0.04


class Twin:
    """The contract `sim.shafts.Body`."""

    def __init__(self, start: Mapping[str, float] = START) -> None:
        self.at = dict(start)
        self.speed = dict.fromkeys(self.at, 0.0)
        self.seconds = 0.0

    def advance(
        self,
        goals: Mapping[str, float],
        dt: float,
        torque_on: Mapping[str, bool] | None = None,
        effort: Mapping[str, float] | None = None,
    ) -> None:
        part = 1.0 - math.exp(-dt / LAG_S)
        for name, at in self.at.items():
            goal = goals[name] if torque_on is None or torque_on[name] else 0.0
            self.at[name] = at + part * (goal - at)
            self.speed[name] = (self.at[name] - at) / dt
        self.seconds += dt

    def positions(self) -> Mapping[str, float]:
        return self.at

    def velocities(self) -> Mapping[str, float]:
        return self.speed

    def loads(self) -> Mapping[str, float]:
        return {name: 0.05 * speed for name, speed in self.speed.items()}
