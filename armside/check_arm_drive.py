"""Drives an armed arm through the exercise of a check, records every status, and has the recording judged.

The rim of calib.health: asks the bridge, shows the person, and hands what was recorded to the pure parts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from armside.check_arm_mover import STATUS_S, ArmMover, Listener, Wishes, listening
from calib.health.exercise import Examiner, Notes
from calib.health.gravity import expected
from calib.health.measure import Mark, pose_at_rest
from calib.health.plan import NOT_ASKED, Excursion, Exercise, estimate_s, excursions, start_pose
from calib.health.result import Counted, Facts, Health, joint_health
from calib.health.series import Series, collect, shown
from calib.health.verdict import judge
from calib.health.view import Progress
from firmware_bridge.client import BridgeClient, BridgeError, BridgeGone, Info, Status, Wire
from firmware_bridge.errors import CalibrationError, sentence
from firmware_bridge.moves import RESTING, speeds
from policy_spec.errors import Cancelled

if TYPE_CHECKING:
    from armside.arm_args import ArmChoice
    from armside.armed import Armed
    from calib.person import Person

DRAIN_S = 1.0
UNKNOWN = Wire(0, (), ())
PARKED = 0.1  # rad from the park pose: it lies on something


@dataclass(frozen=True, slots=True)
class Checked:
    """A check, and whether a person ended it."""

    health: Health
    stopped: bool
    series: Series
    marks: tuple[Mark, ...]


def drive(arm: Armed, choice: ArmChoice, exercise: Exercise, wanted: tuple[str, ...], home: bool) -> Checked | None:
    """The check; None where the arm could not even be brought to its start. Raises BridgeError before it moves."""
    from armside.armed import go

    client, info = arm.client, arm.info
    if home:
        moved = go(arm, np.array(info.home_pose), min(exercise.speed, 0.3))
        if arm.stop.asked:
            raise KeyboardInterrupt
        if not moved.ok:
            print(f"armside: the way home was broken off: {moved.why}", file=sys.stderr)
            return None
    pose = np.array(client.status(timeout_s=STATUS_S).commanded)
    _warn(info, pose)
    ways, left_out = excursions(info, pose, exercise, wanted)
    if not ways:
        raise CalibrationError(sentence("no joint can be moved", got="; ".join(left_out.values()), do=_MOVE))
    began, wishes = time.time(), Wishes(arm.stop)
    seconds = estimate_s(info, ways, start_pose(pose, ways), speeds(info, exercise.speed), exercise)
    with listening(choice, client) as listener, _person(arm) as person:
        person.tell(f"{len(ways)} joints, about {seconds:.0f} s; Ctrl-C stops it where it is, holding")
        before = client.wire()
        notes = _exercise(ArmMover(arm, wishes), Shown(info, ways, seconds, person, listener), exercise)
        after = _wire(client)
        listener.drain()
    counted = _counted(info, before, after, ways, left_out, notes)
    facts = _facts(choice, info, exercise, began, notes.ended)
    series = collect(info, listener.kept)
    return Checked(assess(series, notes, counted, facts), wishes.by_person, series, tuple(notes.marks))


_MOVE = "armside home, or --home, brings it to where joints have room"


@dataclass(slots=True)
class Shown:
    """What happens with each status while the arm moves: it is kept, and at times shown."""

    info: Info
    ways: tuple[Excursion, ...]
    seconds: float
    person: Person
    listener: Listener


def _exercise(mover: ArmMover, shown: Shown, exercise: Exercise) -> Notes:
    progress, person = Progress(shown.info, shown.ways, shown.seconds), shown.person
    drained = time.monotonic()

    def show(status: Status) -> None:
        nonlocal drained
        if time.monotonic() - drained > DRAIN_S:
            drained = time.monotonic()
            shown.listener.drain()
        try:
            person.show(progress.view(status))
            person.hear()
        except Cancelled:
            mover.wishes.cancelled = True

    def told(what: str) -> None:
        progress.told(what)
        if person.alone:
            person.tell(what)

    mover.show = show
    examiner = Examiner(mover, exercise, told)
    try:
        return examiner.run(shown.ways)
    except BridgeError as error:  # what was measured so far is kept
        examiner.notes.ended = str(error)
        return examiner.notes


def assess(series: Series, notes: Notes, counted: Counted, facts: Facts) -> Health:
    """The numbers of all joints, judged."""
    counted = dataclasses.replace(counted, load_model=_weight(series, notes, facts))
    joints = tuple(joint_health(series, index, notes.marks, counted) for index in range(len(series.joints)))
    late = int(series.late_ticks[-1] - series.late_ticks[0])
    return judge(Health(facts, joints, len(series.tick), late))


def _weight(series: Series, notes: Notes, facts: Facts) -> tuple[float, ...]:
    from firmware_bridge.robots import find

    pose = pose_at_rest(series, notes.marks)
    if pose is None:
        return ()
    volts = float(np.nanmax(series.voltage)) if np.isfinite(series.voltage).any() else math.nan
    return tuple(expected(find(facts.robot), pose / shown(series.joints, series.grippers), volts).tolist())


def _counted(
    info: Info, before: Wire, after: Wire, ways: tuple[Excursion, ...], left_out: dict[str, str], notes: Notes
) -> Counted:
    same = len(before.missed) == len(after.missed) and all(
        late >= early for early, late in zip(before.missed, after.missed, strict=True)
    )  # a bridge that took over counts from 0
    missed = (
        tuple(late - early for early, late in zip(before.missed, after.missed, strict=True)) if same else after.missed
    )
    out = dict(left_out)
    named = {way.name for way in ways}
    out |= {name: NOT_ASKED for name in info.joints if name not in named and name not in out}
    out |= {name: f"the bridge held it back: {cuts}" for name, cuts in notes.held_back.items()}
    texts = {way.name: way.note for way in ways if way.note}
    return Counted(missed, before.firmware or after.firmware, out, texts)


def _facts(choice: ArmChoice, info: Info, exercise: Exercise, began: float, ended: str) -> Facts:
    from firmware_bridge.robots import find

    return Facts(
        robot=info.arm,
        id=choice.profile.id,
        family=find(info.arm).family,
        port=info.port,
        calibration=info.calibration,
        fingerprint=info.fingerprint,
        when=time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(began)),
        simulated=choice.simulated,
        exercise=exercise,
        seconds=round(time.time() - began, 1),
        ended=ended,
    )


def _wire(client: BridgeClient) -> Wire:
    try:
        return client.wire()
    except BridgeGone:
        return UNKNOWN


def _warn(info: Info, pose: Any) -> None:
    arm = np.array([joint not in info.grippers for joint in info.joints])
    if (np.abs(pose - np.array(info.park_pose)) * arm).max() < PARKED + RESTING:
        text = "the arm is in its park pose, where it may lie on itself: --home measures where it hangs free"
        print(f"note: {text}", file=sys.stderr)


@contextlib.contextmanager
def _person(arm: Armed) -> Iterator[Person]:
    """The person at this terminal; without one, lines."""
    from calib.person import Scripted

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield Scripted(say=lambda text: print(text, flush=True))
        return
    from calib.terminal import Terminal

    with Terminal(arm.stop) as terminal:
        yield terminal
