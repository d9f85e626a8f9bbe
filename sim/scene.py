"""One simulated scene as data: what lies on the table, the light, the cameras, the arm's start, the errand.

A `Scene` says everything that a `World` needs to be built and everything that a task needs to judge it; the same
scene gives the same world. Metres and radians in the frame of the (first) arm's base: x forward, y left, z up.
Knows nothing of MuJoCo and of chance: randomise.py draws scenes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from policy_spec.errors import SimError, sentence

Vector = tuple[float, float, float]
Colour = tuple[float, float, float]  # red, green, blue, 0..1

SHAPES = ("cube", "cylinder", "ball", "bar")
TEXTURES = ("plain", "checker", "gradient", "specks")
# Words of a task -> their middle; a scene may vary a colour a little around it.
COLOURS: Mapping[str, Colour] = {
    "red": (0.80, 0.10, 0.10),
    "green": (0.10, 0.60, 0.15),
    "blue": (0.10, 0.25, 0.80),
    "yellow": (0.90, 0.78, 0.10),
    "purple": (0.45, 0.15, 0.60),
    "orange": (0.95, 0.45, 0.05),
    "white": (0.90, 0.90, 0.90),
    "black": (0.08, 0.08, 0.08),
}


@dataclass(frozen=True, slots=True)
class Thing:
    """An object that can be touched, pushed and picked up."""

    name: str  # as a task calls it, "red cube"; unique in its scene
    shape: str  # one of SHAPES
    colour: Colour
    position: tuple[float, float]  # m, where it stands on the table
    yaw: float = 0.0  # rad about z
    size: float = 0.025  # m: its width, and its height but for a bar

    def __post_init__(self) -> None:
        """Raises SimError."""
        if self.shape not in SHAPES:
            raise SimError(sentence(f"shape of {self.name}", expected=" or ".join(SHAPES), got=self.shape))
        if not 0.005 <= self.size <= 0.2:
            raise SimError(sentence(f"size of {self.name}", expected="0.005 to 0.2 m", got=self.size))


@dataclass(frozen=True, slots=True)
class Light:
    """One lamp above the table and the light from everywhere."""

    position: Vector = (0.25, 0.25, 1.0)  # m
    strength: float = 0.6  # 0..1 of full white
    ambient: float = 0.35
    tint: Colour = (1.0, 1.0, 1.0)
    shadows: bool = True


@dataclass(frozen=True, slots=True)
class TableTop:
    """What the table looks like."""

    texture: str = "plain"  # one of TEXTURES
    colour: Colour = (0.55, 0.50, 0.45)
    second: Colour = (0.45, 0.40, 0.35)  # of a checker, a gradient's far end, the specks
    repeat: float = 4.0  # times the pattern fits on the table

    def __post_init__(self) -> None:
        """Raises SimError."""
        if self.texture not in TEXTURES:
            raise SimError(sentence("texture of the table", expected=" or ".join(TEXTURES), got=self.texture))


@dataclass(frozen=True, slots=True)
class CameraPose:
    """A camera of a slot: where it stands or hangs, where it looks, what it gives."""

    slot: str  # "front", "wrist": the name that a policy's camera is filled from
    position: Vector  # m, in the frame of `link`
    target: Vector  # m, in the same frame: the middle of its picture
    link: str = ""  # the arm's link it hangs on; "" stands still
    up: Vector = (0.0, 0.0, 1.0)  # what is up in its picture, in the same frame
    fov_deg: float = 50.0  # vertical
    width: int = 224
    height: int = 224


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be done in a scene."""

    kind: str  # a row of sim/tasks: "reach", "push", "pick"
    thing: str  # name of the object meant
    side: str = ""  # of a push: "left" or "right", as seen from behind the arm


@dataclass(frozen=True, slots=True)
class Scene:
    """All of one scene. `things` may be meant by a task, `distractors` never are."""

    seed: int = 0
    errand: Errand | None = None
    text: str = ""  # the instruction, as a person says it
    things: tuple[Thing, ...] = ()
    distractors: tuple[Thing, ...] = ()
    light: Light = Light()
    table: TableTop = TableTop()
    cameras: tuple[CameraPose, ...] | None = None  # None: the arm's own "front" and "wrist"
    start: Mapping[str, float] = field(default_factory=dict)  # rad, gripper 0..1; joints left out: the arm's own

    def __post_init__(self) -> None:
        """Raises SimError for two objects of one name, and an errand for something that is not there."""
        names = [thing.name for thing in self.solids]
        if len(set(names)) != len(names):
            raise SimError(sentence("names of a scene's objects", expected="each once", got=", ".join(names)))
        if self.errand is not None and self.errand.thing not in names:
            raise SimError(sentence("object of the errand", expected=" or ".join(names), got=self.errand.thing))

    @property
    def solids(self) -> tuple[Thing, ...]:
        """Everything that stands on the table."""
        return self.things + self.distractors

    def thing(self, name: str) -> Thing:
        """The object called `name`. Raises SimError."""
        for thing in self.solids:
            if thing.name == name:
                return thing
        raise SimError(sentence("object", expected=" or ".join(t.name for t in self.solids), got=name))
