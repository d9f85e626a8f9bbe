"""Scenes by short names: `reach:0` is the held-out scene that seed 0 draws for the task `reach`. Gives a Scene.

`reach:0:light+position` is perturbed, `reach:0:training` one of those that are trained on.
"""

from __future__ import annotations

from policy_spec.errors import SimError, sentence
from sim.randomise import draw
from sim.scene import Scene

EMPTY, TRAINING = "empty", "training"


def scene_of(name: str, robot: str = "so101") -> Scene:
    """The scene of that name; "" and `empty`: nothing on the table. Raises SimError."""
    if name in ("", EMPTY):
        return Scene()
    kind, _, rest = name.partition(":")
    seed, _, words = rest.partition(":")
    if not seed.isdecimal():
        expected = "TASK:SEED, such as reach:0, or TASK:SEED:light+position"
        raise SimError(sentence("a scene", expected=expected, got=name))
    perturb = tuple(word for word in words.split("+") if word)
    chosen = tuple(word for word in perturb if word != TRAINING)
    return draw(kind, int(seed), training=TRAINING in perturb, perturb=chosen, robot=robot)
