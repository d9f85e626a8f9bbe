"""Scenes drawn by chance from a seed: where things stand, light, table, cameras, words, the arm's start.

`draw` gives the same scene for the same arguments. Training and held-out scenes come from streams of chance that
share nothing: a held-out seed is never a training scene. `PERTURBATIONS` makes scenes harder than training, one row
each. Knows nothing of MuJoCo.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from policy_spec.errors import SimError, sentence
from sim.arms import ArmModel
from sim.models import model_of
from sim.place_things import Ground, place_things
from sim.scene import COLOURS, CameraPose, Colour, Errand, Light, Scene, TableTop, Thing
from sim.tasks.table import Task, task_of
from sim.tasks.words import WORDS, say

Span = tuple[float, float]
Random = np.random.Generator
NAMED = ("red", "green", "blue", "yellow")  # colours that errands name
STRANGE = ("purple", "orange", "white", "black")  # of distractors
TABLES: tuple[Colour, ...] = ((0.62, 0.52, 0.40), (0.45, 0.45, 0.47), (0.72, 0.70, 0.66), (0.34, 0.30, 0.28))
BOLD: tuple[Colour, ...] = ((0.30, 0.45, 0.35), (0.25, 0.30, 0.45), (0.80, 0.75, 0.60), (0.20, 0.20, 0.20))


@dataclass(frozen=True, slots=True)
class Ranges:
    """What is drawn, and from where. The values are those of training."""

    beyond: bool = False  # the object meant stands outside the area of training
    strength: Span = (0.45, 0.70)
    ambient: Span = (0.28, 0.42)
    lamp: tuple[Span, Span, Span] = ((0.0, 0.4), (-0.5, 0.5), (0.8, 1.2))  # m
    tint: float = 0.05  # of a colour, either way
    tables: tuple[Colour, ...] = TABLES
    textures: tuple[str, ...] = ("plain", "specks", "gradient")
    camera: float = 0.012  # m that a standing camera and its aim are off, either way; a hanging one a fifth
    zoom_deg: float = 1.5
    distractors: tuple[int, int] = (0, 0)  # how many, at least and at most
    held_out_words: bool = False
    start: float = 0.08  # rad that a joint's start is off, either way
    size: Span = (0.022, 0.030)  # m


TRAINING = Ranges()
# Name -> what is different from training.
PERTURBATIONS: Mapping[str, Mapping[str, object]] = {
    "position": {"beyond": True},
    "light": {"strength": (0.15, 0.35), "ambient": (0.15, 0.60), "lamp": ((-0.2, 0.8), (-1.0, 1.0), (0.4, 0.7)),
              "tint": 0.25},
    "wording": {"held_out_words": True},
    "distractors": {"distractors": (2, 3)},
    "camera": {"camera": 0.04, "zoom_deg": 4.0},
    "table": {"tables": BOLD, "textures": ("checker",)},
}  # fmt: skip


def draw(kind: str, seed: int, training: bool = False, perturb: tuple[str, ...] = (), robot: str = "so101") -> Scene:
    """The scene of `seed` for the task `kind`: held out unless `training`. Raises SimError for an unknown name."""
    task, arm = task_of(kind), model_of(robot)
    if arm.bases:
        raise SimError(sentence(f"an errand for {robot}", expected="a robot of one arm"))
    ranges = TRAINING
    for name in perturb:
        if name not in PERTURBATIONS:
            raise SimError(sentence("perturbation", expected=" or ".join(PERTURBATIONS), got=name))
        ranges = dataclasses.replace(ranges, **PERTURBATIONS[name])  # type: ignore[arg-type]
    rng = np.random.default_rng([seed, int(training), zlib.crc32(kind.encode())])
    things = _things(rng, task, ranges)
    meant = things[0]
    side = str(rng.choice(task.sides))
    ground = Ground(task, side, arm, ranges.beyond)
    strangers = _strangers(rng, ranges)
    placed = place_things(rng, (*things, *strangers), ground)
    words = WORDS[kind].held_out if ranges.held_out_words else WORDS[kind].training
    order = rng.permutation(len(things)).tolist()  # the object meant is not always the first
    return Scene(
        seed=seed,
        errand=Errand(kind, meant.name, side),
        text=say(kind, str(rng.choice(words)), meant.name, side),
        things=tuple(placed[index] for index in order),
        distractors=placed[len(things) :],
        light=_light(rng, ranges),
        table=_table(rng, ranges),
        cameras=tuple(_camera(rng, row, ranges) for row in arm.cameras),
        start=_start(rng, arm, ranges),
    )


def wrong_text(scene: Scene) -> str:
    """The instruction with another object of the scene (and, of a push, another side) in place of the one meant."""
    errand = scene.errand
    assert errand is not None
    task = task_of(errand.kind)
    others = [thing.name for thing in scene.things if thing.name != errand.thing]
    rng = np.random.default_rng([scene.seed, 97])
    sides = [side for side in task.sides if side != errand.side] or [errand.side]
    return say(errand.kind, WORDS[errand.kind].training[0], str(rng.choice(others)), str(rng.choice(sides)))


def with_pictures(scene: Scene, height: int, width: int) -> Scene:
    """The scene with cameras of another picture size."""
    cameras = scene.cameras or ()
    return dataclasses.replace(
        scene, cameras=tuple(dataclasses.replace(row, height=height, width=width) for row in cameras)
    )


def _things(rng: Random, task: Task, ranges: Ranges) -> tuple[Thing, ...]:
    colours = rng.permutation(NAMED)[: task.things].tolist()
    return tuple(_thing(rng, colour, str(rng.choice(task.shapes)), ranges) for colour in colours)


def _strangers(rng: Random, ranges: Ranges) -> tuple[Thing, ...]:
    low, high = ranges.distractors
    colours = rng.permutation(STRANGE)[: int(rng.integers(low, high + 1))].tolist()
    return tuple(_thing(rng, colour, str(rng.choice(["cube", "cylinder", "bar"])), ranges) for colour in colours)


def _thing(rng: Random, colour: str, shape: str, ranges: Ranges) -> Thing:
    shade = np.clip(np.array(COLOURS[colour]) + rng.uniform(-0.05, 0.05, 3), 0.0, 1.0)
    size = float(rng.uniform(*ranges.size))
    return Thing(f"{colour} {shape}", shape, _colour(shade), (0.0, 0.0), float(rng.uniform(-np.pi, np.pi)), size)


def _light(rng: Random, ranges: Ranges) -> Light:
    x, y, z = (float(rng.uniform(*span)) for span in ranges.lamp)
    tint = _colour(1.0 + rng.uniform(-ranges.tint, ranges.tint, 3))
    return Light((x, y, z), float(rng.uniform(*ranges.strength)), float(rng.uniform(*ranges.ambient)), tint)


def _table(rng: Random, ranges: Ranges) -> TableTop:
    base = np.array(ranges.tables[int(rng.integers(len(ranges.tables)))]) + rng.uniform(-0.05, 0.05, 3)
    second = base * rng.uniform(0.8, 1.2)
    return TableTop(str(rng.choice(ranges.textures)), _colour(base), _colour(second), float(rng.uniform(2.0, 6.0)))


def _camera(rng: Random, row: CameraPose, ranges: Ranges) -> CameraPose:
    off = ranges.camera * (0.2 if row.link else 1.0)
    position = np.array(row.position) + rng.uniform(-off, off, 3)
    target = np.array(row.target) + rng.uniform(-off, off, 3)
    zoom = float(rng.uniform(-ranges.zoom_deg, ranges.zoom_deg))
    return dataclasses.replace(
        row, position=tuple(position.tolist()), target=tuple(target.tolist()), fov_deg=row.fov_deg + zoom
    )


def _start(rng: Random, arm: ArmModel, ranges: Ranges) -> dict[str, float]:
    off = rng.uniform(-ranges.start, ranges.start, len(arm.start))
    return dict(zip(arm.motors, (np.array(arm.start) + off).tolist(), strict=True))


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = np.clip(values, 0.0, 1.0).tolist()
    return red, green, blue
