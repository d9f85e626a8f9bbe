"""Scenes for tests."""

from __future__ import annotations

from sim.scene import COLOURS, Scene, Thing

BLOCKS = Scene(
    things=(
        Thing("red cube", "cube", COLOURS["red"], (0.22, -0.08), 0.3),
        Thing("green cylinder", "cylinder", COLOURS["green"], (0.20, 0.0)),
        Thing("blue ball", "ball", COLOURS["blue"], (0.22, 0.08)),
    )
)
