"""Experts who see the truth and do an errand: one phase after another, and back to an earlier one when it went wrong.

An expert is asked once each control period (path.PERIOD_S) and answers with goals for all joints. It looks at where
things are now, so a slipped cube is gripped again and a bent path is mended. Its manner (speed, heights, how far it
opens) varies with its seed. Takes Views; gives goals. Knows nothing of pictures and servos.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.arms import ArmModel
from sim.build import half_height
from sim.scene import Scene
from sim.tasks.judges import PUSHED, SIDES, above
from sim.tasks.path import Place, Stepper
from sim.tasks.view import View

Array = npt.NDArray[np.float64]
TAKEN = 0.012  # m beside a phase's path at which who takes over goes on with it
PATIENCE = 25  # periods after which what was begun has got stuck


@dataclass(frozen=True, slots=True)
class Manner:
    """How one expert does it."""

    speed: float  # m/s over free ground
    care: float  # m/s near things
    height: float  # m above the table at which it travels
    opening: float  # 0..1 of the gripper before it grips
    beside: float  # m between the tool and an object's corner before a push
    further: float  # m that a push goes on beyond what would do

    @classmethod
    def drawn(cls, seed: int) -> Manner:
        """The manner of `seed`."""
        low, high = np.array([_SLOWEST, _FASTEST])
        return cls(*np.random.default_rng([seed, 11]).uniform(low, high).tolist())


_SLOWEST = (0.14, 0.06, 0.070, 0.34, 0.020, 0.008)
_FASTEST = (0.20, 0.09, 0.090, 0.44, 0.028, 0.018)


class Expert:
    """Of one episode; subclasses plan."""

    shaky: tuple[float, ...] = (1.0,)  # of a nudge (nudges.py), that each phase can bear

    def __init__(self, arm: ArmModel, scene: Scene, seed: int) -> None:
        assert scene.errand is not None
        self.scene, self.errand, self.floor, self.work = scene, scene.errand, arm.floor, arm.work
        self.thing = scene.thing(self.errand.thing)
        self.manner = Manner.drawn(seed)
        self.stepper = Stepper(arm)
        self.tool = np.asarray(arm.grasp)
        self.phase = 0
        self.periods = 0  # since the phase began

    def act(self, view: View) -> dict[str, float]:
        """Goals of all joints for one period from now: rad, gripper 0..1."""
        before = self.phase
        place = self.plan(view)
        self.periods = self.periods + 1 if self.phase == before else 0
        return self.stepper.step(view.positions, place, self.tool)

    def take_over(self, view: View) -> None:
        """Before the first `act`, where somebody else has driven: begins with the phase that suits what it finds.

        Policies have no memory: who went up first from wherever the arm stands would teach them to rise in the midst of
        a way down.
        """

    @property
    def bears(self) -> float:
        """0..1: how much of a nudge may disturb what `act` said last."""
        return self.shaky[self.phase]

    def plan(self, view: View) -> Place:
        """Where to go now; moves `phase` on, or back."""
        raise NotImplementedError

    def at(self, view: View, place: Place) -> bool:
        return self.stepper.arrived(view.positions, place, self.tool)

    def here(self, view: View) -> Array:
        return self.stepper.hold(view.positions, self.tool).point

    def _off(self, view: View, place: Place) -> float:
        """m beside the line straight down (or up) to `place`."""
        return float(np.linalg.norm((place.point - self.here(view))[:2]))

    def middle(self, view: View) -> Array:
        return view.objects[self.thing.name].position

    def travel(self, view: View, place: Place) -> Place:
        """`place`, but straight up first where the gripper is low and `place` elsewhere."""
        here = self.here(view)
        low = here[2] < self.floor + 0.7 * self.manner.height
        if low and float(np.linalg.norm((place.point - here)[:2])) > 0.02:
            return dataclasses.replace(place, point=self.over(here, self.manner.height))
        return place

    def over(self, point: Array, height: float) -> Array:
        """The place `height` m above the table over (or under) `point`."""
        return np.array([point[0], point[1], self.floor + height])


class ReachExpert(Expert):
    """Goes to the place above the object and stays there."""

    def plan(self, view: View) -> Place:
        place = above(self.scene, view, self.thing.name)
        far = float(np.linalg.norm((place - self.here(view))[:2])) > 0.03
        target = self.over(place, self.manner.height) if far else place
        return Place(target, self.work.turn, 0.25, self.manner.speed if far else self.manner.care)


class PushExpert(Expert):
    """Goes over to the far side, down, along; up and around again when the object got out of the way."""

    shaky = (1.0, 0.5, 0.4, 0.5)

    def __init__(self, arm: ArmModel, scene: Scene, seed: int) -> None:
        super().__init__(arm, scene, seed)
        self.side = np.array([*SIDES[self.errand.side], 0.0])
        self.goal: Array | None = None  # [3] where the object shall be
        self.low = half_height(self.thing) + 0.004

    def take_over(self, view: View) -> None:
        here, start, ahead = self.here(view), self._start(view), self.middle(view) - self.here(view)
        along = float(ahead @ self.side)
        beyond = float((self.middle(view) - start) @ self.side) + TAKEN
        in_line = 0 < along < beyond and float(np.linalg.norm(_across(ahead, self.side)[:2])) < TAKEN
        if in_line and here[2] < self.floor + self.low + TAKEN:
            self.phase = 2
        elif float(np.linalg.norm((start - here)[:2])) < TAKEN:
            self.phase = 1

    def _start(self, view: View) -> Array:
        """[3] on its far side, beside its corners."""
        return self.middle(view) - self.side * (0.7 * self.thing.size + self.manner.beside)

    def plan(self, view: View) -> Place:
        middle, manner = self.middle(view), self.manner
        if self.goal is None:
            self.goal = middle + self.side * (PUSHED + manner.further)
        low, start = self.low, self._start(view)
        lift = self.over(self.here(view), manner.height)
        steps = (
            self.travel(view, self._place(self.over(start, manner.height), manner.speed)),
            self._place(self.over(start, low), manner.care * 1.5),
            self._place(self._along(view, low), manner.care),
            self._place(lift, manner.care),
        )
        self._go_on(view, steps[self.phase])
        return steps[self.phase]

    def _place(self, point: Array, speed: float) -> Place:
        """With the flat of the jaws across the push, or the object rolls off them."""
        work = self.work
        angle = float(np.arctan2(self.side[1], self.side[0])) - self.stepper.way(point) - work.opens
        turns = [angle + half * np.pi for half in range(-2, 4)]
        can = [turn for turn in turns if abs(turn - work.rest) < work.span]
        return Place(point, min(can, key=lambda turn: abs(turn - work.turn)), 0.0, speed)

    def _along(self, view: View, low: float) -> Array:
        """Ahead of where it is, a little to the outside of an object that strays from its line."""
        assert self.goal is not None
        middle, here = self.middle(view), self.here(view)
        astray = _across(middle - self.goal, self.side)
        across = _across(middle - here, self.side) + np.clip(0.4 * astray, -0.008, 0.008)
        return self.over(here + self.side * 0.04 + np.clip(across, -0.02, 0.02), low)

    def _go_on(self, view: View, place: Place) -> None:
        assert self.goal is not None
        left = float((self.goal - self.middle(view)) @ self.side)
        ahead = self.middle(view) - self.here(view)
        aside = float(np.linalg.norm(_across(ahead, self.side)[:2]))
        behind = float(ahead @ self.side) > 0
        if self.phase < 2 and self.at(view, place):
            self.phase += 1
        elif self.phase == 1 and (self.periods > PATIENCE or self._off(view, place) > 0.012 + self.stepper.slack):
            self.phase = 0  # it would come down on something
        elif self.phase == 2 and left <= 0:
            self.phase = 3
        elif self.phase == 2 and (not behind or aside > 0.02 + self.stepper.slack):
            self.phase = 0  # it slid off: around again


def _across(way: Array, side: Array) -> Array:
    """The part of a way [3] across `side`."""
    part: Array = way - side * float(way @ side)
    return part


class PickExpert(Expert):
    """Goes over it, aligns, down, closes, lifts; again from the start when it slipped."""

    shaky = (1.0, 0.4, 0.0, 0.3)

    def __init__(self, arm: ArmModel, scene: Scene, seed: int) -> None:
        super().__init__(arm, scene, seed)
        if self.work.one_jaw:  # the other stays still while this one closes: it waits close to the object's side
            jaw = self.tool[0] - 0.0125
            self.tool = np.array([jaw + self.thing.size / 2 + 0.006, self.tool[1], self.tool[2]])
        self.closed = 0  # periods since the jaws began to close
        self.spot: Array = np.zeros(3)  # m, where they did
        self.low = max(half_height(self.thing), 0.010)

    def take_over(self, view: View) -> None:
        here, middle = self.here(view), self.middle(view)
        aside, opened = float(np.linalg.norm((middle - here)[:2])), view.positions[self.stepper.solver.body.gripper]
        closes = opened < 0.8 * (self.manner.opening + self.work.wider)
        self.spot = here
        if aside > TAKEN or (closes and float(np.linalg.norm(middle - here)) > TAKEN):
            return  # closed on nothing: up, and open
        if closes:
            self.phase = 3 if middle[2] > self.floor + self.low + 0.005 else 2
        else:
            self.phase = 1

    def plan(self, view: View) -> Place:
        middle, manner, turn = self.middle(view), self.manner, self._turn(view)
        low = self.low
        rise = self.floor + low + 0.09
        opening = manner.opening + self.work.wider
        # Where it grips and goes up: as it stands; an arm that is late would fall back, so it goes where it went.
        spot = self.spot if self.work.lags else self.here(view)
        steps = (
            self.travel(view, Place(self.over(middle, manner.height), turn, opening, manner.speed)),
            Place(self.over(middle, self._down(view, low)), turn, opening, manner.care),
            Place(self.over(spot, low), turn, 0.0, manner.care),
            Place(np.array([*spot[:2], rise]), turn, 0.0, manner.care),
        )
        self._go_on(view, steps[self.phase])
        return steps[self.phase]

    def _down(self, view: View, low: float) -> float:
        """m above the table: down only while it is over the object, or a jaw lands on it."""
        here = self.here(view)
        aside = float(np.linalg.norm((self.middle(view) - here)[:2]))
        return low if aside < 0.008 + self.stepper.slack / 2 else max(low, float(here[2]) - self.floor)

    def _turn(self, view: View) -> float:
        """Along an edge of what lies there, as near to the usual turn as can be."""
        way = self.stepper.way(self.middle(view))
        if self.phase >= 2:  # holds it: stay
            ahead = self.stepper.hold(view.positions, self.tool).attitude[:, 0]
            return float(np.arctan2(ahead[1], ahead[0])) - way
        if self.thing.shape in ("cylinder", "ball"):
            return self.work.turn
        w, x, y, z = view.objects[self.thing.name].quat
        yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        quarter = np.pi / 2 if self.thing.shape == "cube" else np.pi
        off = (yaw + (np.pi / 2 if self.thing.shape == "bar" else 0.0)) - (way + self.work.turn)
        return self.work.turn + float((off + quarter / 2) % quarter - quarter / 2)

    def _go_on(self, view: View, place: Place) -> None:
        aside = float(np.linalg.norm((self.middle(view) - self.here(view))[:2]))
        if self.phase < 2:
            self.closed, self.spot = 0, self.middle(view)
            if self.at(view, place):
                self.phase += 1
            elif self.phase == 1 and (self.periods > PATIENCE or aside > 0.02 + self.stepper.slack):
                self.phase = 0
        elif self.phase == 2:
            self.closed += 1
            if self.closed >= 5:
                self.phase = 3
        elif float(np.linalg.norm(self.middle(view) - self.here(view))) > 0.035:
            self.phase = 0  # it slipped out


EXPERTS: Mapping[str, Callable[[ArmModel, Scene, int], Expert]] = {
    "reach": ReachExpert,
    "push": PushExpert,
    "pick": PickExpert,
}
