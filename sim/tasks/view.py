"""What an expert and a judge may see of a world at one moment. Policies see pictures; these two see the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sim.world import Pose, World


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One moment."""

    time: float  # s since the episode began
    positions: Mapping[str, float]  # each joint in rad, grippers 0..1
    objects: Mapping[str, Pose]  # by name, in the frame of the arm's base


def look(world: World) -> View:
    """The world as it is now."""
    return View(world.time, world.positions(), world.objects())
