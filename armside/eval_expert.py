"""The scripted expert as a policy: chunks of what it will do, by the same road as a bundle's.

It sees the truth of the world, but only through a copy of it: the chunk is what the expert does there from now on, as
if nothing came between. What it is told counts: the errand is read out of the words, so that wrong ones lead it astray.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from policy_spec.errors import SimError, sentence
from policy_spec.pipeline import Observation, Prediction
from sim.scene import Errand, Scene
from sim.tasks.experts import EXPERTS, Expert
from sim.tasks.path import PERIOD_S
from sim.tasks.table import task_of
from sim.tasks.view import look
from sim.world import World

if TYPE_CHECKING:
    from policy_spec.frames import Frame

TICKS = 10  # goals within one period


def errand_in(text: str, scene: Scene) -> Errand:
    """What the words mean in a scene. Raises SimError where they name nothing that is there."""
    assert scene.errand is not None
    named = [thing.name for thing in scene.solids if thing.name in text]
    if len(named) != 1:
        names = ", ".join(thing.name for thing in scene.solids)
        raise SimError(sentence(f"the object that {text!r} means", expected=f"one of {names}", got=named))
    sides = [side for side in task_of(scene.errand.kind).sides if side and side in text]
    return Errand(scene.errand.kind, named[0], sides[-1] if sides else "")


class ExpertThinker:
    """The contract edge.stepped.Thinker. One episode."""

    def __init__(self, world: World, errand: Errand, frame: Frame, horizon: int) -> None:
        self._world = world
        self._scratch = World(world.robot.name, world.scene)
        self._frame, self._horizon = frame, horizon
        scene = dataclasses.replace(world.scene, errand=errand)
        self._states: list[Expert] = [EXPERTS[errand.kind](world.arm, scene, scene.seed)]  # after each step

    def predict(self, observation: Observation, task: str, seed: int, passed: int = 0) -> Prediction:
        """[horizon, D] goals, the first for now; `passed` steps of the last chunk were made."""
        scratch = self._scratch
        scratch.restore(self._world.snapshot())
        expert = copy.deepcopy(self._states[min(passed, len(self._states) - 1)])
        self._states = [copy.deepcopy(expert)]
        rows = [[scratch.positions()[name] for name in scratch.joints]]
        while len(rows) < self._horizon:
            view = look(scratch)
            goals = expert.act(view)
            for tick in range(1, TICKS + 1):
                share = tick / TICKS
                way = {n: (1 - share) * view.positions[n] + share * goal for n, goal in goals.items()}
                scratch.advance(way, PERIOD_S / TICKS)
            rows.append([goals[name] for name in scratch.joints])
            self._states.append(copy.deepcopy(expert))
        actions = self._frame.from_si(np.array(rows)).astype(np.float32)
        return Prediction(actions, actions[None], {}, 0, seed)

    def reset(self) -> None:
        """A new episode begins: it was made for one."""
        return None
