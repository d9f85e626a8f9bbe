"""Questions about pictures of scenes, and their answers: where in each camera's picture an object is.

What a policy has to see before it can do anything is where the things are that words name; to be asked for that teaches
it faster than motions do. Takes a world in a scene of training; gives pictures of the arm in some poses, and for each
object "point to the red cube" with hundredths of each picture's width and height: "41 63 07 88", a dash in place of
the numbers where a camera does not see it; beside it an errand whose words name that object. Knows nothing of files
and of policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.ik import Hold, Solver, upright
from sim.sight import sees
from sim.tasks.judges import SIDES
from sim.tasks.words import WORDS, say
from sim.world import World

UNSEEN = "-"
HEIGHTS = (0.0, 0.18)  # m above the table that the gripper hovers at
AROUND = 0.05  # m, the spread of where it hovers, around an object


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One moment: what the cameras show, and what may be asked about it."""

    pictures: Mapping[str, npt.NDArray[np.uint8]]  # camera -> [h, w, 3]
    answers: Mapping[str, str]  # object -> where it is
    tasks: Mapping[str, str]  # object -> an errand with it, in words of training


def questions(world: World, cameras: tuple[str, ...], poses: int, seed: int) -> Iterator[Asked]:
    """The arm as the scene puts it, then in `poses - 1` poses near the objects, without time passing between."""
    rng = np.random.default_rng([seed, 41])
    for number in range(poses):
        if number:
            world.put(_hovering(world, rng))
        pictures = {name: world.picture(name) for name in cameras}
        answers = {thing: answer(world, cameras, thing) for thing in world.objects()}
        yield Asked(pictures, answers, {thing: errand(thing, rng) for thing in answers})


def errand(thing: str, rng: np.random.Generator) -> str:
    """One of the wordings of training, of any kind of errand."""
    kind = str(rng.choice(list(WORDS)))
    wording = str(rng.choice(WORDS[kind].training))
    return say(kind, wording, thing, str(rng.choice(list(SIDES))) if "{side}" in wording else "")


def answer(world: World, cameras: tuple[str, ...], thing: str) -> str:
    """Where `thing` is in each camera's picture."""
    words = []
    for camera in cameras:
        place = sees(world, camera, thing)
        words.append(UNSEEN if place is None else " ".join(f"{int(100 * part):02d}" for part in place))
    return " ".join(words)


def _hovering(world: World, rng: np.random.Generator) -> dict[str, float]:
    """A pose with the gripper near one of the objects, as open as it happens to be."""
    poses = list(world.objects().values())
    near = poses[int(rng.integers(len(poses)))].position
    point = np.array([*(near[:2] + rng.normal(0.0, AROUND, 2)), world.arm.floor + rng.uniform(*HEIGHTS)])
    solver = Solver(world.arm)
    joints = solver.body.joints
    now = world.positions()
    q = np.array([now[name] for name in joints])
    way = float(np.arctan2(point[1], point[0]))
    attitude = upright(way, float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.2, 0.2)))
    q = solver.solve(Hold(point, attitude), np.asarray(world.arm.grasp), q)
    return {**dict(zip(joints, q.tolist(), strict=True)), solver.body.gripper: float(rng.uniform(0.0, 1.0))}
