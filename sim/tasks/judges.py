"""Whether an errand was done: success, failure with a reason, or not yet. Takes Views in the order of time.

An errand that names one object fails when another is reached, pushed or lifted first, so that who ignores the words
does no better than chance. Knows nothing of how the arm is driven.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.arms import ArmModel
from sim.build import half_height
from sim.ik import Solver
from sim.scene import Errand, Scene
from sim.tasks.view import View

Array = npt.NDArray[np.float64]
# Directions as seen from behind the arm's base.
SIDES: Mapping[str, tuple[float, float]] = {
    "left": (0.0, 1.0),
    "right": (0.0, -1.0),
}
DWELL_S = 0.5  # that a reach or a lift must last
NEAR = 0.030  # m from the place above an object that counts as reached
ABOVE = 0.020  # m over an object's top: that place
PUSHED = 0.050  # m along the side
ASTRAY = 0.040  # m across it, at most
LIFTED = 0.040  # m
DISTURBED = 0.030  # m that another object may move, or be lifted


@dataclass(frozen=True, slots=True)
class Verdict:
    """`done`: nothing can change it any more. `reason` of a failure, for people."""

    done: bool = False
    success: bool = False
    reason: str = ""


YET = Verdict()
SUCCESS = Verdict(True, True)


def above(scene: Scene, view: View, name: str) -> Array:
    """[3] m: the place over an object's top that is "at" it."""
    middle = view.objects[name].position
    place: Array = middle + np.array([0.0, 0.0, half_height(scene.thing(name)) + ABOVE])
    return place


class Judge:
    """Of one episode. Subclasses say when the errand's object, or another, is being dealt with."""

    def __init__(self, arm: ArmModel, scene: Scene) -> None:
        assert scene.errand is not None
        self.scene, self.errand = scene, scene.errand
        self._solver, self._tool = Solver(arm), np.asarray(arm.grasp)
        self._since: dict[str, float] = {}  # object -> when it began to be dealt with
        self._first: dict[str, Array] = {}  # object -> where it was at first
        self.verdict = YET

    def see(self, view: View) -> Verdict:
        """What is known after this moment; the verdict stays once it is done."""
        if not self._first:
            self._first = {name: pose.position for name, pose in view.objects.items()}
        if not self.verdict.done:
            self.verdict = self._judge(view)
        return self.verdict

    def _judge(self, view: View) -> Verdict:
        raise NotImplementedError

    def _lasts(self, view: View, name: str, holds: bool) -> bool:
        """Whether `holds` has been so for DWELL_S."""
        if not holds:
            self._since.pop(name, None)
            return False
        return view.time - self._since.setdefault(name, view.time) >= DWELL_S - 1e-6

    def _moved(self, view: View, name: str) -> Array:
        moved: Array = view.objects[name].position - self._first[name]
        return moved


class ReachJudge(Judge):
    """The gripper stays just above the object; the first object it stays above counts."""

    def _judge(self, view: View) -> Verdict:
        q = np.array([view.positions[name] for name in self._solver.body.joints])
        point = self._solver.hold(q, self._tool).point
        for name in view.objects:
            near = float(np.linalg.norm(above(self.scene, view, name) - point)) < NEAR
            if self._lasts(view, name, near):
                return SUCCESS if name == self.errand.thing else Verdict(True, False, f"reached the {name}")
        return YET


class PushJudge(Judge):
    """The object has gone to its side and lies still enough on its way; no other was moved."""

    def _judge(self, view: View) -> Verdict:
        side = np.array(SIDES[self.errand.side])
        for name in view.objects:
            way = self._moved(view, name)[:2]
            if name != self.errand.thing:
                if np.linalg.norm(way) > DISTURBED:
                    return Verdict(True, False, f"moved the {name}")
                continue
            along, across = float(way @ side), abs(float(way @ side[::-1]))
            if across > ASTRAY or along < -DISTURBED:
                return Verdict(True, False, "pushed it another way")
            if self._lasts(view, name, along > PUSHED):
                return SUCCESS
        return YET


class PickJudge(Judge):
    """The object is held above the table; no other was lifted."""

    def _judge(self, view: View) -> Verdict:
        for name in view.objects:
            height = float(self._moved(view, name)[2])
            if name == self.errand.thing:
                if self._lasts(view, name, height > LIFTED):
                    return SUCCESS
            elif height > DISTURBED:
                return Verdict(True, False, f"lifted the {name}")
        return YET


JUDGES: Mapping[str, Callable[[ArmModel, Scene], Judge]] = {
    "reach": ReachJudge,
    "push": PushJudge,
    "pick": PickJudge,
}


def judge_of(arm: ArmModel, scene: Scene) -> Judge:
    """The judge of a scene's errand."""
    errand: Errand | None = scene.errand
    assert errand is not None
    return JUDGES[errand.kind](arm, scene)
