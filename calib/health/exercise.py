"""Leads an arm through the exercise of a check and notes which ticks were what.

Takes a Mover (a bridge whose arm is armed), gives marks. Whatever breaks a move off ends the exercise there; the
marks so far are kept. Knows no socket and no thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from calib.health import plan
from calib.health.measure import MOVED, Mark
from calib.health.plan import Excursion, Exercise, Piece
from calib.health.series import shown
from firmware_bridge.messages import Info, Status
from firmware_bridge.moves import DT_S, speeds, straight

Array = npt.NDArray[np.float64]
Until = Callable[[Status], bool]
STOPPED = "until"  # Followed.why where `until` ended it


@dataclass(frozen=True, slots=True)
class Followed:
    """How a path was followed."""

    start_tick: int  # at which its first row was due
    end_tick: int  # the last that was seen
    why: str = ""  # "" to its end, STOPPED, or what broke it off
    cuts: tuple[str, ...] = ()  # what the bridge limited on the way


class Mover(Protocol):
    """An armed arm that follows paths."""

    @property
    def info(self) -> Info:
        """Of its bridge."""

    def commanded(self) -> Array:
        """Where the command stands, [D] rad, a gripper 0..1."""

    def follow(self, path: Array, until: Until | None = None) -> Followed:
        """Follows `path` [N, D] from where the command stands; `until` says of each status whether to stop there."""


@dataclass(slots=True)
class Notes:
    """What an exercise leaves."""

    marks: list[Mark] = field(default_factory=list)
    held_back: dict[str, str] = field(default_factory=dict)  # joint -> what limited its way
    done: list[str] = field(default_factory=list)  # joints, in their order
    ended: str = ""  # why it is not complete


class Examiner:
    """`run()` once."""

    def __init__(self, mover: Mover, exercise: Exercise, told: Callable[[str], None] = lambda what: None) -> None:
        """`told` hears what is being measured now."""
        self.mover = mover
        self.exercise = exercise
        self.told = told
        self.notes = Notes()
        self._speed = speeds(mover.info, exercise.speed)
        self._scale = shown(mover.info.joints, mover.info.grippers)

    def run(self, ways: Sequence[Excursion]) -> Notes:
        """Rest, each joint, all together, and back to where it began."""
        began = self.mover.commanded()
        self.told("at rest")
        self._follow(plan.resting(began, self.exercise), -1)
        for way in ways:
            if not self.notes.ended:
                self._joint(way)
        if len(ways) > 1 and not self.notes.ended:
            self.told("all joints together")
            here = self.mover.commanded()
            self._follow(plan.together(ways, here, self._speed), -1)
        if not self.notes.ended:
            self.told("back to where it began")
            self._go(began)
        return self.notes

    def _joint(self, way: Excursion) -> None:
        here = self.mover.commanded()
        begin = here.copy()
        begin[way.joint] = way.centre
        self.told(way.name)
        self._go(begin)
        cuts = self._follow(plan.approach(way, begin, self._speed, self.exercise), way.joint)
        if cuts:
            self.notes.held_back[way.name] = ", ".join(cuts)
        for name, (direction, _) in plan.STEPS.items():
            if not self.notes.ended:
                self._creep(way, name, direction)
        if not self.notes.ended:
            self.notes.done.append(way.name)

    def _creep(self, way: Excursion, name: str, direction: int) -> None:
        here = self.mover.commanded()
        piece = plan.creeping(way, here, direction, self.mover.info.grippers, self.exercise)
        self._follow(piece, way.joint, name, _has_moved(piece, way.joint, float(self._scale[way.joint])))

    def _go(self, goal: Array) -> None:
        here = self.mover.commanded()
        if not self.notes.ended and np.abs(goal - here).max() > 1e-6:
            path = straight(here, goal, self._speed)
            self._end(self.mover.follow(path))

    def _follow(self, piece: Piece, joint: int, step: str = "", until: Until | None = None) -> list[str]:
        """The piece's marks, and what limited it beside the usual."""
        if self.notes.ended:
            return []
        followed = self.mover.follow(piece.path, until)
        per_row = DT_S * self.mover.info.rate_hz
        for part in piece.parts:
            begin = followed.start_tick + round(part.first * per_row)
            end = min(followed.start_tick + round(part.last * per_row), followed.end_tick + 1)
            kind = plan.STEP + step if part.kind == plan.STEP else part.kind
            if begin < end and not (step and part.kind == plan.REST):
                self.notes.marks.append(Mark(kind, joint, begin, end))
        self._end(followed)
        return [cut for cut in followed.cuts if cut.split(" ")[0] not in ("speed", "acceleration", "lead")]

    def _end(self, followed: Followed) -> None:
        if followed.why and followed.why != STOPPED:
            self.notes.ended = followed.why


def _has_moved(piece: Piece, joint: int, scale: float) -> Until:
    """Of a creeping piece: whether the joint has left the place where it rested."""
    rest = next(part for part in piece.parts if part.kind == plan.REST)
    start = float(piece.path[rest.first, joint])
    first: list[float] = []

    def until(status: Status) -> bool:
        if abs(float(status.commanded[joint]) - start) < 1e-9:  # still at rest
            first[:] = [float(status.measured[joint])]
            return False
        return bool(first) and abs(float(status.measured[joint]) - first[0]) * scale >= 1.5 * MOVED

    return until
