"""The guided direction test: a hand moves one joint at a time the way that is named, and its number must follow.

A mirrored joint survives every round trip of units and looks right near its middle; only the arm itself shows it.
What the hand is asked for comes from forward kinematics in one drawn pose that the person sets by eye, never from
readings that may be wrong. Takes a Person, a function that reads the limp arm in SI, and the robot's bodies; gives
what was Seen of each joint. Knows no bus and no policy.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calib.drawing import draw, goes
from calib.moved import GOOD, OTHER, REVERSED, SEVERAL, WAITING, Moved, Return, judge, ways
from calib.person import AGAIN, DONE, YES, JointRow, LiveView, Person, Question
from firmware_bridge.kinematics.bodies import Placed
from firmware_bridge.kinematics.directions import direction

Array = npt.NDArray[np.float64]
Read = Callable[[], tuple[Array, npt.NDArray[np.bool_]]]  # positions [D] in SI, and which of them are fresh

SKIP, LOST, UNCLOSED = "skip", "lost", "unclosed"  # beside moved.py's verdicts
ENOUGH = math.radians(12.0)  # of a joint
GRIPPER_ENOUGH = 0.3  # of its way
STILL = 0.05  # of what is enough: less within Guided.still_s is a hand that rests
EYE = math.radians(35.0)  # so far from the drawn pose is not the eye's mistake any more
TRIES = 2  # before what is odd is believed
PERIOD_S = 1 / 30
CLOSED = 0.2  # a closed gripper reads less
TOLD = {"up", "left", "clockwise"}  # asked for rather than their opposites: nothing moves up by its own weight
# moved.py's verdict -> state and note of the asked joint's row on the screen.
SHOWN = {
    GOOD: ("good", "the right way"),
    REVERSED: ("wide", "the other way round"),
    OTHER: ("waiting", "this one"),
    SEVERAL: ("short", "this one"),
    WAITING: ("waiting", "this one"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One joint's turn."""

    joint: str
    sign: int  # the way our own number must go
    does: str  # what one sees then: "the gripper goes left"
    drawing: str = ""
    gripper: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What one joint did. `verdict`: GOOD, REVERSED, OTHER, SEVERAL, WAITING (nothing moved), LOST, UNCLOSED, SKIP."""

    step: Step
    verdict: str
    before: float = math.nan  # SI
    after: float = math.nan
    joints: tuple[str, ...] = ()  # that moved, the furthest first

    @property
    def good(self) -> bool:
        return self.verdict == GOOD


@dataclass(frozen=True, slots=True)
class Directions:
    """The whole test. `off`: joint -> rad from where the drawn pose has it."""

    seen: tuple[Seen, ...]
    off: Mapping[str, float]

    @property
    def ok(self) -> bool:
        return not self.off and all(seen.good for seen in self.seen)


@dataclass(frozen=True, slots=True)
class Guided:
    """What the test needs. `patience_s`: where nobody can press a key, a joint that does not move ends by itself."""

    person: Person
    read: Read
    joints: tuple[str, ...]  # [D]
    grippers: tuple[str, ...]
    patience_s: float = 30.0
    still_s: float = 0.6  # a hand that rests so long has finished its move


def run(test: Guided, arms: Sequence[Placed]) -> Directions:
    """Every joint of every arm, as long as somebody moves them. The arm must be limp.

    Raises Cancelled, and what `read` raises.
    """
    seen: list[Seen] = []
    off: dict[str, float] = {}
    for arm in arms:
        off |= _pose(test, arm)
        for step in steps(arm):
            deserted = test.person.alone and any(row.verdict == WAITING for row in seen)
            seen.append(Seen(step, SKIP) if deserted else _step(test, step))
    return Directions(tuple(seen), off)


def steps(arm: Placed) -> list[Step]:
    """The arm's joints in order, each with the way that is asked for, seen from its straight pose."""
    straight, found = np.array(arm.body.straight), []
    for joint in arm.body.joints:
        name = arm.called(joint)
        if joint == arm.body.gripper:
            found.append(Step(name, 1, "it opens", gripper=True))
            continue
        words = direction(arm.body, joint, straight).split(", ")
        sign = 1 if TOLD & set(words) else -1
        does = goes(arm.body, straight, joint, sign).partition(": ")[2]
        found.append(Step(name, sign, does, draw(arm.body, straight, joint, sign)))
    return found


# -- one pose that the eye can set


def _pose(test: Guided, arm: Placed) -> dict[str, float]:
    """Joints that are far from the drawn pose while the person says that the arm is in it."""
    key = f"pose.{arm.side}" if arm.side else "pose"
    which = f"the {arm.side} arm" if arm.side else "the arm"
    straight = np.array(arm.body.straight)
    text = f"Hold {which} as drawn and keep a hand under it. Is it there?"
    found: dict[str, float] = {}
    for tries in range(TRIES):
        test.person.ask(Question(key, text, (YES,), drawing=draw(arm.body, straight)))
        now, _ = test.read()
        found = {
            arm.called(joint): float(turned(now[arm.columns][index] - straight[index]))
            for index, joint in enumerate(arm.body.joints)
            if joint != arm.body.gripper and abs(turned(now[arm.columns][index] - straight[index])) > EYE
        }
        if not found:
            return {}
        if tries + 1 < TRIES:
            names = ", ".join(f"{name} by {math.degrees(value):.0f} degrees" for name, value in found.items())
            test.person.tell(f"the readings are far from that pose: {names}; look once more")
    return found


def turned(angle: float) -> float:
    """The same angle within half a turn either way."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


# -- one joint


def _step(test: Guided, step: Step) -> Seen:
    """Asks, watches, and asks again before it believes that something is odd."""
    seen = Seen(step, SKIP)
    home = math.nan
    for tries in range(TRIES):
        if test.person.ask(_question(step)) == SKIP:
            return seen
        seen = _watch(test, step, home)
        home = seen.before if seen.verdict == REVERSED else math.nan
        if seen.good or (test.person.alone and seen.verdict == WAITING):
            break
        if tries + 1 < TRIES:
            back = "put it back, then " if seen.verdict == REVERSED else ""
            test.person.tell(f"{again(seen)}; {back}once more to be sure")
    return seen


def _question(step: Step) -> Question:
    if step.gripper:
        text = f"{step.joint}: close it with your fingers until it stops. Closed, and ready to open it wide?"
    else:
        text = f"{step.joint}: move only this joint, about 20 degrees, so that {step.does}. Ready?"
    return Question(f"direction.{step.joint}", text, (YES, SKIP), drawing=step.drawing)


def again(seen: Seen) -> str:
    """What was odd, in a few words."""
    joint = seen.step.joint
    others = ", ".join(name for name in seen.joints if name != joint)
    return {
        REVERSED: f"{joint} counted the other way",
        OTHER: f"{joint} stood still and {others} moved",
        SEVERAL: f"{others} moved as well as {joint}",
        WAITING: f"{joint} did not move far enough",
        LOST: f"{joint} does not answer",
        UNCLOSED: f"{joint} reads {100 * seen.before:.0f} % where it is closed",
    }[seen.verdict]


def _watch(test: Guided, step: Step, home: float) -> Seen:
    """Until the hand rests after a move that is enough, or the person says done.

    `home`: where the joint was before the first try, or nan. Putting it back is no move: a reversed joint that is only
    put back would read as a good one.
    """
    place = test.joints.index(step.joint)
    before, fresh = test.read()
    away = float(before[place]) - home
    enough = _enough(test)[step.joint]
    back = Return(home, away, enough) if abs(away) >= enough else None
    rested, rested_at = before, time.monotonic()
    deadline = rested_at + test.patience_s
    while True:
        now, fresh = test.read()
        moved = _judge(test, step, before, now)
        if back and moved.verdict == GOOD:
            moved = Moved(WAITING)
        test.person.show(_view(test, step, before, now, moved, back))
        word, at = test.person.hear(), time.monotonic()
        if word == AGAIN:
            before, deadline = now, at + test.patience_s
        if _parts(test, rested, now).max() > STILL:
            rested, rested_at = now, at
        if back and at - rested_at > test.still_s and back.reached(now[place]):
            before, back = now, None
            continue
        settled = moved.verdict != WAITING and at - rested_at > test.still_s
        if word == DONE or settled or (test.person.alone and at > deadline):
            verdict = moved.verdict if fresh[place] else LOST
            if verdict == GOOD and step.gripper and before[place] > CLOSED:
                verdict = UNCLOSED
            return Seen(step, verdict, float(before[place]), float(now[place]), moved.joints)
        time.sleep(PERIOD_S)


def _enough(test: Guided) -> dict[str, float]:
    return {joint: GRIPPER_ENOUGH if joint in test.grippers else ENOUGH for joint in test.joints}


def _parts(test: Guided, before: Array, now: Array) -> Array:
    """[D] how far each joint went, in parts of what is enough."""
    parts: Array = np.abs(now - before) / np.array(list(_enough(test).values()))
    return parts


def _judge(test: Guided, step: Step, before: Array, now: Array) -> Moved:
    way = ways(dict(zip(test.joints, before.tolist(), strict=True)), dict(zip(test.joints, now.tolist(), strict=True)))
    return judge(step.joint, step.sign, way, _enough(test))


def _view(test: Guided, step: Step, before: Array, now: Array, moved: Moved, back: Return | None) -> LiveView:
    rows = []
    for index, joint in enumerate(test.joints):
        start, here = (100 * v if joint in test.grippers else math.degrees(v) for v in (before[index], now[index]))
        state, note = ("", "")
        if joint == step.joint:
            state, note = SHOWN[moved.verdict]
        elif joint in moved.joints:
            state, note = "wide", "moves instead" if moved.verdict == OTHER else "moves as well"
        rows.append(JointRow(joint, here, min(start, here), max(start, here), None, state, note))
    todo = "open it wide" if step.gripper else f"move only {step.joint}, so that {step.does}; then hold still"
    if back:
        was = f"{100 * back.home:.0f} %" if step.gripper else f"{math.degrees(back.home):.0f} degrees"
        todo = f"first put {step.joint} back where it was ({was}), and hold still"
    keys = (("Enter", "done"), ("r", "again"), ("q", "cancel"))
    return LiveView(f"direction of {step.joint}", todo, tuple(rows), "degrees, gripper %", keys, step.drawing)
