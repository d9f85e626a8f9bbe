"""Joints turned by hand, one after another, while every motor is watched: exchanged ids and reversed motors show.

Takes the motors, all limp, and the zeros found; gives what each joint did in words. Which way is asked for comes from
forward kinematics. Commands nothing; the verdict is calib/moved.py's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from calib.damiao.motors import Motors
from calib.drawing import draw
from calib.moved import GOOD, OTHER, REVERSED, SEVERAL, Moved, judge, ways
from calib.person import JointRow, LiveView, Person
from firmware_bridge.errors import CalibrationImplausible, sentence
from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.chain import forward
from firmware_bridge.kinematics.directions import WORDS, direction
from firmware_bridge.kinematics.link import Body

STEP_S = 0.03
ENOUGH = 15.0  # degrees of a joint
GRIPPER_ENOUGH = 60.0  # degrees of a gripper's motor: fingers give way when an arm is held by them
BACK = 8.0  # degrees from where it began: turned back
TURNS, THIS_ONE = "which way each joint turns", "this one"
LIFTED = {"joint_2": ("elbow", "link3")}  # with the arm folded its elbow shows the turn, the gripper hardly moves


@dataclass(frozen=True, slots=True)
class Pace:
    """How long hands are waited for."""

    still_s: float = 0.4  # nothing moves for so long: the next joint may begin
    still_deg: float = 1.5
    alone_s: float = 30.0  # where nobody can press a key, a joint that is not turned ends it


def asks(body: Body, joint: str) -> str:
    """What a person does to turn `joint` the positive way with the arm folded: "so that the elbow goes up"."""
    part, link = LIFTED.get(joint, ("gripper", ""))
    folded = np.zeros(len(body.joints))
    if not link:
        way = direction(body, joint, folded)
        return f"so that the {part} {'turns' if 'clockwise' in way else 'goes'} {way}"
    poses = np.stack([folded, folded])
    poses[1, body.joints.index(joint)] += math.radians(ENOUGH)
    origins = forward(body, poses)[:, body.names.index(link), :3, 3]
    moved = origins[1] - origins[0]
    axis = int(np.argmax(np.abs(moved)))
    return f"so that the {part} goes {WORDS[axis][bool(moved[axis] > 0)]}"


@dataclass(slots=True)
class Guide:
    """Turns by hand at one arm or two. `zeros`: rad of each joint's motor at joint 0."""

    motors: Motors
    person: Person
    zeros: Mapping[str, float]
    pace: Pace = Pace()
    turned: list[str] = field(default_factory=list)  # so far

    def sides(self, sides: Sequence[str]) -> str:
        """Asks for the first of `sides` to be moved by hand; the side that moved. Raises Cancelled."""
        start = self._settle()
        todo = f"move the {sides[0]} arm by hand: swing its base, or lift its gripper, by a hand's breadth"
        enough = self._enough()
        deadline = self._deadline()
        while True:
            now = self._watch("which arm is which", todo, "", start)
            part = {
                side: max(abs(way) / enough[name] for name, way in ways(start, now).items() if name.startswith(side))
                for side in sides
            }
            first, second = sorted(sides, key=lambda side: part[side], reverse=True)
            if part[first] >= 1.0 and part[second] < 0.6:
                return first
            self._wait(deadline, sides[0])

    def turn(self, joint: str) -> None:
        """`joint` there and back. Raises CalibrationImplausible for another joint or the other way, Cancelled."""
        side = next((side for side in ("left_", "right_") if joint.startswith(side)), "")
        bare = joint.removeprefix(side)
        start = self._settle()
        enough = self._enough()
        body = BODIES[self.motors.robot.bodies[0]]
        whose = f" of the {side.removesuffix('_')} arm" if side else ""
        todo = f"turn {bare}{whose} by a hand's breadth {asks(body, bare)}, then back"
        if self.person.alone:  # nobody sees what is live
            self.person.tell(todo)
        arrow = 0 if bare in LIFTED else 1  # an arrow shows where the gripper goes, and these are asked for otherwise
        drawing = draw(body, np.zeros(len(body.joints)), bare, arrow)
        deadline = self._deadline()
        there = False
        while True:
            way = ways(start, self._watch(TURNS, todo, joint, start, drawing))
            seen = judge(joint, 1, way, enough)
            if not there and seen.verdict in (OTHER, REVERSED):
                raise CalibrationImplausible(self._named(joint, seen, way))
            if not there and seen.verdict == GOOD:
                there, todo = True, f"right: now turn {bare}{whose} back"
            if there and abs(way[joint]) < BACK:
                self.turned.append(joint)
                return
            if not there and seen.verdict == SEVERAL:
                todo = f"hold {', '.join(name for name in seen.joints if name != joint)} still, turn {joint} alone"
            self._wait(deadline, joint)

    def _named(self, joint: str, seen: Moved, way: Mapping[str, float]) -> str:
        robot, rows = self.motors.robot, self.motors.rows
        if seen.verdict == REVERSED:
            do = "try again if you mistook the way; else its motor is mounted or set up mirrored, and may not be driven"
            got = f"{way[joint]:+.0f} degrees"
            return sentence(f"{joint} counts backwards", expected="more degrees this way", got=got, do=do)
        other = seen.joints[0]
        ids = [rows[robot.joints.index(name)].id for name in (joint, other)]
        what = f"you were asked to turn {joint} (id {ids[0]}), and {other} (id {ids[1]}) moved"
        bare, its = joint.split("_", 1), other.split("_", 1)
        if bare[0] != its[0] and bare[1] == its[1] and len(robot.bodies) > 1:
            do = "the two buses are exchanged: exchange the ports, --port left=...,right=..."
        else:
            do = "try again if you turned another joint; else exchange the ids of these two motors"
        return sentence(what, expected=joint, got=f"{other} by {way[other]:+.0f} degrees", do=do)

    def _readings(self) -> dict[str, float]:
        """Degrees of each joint, of a gripper's motor."""
        angles = self.motors.angles()
        signs = {name: row.direction for name, row in zip(self.motors.robot.joints, self.motors.rows, strict=True)}
        return {name: signs[name] * math.degrees(rad - self.zeros.get(name, 0.0)) for name, rad in angles.items()}

    def _enough(self) -> dict[str, float]:
        robot = self.motors.robot
        return {name: GRIPPER_ENOUGH if name in robot.grippers else ENOUGH for name in robot.joints}

    def _settle(self) -> dict[str, float]:
        """Where all joints stand once nothing moves."""
        start, since = self._readings(), time.monotonic()
        deadline = self._deadline()
        while time.monotonic() - since < self.pace.still_s:
            now = self._watch(TURNS, "let go of the arm, all joints still", "", start)
            if max(map(abs, ways(start, now).values())) > self.pace.still_deg:
                start, since = now, time.monotonic()
            self._wait(deadline, "any joint that moves on")
        return start

    def _watch(
        self, title: str, todo: str, asked: str, start: Mapping[str, float], drawing: str = ""
    ) -> dict[str, float]:
        now = self._readings()
        rows = tuple(
            JointRow(name, here, min(here, start[name]), max(here, start[name]), None, *self._said(name, asked))
            for name, here in now.items()
        )
        self.person.show(LiveView(title, todo, rows, "degrees", keys=(("q", "cancel"),), drawing=drawing))
        self.person.hear()
        return now

    def _said(self, name: str, asked: str) -> tuple[str, str]:
        """A joint's state and note on the screen."""
        if name == asked:
            return "short", THIS_ONE
        return ("good" if name in self.turned else "waiting"), ""

    def _deadline(self) -> float:
        return time.monotonic() + self.pace.alone_s if self.person.alone else math.inf

    def _wait(self, deadline: float, what: str) -> None:
        if time.monotonic() > deadline:
            do = "turn it when asked, or answer skip to this test"
            got = f"nothing within {self.pace.alone_s:g} s"
            raise CalibrationImplausible(sentence(f"waited for {what}", expected="a turn by hand", got=got, do=do))
        time.sleep(STEP_S)
