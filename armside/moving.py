"""What a slow move of one's own was like, for people; following it is firmware_bridge/follow.py's."""

from __future__ import annotations

import math

from firmware_bridge.client import Info
from firmware_bridge.follow import Moved, follow, wait_for_rest

__all__ = ["Moved", "degrees", "follow", "report", "wait_for_rest"]


def degrees(info: Info, joint: int, value: float) -> str:
    """A joint's value or difference for a person."""
    if info.joints[joint] in info.grippers:
        return f"{100 * value:.0f}%"
    return f"{math.degrees(value):.1f}°"


def report(info: Info, moved: Moved) -> list[str]:
    """What moved, where it ended, what was limited."""
    lines = []
    for place, joint in enumerate(info.joints):
        went, off = moved.end[place] - moved.start[place], moved.end[place] - moved.goal[place]
        asked = abs(moved.goal[place] - moved.start[place])
        if max(abs(went), asked) < 0.005:
            continue
        lines.append(
            f"{joint}: {degrees(info, place, moved.start[place])} -> {degrees(info, place, moved.end[place])}"
            f", {degrees(info, place, abs(off))} from its goal"
        )
    lines += [f"limited: {what}, {count} ticks" for what, count in sorted(moved.clamps.items())]
    return lines or ["nothing moved"]
