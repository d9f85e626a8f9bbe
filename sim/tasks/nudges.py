"""Disturbances of an expert's goals, so that its episodes show how to come back to the path.

What an expert wanted is what is learned from; what the arm is sent is that and a nudge (Laskey et al., "DART", CoRL
2017). Takes goals once each control period, gives disturbed ones. The same seed gives the same nudges.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

USUAL = 0.015  # rad, the size for recording: some 4 mm at the gripper, bumps of 2 cm
STAYS = 0.8  # of a slow drift, from one period to the next
BUMP_CHANCE = 0.03  # of a bump, each period
BUMP_PERIODS = (2, 5)  # how long one lasts, at least and at most
BUMP = 6.0  # times the drift's size


class Nudges:
    """Of one episode. Grippers are left alone."""

    def __init__(self, seed: int, size: float) -> None:
        """`size`: rad, the drift's standard deviation; 0 disturbs nothing."""
        self._rng = np.random.default_rng([seed, 23])
        self._size = size
        self._drift: dict[str, float] = {}
        self._bump: dict[str, float] = {}
        self._left = 0

    def on(self, goals: Mapping[str, float], grippers: tuple[str, ...], share: float = 1.0) -> dict[str, float]:
        """The goals that are sent instead of `goals`; `share` 0..1: how much of a nudge there may be just now."""
        joints = [name for name in goals if name not in grippers]
        fresh = self._rng.normal(0.0, self._size * np.sqrt(1.0 - STAYS**2), len(joints)).tolist()
        self._drift = {n: STAYS * self._drift.get(n, 0.0) + step for n, step in zip(joints, fresh, strict=True)}
        if self._left == 0 and self._rng.random() < BUMP_CHANCE:
            self._left = int(self._rng.integers(BUMP_PERIODS[0], BUMP_PERIODS[1] + 1))
            push = self._rng.normal(0.0, BUMP * self._size / np.sqrt(len(joints)), len(joints)).tolist()
            self._bump = dict(zip(joints, push, strict=True))
        bump = self._bump if self._left else {}
        self._left = max(0, self._left - 1)
        nudge = {name: self._drift[name] + bump.get(name, 0.0) for name in joints}
        return {name: goal + share * nudge.get(name, 0.0) for name, goal in goals.items()}
