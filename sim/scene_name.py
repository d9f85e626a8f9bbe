"""Scenes by short names: `reach:0` is the scene of the task `reach` that seed 0 draws. Gives a Scene."""

from __future__ import annotations

from policy_spec.errors import SimError, sentence
from sim.scene import Scene

EMPTY = "empty"


def scene_of(name: str) -> Scene:
    """The scene `TASK:SEED`; "" and `empty`: nothing on the table. Raises SimError."""
    if name in ("", EMPTY):
        return Scene(text="stand still")
    kind, colon, seed = name.partition(":")
    if not colon or not seed.isdecimal():
        raise SimError(sentence("a scene", expected="TASK:SEED, such as reach:0", got=name))
    from sim.randomise import draw  # type: ignore[import-not-found]

    scene: Scene = draw(kind, int(seed))
    return scene
