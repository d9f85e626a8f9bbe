"""A workspace small enough to check by hand: two links of 0.2 m in a plane, 0.05 m above a floor, and a post."""

from __future__ import annotations

import numpy as np

from firmware_bridge.safety.motion import Array


class Planar:
    """Heights of the elbow and of the hand above the floor, and the hand's distance from a post at x = 0.38 m."""

    names = ("floor: elbow", "floor: hand", "post: hand")

    def clearance(self, poses: Array) -> Array:
        """[K, 2] rad -> [K, 3] m; 0 is horizontal, positive is up."""
        first, second = poses[:, 0], poses[:, 0] + poses[:, 1]
        elbow = 0.05 + 0.2 * np.sin(first)
        hand = elbow + 0.2 * np.sin(second)
        reach = 0.2 * np.cos(first) + 0.2 * np.cos(second)
        return np.stack([elbow, hand, np.hypot(reach - 0.38, hand - 0.3) - 0.02], axis=1)
