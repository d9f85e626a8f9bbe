"""The exercise of a check: how far each joint goes and comes back, and the paths of it. Pure.

Takes the bridge's Info and the pose [D] in rad (a gripper 0..1), gives paths [N, D] and, by rows, what is measured
when. Every excursion is inside the limits with a margin, or is moved there, or is left out with a reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.messages import Info
from firmware_bridge.moves import AHEAD_S, DT_S, straight

Array = npt.NDArray[np.float64]
MARGIN = 0.01  # rad, gripper 1: a joint at its limit is clamped, and what is clamped is not measured
SMALLEST = 0.02  # rad: a shorter way is no larger than the play that it should show
SETTLED = 0.65  # of a dwell: from then on a joint rests
# family -> dwell_s, creep_deg_s: joints that lag by 150 ms (kd / kp) settle later, and a creeping goal gets ahead.
PACES = {"damiao": (1.0, 1.0)}
ARRIVE_S = 0.2  # at the far end of a way
SETTLE_S = 0.4  # a followed path ends so long after its last row
REST, ONWARD, REVERSED, BELOW, ABOVE, TOGETHER = "rest", "onward", "reversed", "below", "above", "together"
NOT_ASKED = "not asked for"  # why a joint was left out
STEP = "step"  # STEP + one of STEPS
# The goal creeps: its direction, and whether that is the one in which the joint came to rest before.
STEPS = {"up, reversed": (1, False), "up, onward": (1, True), "down, reversed": (-1, False), "down, onward": (-1, True)}


@dataclass(frozen=True, slots=True)
class Exercise:
    """How a check moves. Lengths in rad; of a gripper in parts of its stroke, 4 degrees stand for 4 %."""

    amplitude_deg: float = 4.0  # more than the play of a bad joint, so that both flanks are reached
    speed: float = 0.3  # rad/s, a gripper 1/s
    repeats: int = 3
    dwell_s: float = 0.5
    creep_deg_s: float = 2.0  # slow beside a servo's own lag, so that what is lost is not lag
    creep_deg: float = 4.0  # where nothing has moved so far the joint does not move
    rest_s: float = 1.0  # before anything moves


QUICK = Exercise(speed=0.6, repeats=1, dwell_s=0.25, creep_deg_s=4.0, rest_s=0.5)


def at_its_pace(exercise: Exercise, family: str) -> Exercise:
    """As slow as the servos of that family need it."""
    dwell_s, creep_deg_s = PACES.get(family, (exercise.dwell_s, exercise.creep_deg_s))
    return dataclasses.replace(exercise, dwell_s=dwell_s, creep_deg_s=creep_deg_s)


@dataclass(frozen=True, slots=True)
class Excursion:
    """One joint's way: around `centre` by `reach`, rad or 0..1."""

    joint: int
    name: str
    centre: float
    reach: float
    note: str = ""  # how it differs from what was asked for


@dataclass(frozen=True, slots=True)
class Part:
    """What is measured in the rows `first` <= row < `last` of a path."""

    kind: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A path to follow from its first row's tick on."""

    path: Array  # [N, D]
    parts: tuple[Part, ...]

    @property
    def seconds(self) -> float:
        return len(self.path) * DT_S + AHEAD_S + SETTLE_S


def shown_reach(name: str, grippers: Sequence[str], degrees: float) -> float:
    """`degrees` of a joint in rad; of a gripper as many % of its stroke."""
    return degrees / 100.0 if name in grippers else float(np.radians(degrees))


def excursions(
    info: Info, pose: Array, exercise: Exercise, wanted: Sequence[str] = ()
) -> tuple[tuple[Excursion, ...], dict[str, str]]:
    """The ways of the joints `wanted` (none: all), and why others have none. Raises ConfigError for an unknown one."""
    for name in wanted:
        if name not in info.joints:
            raise ConfigError(sentence(f"no joint {name!r}", expected=", ".join(info.joints), got=name))
    found, left_out = [], {}
    for index, name in enumerate(info.joints):
        if wanted and name not in wanted:
            continue
        way = _excursion(info, index, float(pose[index]), exercise)
        if isinstance(way, str):
            left_out[name] = way
        else:
            found.append(way)
    return tuple(found), left_out


def _excursion(info: Info, index: int, here: float, exercise: Exercise) -> Excursion | str:
    name = info.joints[index]
    low, high = info.lower[index] + MARGIN, info.upper[index] - MARGIN
    wished = shown_reach(name, info.grippers, exercise.amplitude_deg)
    reach = min(wished, (high - low) / 2)
    unit, scale = ("%", 100.0) if name in info.grippers else ("degrees", 180 / np.pi)
    if reach < SMALLEST:
        return f"its limits leave {max(0.0, high - low) * scale:.1f} {unit}, too little to measure anything"
    centre = min(max(here, low + reach), high - reach)
    notes = []
    if abs(centre - here) > 1e-9:
        notes.append(f"moved by {(centre - here) * scale:+.1f} {unit} to stay inside its limits")
    if reach < wished:
        notes.append(f"only {reach * scale:.1f} {unit} each way, for its limits")
    return Excursion(index, name, centre, reach, "; ".join(notes))


def start_pose(pose: Array, ways: Sequence[Excursion]) -> Array:
    """Where all excursions begin: `pose` [D] with every joint at its centre."""
    begin: Array = np.array(pose, np.float64)
    for way in ways:
        begin[way.joint] = way.centre
    return begin


class _Builder:
    """A path, row by row; one joint moves, the others stay."""

    def __init__(self, begin: Array, speed: Array) -> None:
        self._here = begin.copy()
        self._speed = speed
        self._rows: list[Array] = []
        self._parts: list[Part] = []

    @property
    def count(self) -> int:
        return sum(len(rows) for rows in self._rows)

    def move(self, joints: Sequence[int], goals: Sequence[float], kind: str, wait_s: float = 0.0) -> None:
        """There, and for `wait_s` on: what lags arrives too."""
        goal = self._here.copy()
        goal[list(joints)] = goals
        there = np.tile(goal, (round(wait_s / DT_S), 1))
        self._add(np.concatenate([straight(self._here, goal, self._speed), there]), kind)
        self._here = goal

    def dwell(self, seconds: float, kind: str) -> None:
        """Measured at its end: before it settles."""
        count = max(2, round(seconds / DT_S))
        self._add(np.tile(self._here, (count, 1)), kind, skip=round(SETTLED * count))

    def creep(self, joint: int, by: float, speed: float) -> None:
        rows = np.tile(self._here, (max(2, round(abs(by) / speed / DT_S)), 1))
        rows[:, joint] += np.linspace(0.0, by, len(rows) + 1)[1:]
        self._add(rows, STEP)

    def _add(self, rows: Array, kind: str, skip: int = 0) -> None:
        first = self.count
        self._rows.append(rows)
        if kind:
            self._parts.append(Part(kind, first + skip, first + len(rows)))

    def piece(self) -> Piece:
        return Piece(np.concatenate(self._rows), tuple(self._parts))


def approach(way: Excursion, begin: Array, speed: Array, exercise: Exercise) -> Piece:
    """To the centre from below and from above, `repeats` times, with a rest each time."""
    build = _Builder(begin, speed)
    joint, low, high = way.joint, way.centre - way.reach, way.centre + way.reach
    for repeat in range(exercise.repeats):
        build.move([joint], [low], ONWARD if repeat else "", ARRIVE_S)
        build.move([joint], [way.centre], REVERSED)
        build.dwell(exercise.dwell_s, BELOW)
        build.move([joint], [high], ONWARD, ARRIVE_S)
        build.move([joint], [way.centre], REVERSED)
        build.dwell(exercise.dwell_s, ABOVE)
    return build.piece()


def creeping(way: Excursion, begin: Array, direction: int, grippers: Sequence[str], exercise: Exercise) -> Piece:
    """The goal creeps from `begin` [D] on, after a rest; whoever follows it stops it when the joint has moved."""
    build = _Builder(begin, np.ones_like(begin))
    build.dwell(exercise.dwell_s, REST)
    most = min(shown_reach(way.name, grippers, exercise.creep_deg), way.reach)
    build.creep(way.joint, direction * most, shown_reach(way.name, grippers, exercise.creep_deg_s))
    return build.piece()


def together(ways: Sequence[Excursion], begin: Array, speed: Array) -> Piece:
    """All joints at once, up and down: the supply's hardest moment."""
    build = _Builder(begin, speed)
    joints = [way.joint for way in ways]
    for side in (1.0, -1.0):
        build.move(joints, [way.centre + side * way.reach for way in ways], TOGETHER)
    build.move(joints, [way.centre for way in ways], TOGETHER)
    return build.piece()


def resting(begin: Array, exercise: Exercise) -> Piece:
    """Nothing moves: what servos read and pull at rest."""
    build = _Builder(begin, np.ones_like(begin))
    build.dwell(exercise.rest_s, REST)
    return build.piece()


def estimate_s(info: Info, ways: Sequence[Excursion], begin: Array, speed: Array, exercise: Exercise) -> float:
    """About how long the whole takes; a joint that hardly reacts takes longer."""
    seconds = resting(begin, exercise).seconds + together(ways, begin, speed).seconds
    for way in ways:
        found = exercise.dwell_s + AHEAD_S + 0.3 / exercise.creep_deg_s
        seconds += approach(way, begin, speed, exercise).seconds + len(STEPS) * found
    return seconds
