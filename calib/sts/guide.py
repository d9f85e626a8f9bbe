"""Before a sweep: is every motor the one that its joint's name says, and does it turn the right way round?

Each joint is moved by hand in a direction that is named; all servos are watched (calib/moved.py judges). Another one
that moves tells of exchanged ids, the right one moving the wrong way of a reversed servo. Asked again once, then
refused with the cause. Takes a Person and Live readings; writes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calib.drawing import draw
from calib.moved import GOOD, OTHER, REVERSED, SEVERAL, Moved, Return, judge, ways
from calib.person import AGAIN, JointRow, LiveView, Person, Question
from calib.sts.judge import turned
from calib.sts.live import Live, wait_still
from calib.sts.servos import Reading
from calib.sts.zero import POSE
from firmware_bridge.errors import CalibrationImplausible, sentence
from firmware_bridge.kinematics.link import Body

ENOUGH_DEG = 10.0
TRIES = 2
# What to do with each joint, and whether its ticks must then rise. Directions are those of kinematics/directions.py
# (a test holds them to it), seen from behind the arm; those that a folded arm can do, too.
WORDS: Mapping[str, tuple[int, str]] = {
    "shoulder_pan": (-1, "swing the whole arm to its left"),
    "shoulder_lift": (1, "tip the upper arm forward and down"),
    "elbow_flex": (-1, "bend the forearm up"),
    "wrist_flex": (-1, "bend the gripper up"),
    "wrist_roll": (-1, "turn the gripper clockwise, seen from behind it"),
    "gripper": (1, "open the gripper"),
}
OPPOSITE: Mapping[str, str] = {
    "shoulder_pan": "to its right",
    "shoulder_lift": "back and up",
    "elbow_flex": "down",
    "wrist_flex": "down",
    "wrist_roll": "counter-clockwise",
    "gripper": "closed",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One joint that a person is asked to move."""

    joint: str
    ids: Mapping[str, int]

    @property
    def sign(self) -> int:
        return WORDS[self.joint][0]

    @property
    def text(self) -> str:
        return f"{self.joint}: {WORDS[self.joint][1]}, about 20 degrees"

    def went_wrong(self, seen: Moved) -> str:
        """What was seen instead, for people."""
        other = seen.joints[0]
        if seen.verdict == REVERSED:
            return f"{self.joint} went {OPPOSITE[self.joint]}, going by its servo (id {self.ids[self.joint]})"
        return f"you moved {other}'s motor (id {self.ids[other]}) while {self.joint} was asked for"

    def cause(self, seen: Moved) -> str:
        """Why, when it was seen twice."""
        if seen.verdict == REVERSED:
            return f"its servo is mounted the other way round; {turned(self.joint)}"
        here, there = self.ids[self.joint], self.ids[seen.joints[0]]
        return (
            f"ids {here} and {there} are exchanged (armside setup-motors gives them anew), "
            f"or another joint than {self.joint} was moved"
        )


def guide(person: Person, live: Live, body: Body) -> dict[str, str]:
    """Every joint moved the right way; joint -> what was seen. Raises CalibrationImplausible, Cancelled."""
    live.start()
    found = {}
    for joint in live.servos.ids:
        asked = Asked(joint, live.servos.ids)
        home = None
        for attempt in range(1, TRIES + 1):
            seen, home = _watch(person, live, asked, body, home)
            if seen.verdict == GOOD:
                break
            if attempt == TRIES:
                what = f"{asked.went_wrong(seen)}, twice"
                raise CalibrationImplausible(sentence(what, expected=WORDS[joint][1], do=asked.cause(seen)))
            text = f"{asked.went_wrong(seen)}. Put it back where it was, then once more: {asked.text}."
            person.ask(Question(f"guide.{joint}", text, options=(AGAIN,), usual=AGAIN))
        found[joint] = WORDS[joint][1]
    return found


def _watch(person: Person, live: Live, asked: Asked, body: Body, home: float | None) -> tuple[Moved, float]:
    """The verdict, as soon as there is a clear one: GOOD at once, anything else when the arm stands still again.

    `home`: where the joint was before the first try, None: now; given back. Putting it back is no move: a reversed
    joint that is only put back would read as a good one.
    """
    drawing = draw(body, pose_of(body), mark=asked.joint, arrow=asked.sign)

    def hold(reading: Reading) -> None:
        person.hear()
        person.show(dataclasses.replace(_view(live, asked, reading, drawing, ""), todo="hold still for a moment"))

    before = wait_still(live, live.pace.settle_s, hold)
    home = before[asked.joint] if home is None else home
    away = before[asked.joint] - home
    back = Return(home, away, ENOUGH_DEG) if abs(away) >= ENOUGH_DEG else None
    person.tell(f"move by hand: {asked.text}")
    enough = dict.fromkeys(before, ENOUGH_DEG)
    began = live.clock()
    message = ""
    for reading in live.readings():
        if person.hear() == AGAIN:
            before = live.degrees()
        now, still = live.degrees(), live.still_s >= live.pace.moved_s
        if back and still and back.reached(now[asked.joint]):
            before, back, message = now, None, f"it is back; now {asked.text}"
        elif back:
            message = _put_back(back.past(now[asked.joint]))
        seen = judge(asked.joint, asked.sign, ways(before, now), enough)
        if (seen.verdict == GOOD and not back) or (still and seen.verdict in (OTHER, REVERSED)):
            return seen, home
        if still and seen.verdict == SEVERAL:
            message, before = f"{' and '.join(seen.joints)} moved: hold the others still", live.degrees()
        person.show(_view(live, asked, reading, drawing, message))
        if person.alone and live.clock() - began > live.pace.patience_s:
            what = f"nobody moved {asked.joint} within {live.pace.patience_s:.0f} s"
            raise CalibrationImplausible(
                sentence(what, expected=asked.text, do="move it by hand, or stay in a terminal")
            )
    raise AssertionError("readings end only by an error")


def _put_back(past: float) -> str:
    """What a person reads who has still to put the joint back; `past` its place before, degrees."""
    where = "" if past < ENOUGH_DEG else f", {past:.0f} degrees the other way"
    return f"put it back first{where}, and hold it there"


def _view(live: Live, asked: Asked, reading: Reading, drawing: str, message: str) -> LiveView:
    rows = tuple(_row(live, name, name == asked.joint, reading.silent_s.get(name)) for name in live.shafts)
    keys = (("r", "start this joint again"), ("q", "cancel"))
    return LiveView(
        f"which motor is which: {asked.joint}", asked.text, rows, keys=keys, drawing=drawing, message=message
    )


def _row(live: Live, name: str, asked: bool, silent_s: float | None) -> JointRow:
    shaft = live.shafts[name]
    state = "lost" if silent_s else "waiting" if asked else ""
    note = f"no answer for {silent_s:.1f} s" if silent_s else ""
    return JointRow(name, shaft.position, shaft.low, shaft.high, None, state, note)


def pose_of(body: Body, joints: Sequence[str] | None = None) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The drawn pose, rad and a gripper's 0..1, in the order of the body's joints."""
    return np.array([np.radians(POSE[name]) for name in joints or body.joints])
