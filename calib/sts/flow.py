"""Calibrating an SO arm: let go, which motor is which, pose, sweep, judgement, and only then write.

Takes a Person, an open Bus and a Job; gives the Calibration that servos and files hold afterwards. Nothing that
stays is written before the last question is answered; `save` then writes all or nothing. Cancelling anywhere, a servo
that falls silent and a cable that is pulled therefore leave EEPROM and files as they were.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from calib.drawing import draw
from calib.person import AGAIN, YES, Person, Question
from calib.provenance import Provenance
from calib.provenance import Swept as SweptRow
from calib.sts import judge
from calib.sts.drive import drive
from calib.sts.guide import guide, pose_of
from calib.sts.judge import Finding
from calib.sts.live import Live, Pace, wait_still
from calib.sts.save import Where, recover, save
from calib.sts.servos import Servos, limp
from calib.sts.sweep import Swept, close_gripper, missing_of, sweep
from calib.sts.table import Held, table
from calib.sts.zero import Measured, Zeroed, zeroed
from firmware_bridge.errors import CalibrationImplausible, sentence
from firmware_bridge.kinematics.link import Body
from firmware_bridge.robot import Robot
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.plausible import problems
from firmware_bridge.sts.travel import TRAVEL
from policy_spec.errors import Cancelled

POSE_TEXT = "Upper arm upright, forearm level, gripper level with it, jaws one above the other (the moving one on top)"
ROLL_TEXT = "Turn the gripper so that its jaws are one above the other, the moving one on top"
STOP = "stop"


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be calibrated, and how."""

    robot: Robot
    body: Body
    where: Where
    mode: str = "mechanical"  # a key of zero.MODES
    driven: bool = False
    mechanics: bool = True  # False: a modified arm, whose ways are not compared
    port: str = ""
    armside: str = ""  # version
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What servos and files hold now."""

    calibration: Calibration
    provenance: Provenance
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one sweep brought."""

    swept: Mapping[str, Swept]
    poses: Mapping[str, float]  # joint -> shaft ticks in the pose; of the joints that need one
    closed: float | None  # the gripper, ticks of its sweep


def calibrate(person: Person, bus: Bus, job: Job) -> Outcome:
    """All of it. Raises Cancelled, BridgeError; then nothing was written, or the text says what is left."""
    if undone := recover(bus, job.where):
        person.tell(undone)
    servos = Servos(bus, job.robot)
    for line in servos.connect():
        person.tell(line)
    limp(bus, servos.ids, person)
    live = Live(servos, job.pace)
    directions = guide(person, live, job.body)
    while True:
        seen = _driven(person, live, job) if job.driven else _swept(person, live, job)
        rows = _zeroed(job, servos, seen)
        findings = _findings(job, rows, seen)
        if not _refused(person, findings):
            break
    calibration = Calibration(
        tuple((joint, row.calibration) for joint, row in rows.items()), str(job.where.calibration)
    )
    for line in (
        *table(rows, held(bus, servos.ids), job.robot.grippers),
        *map(str, judge.horns(rows, job.robot.grippers)),
        *_notes(rows),
    ):
        person.tell(line)
    if person.ask(Question("write", "Write this into the servos and the files?")) != YES:
        raise Cancelled("cancelled: nothing was written")
    provenance = _provenance(job, rows, seen, directions)
    return Outcome(calibration, provenance, save(bus, job.robot, calibration, provenance, job.where))


def held(bus: Bus, ids: Mapping[str, int]) -> dict[str, Held]:
    """What the servos hold now."""
    names = ("Homing_Offset", "Min_Position_Limit", "Max_Position_Limit")
    return {joint: Held(*(bus.read(servo, name) for name in names)) for joint, servo in ids.items()}


# -- measuring


def _swept(person: Person, live: Live, job: Job) -> Seen:
    poses = _posed(person, live, job)
    swept = sweep(person, live)
    if job.mechanics and missing_of(live):
        return Seen(swept, poses, None)  # it is refused anyway
    gripper = job.robot.grippers[0]
    return Seen(swept, poses, close_gripper(person, live, gripper, swept[gripper]))


def _driven(person: Person, live: Live, job: Job) -> Seen:
    poses = _posed(person, live, job)
    swept = drive(person, live)
    return Seen(swept, {name: at for name, at in poses.items() if TRAVEL[name].free}, None)


def _posed(person: Person, live: Live, job: Job) -> dict[str, float]:
    """Where the shafts are in the pose: of every joint, or of those alone whose zero nothing else tells."""
    pose = pose_of(job.body)
    if job.mode == "mechanical" and not job.driven:
        free = [name for name in job.robot.joints if TRAVEL[name].free]
        question = Question("roll", f"{ROLL_TEXT}. Ready?", drawing=draw(job.body, pose, mark=free[0]))
    else:
        free = list(job.robot.joints)
        question = Question("pose", f"Bring the arm into the pose: {POSE_TEXT}. Ready?", drawing=draw(job.body, pose))
    if person.ask(question) != YES:
        raise Cancelled("cancelled: nothing was written")
    live.start()
    wait_still(live, job.pace.still_s if person.alone else job.pace.pose_s, lambda reading: person.hear())
    found = {name: live.shafts[name].position for name in free}
    return {name: at for name, at in found.items() if at is not None}


# -- judging


def _zeroed(job: Job, servos: Servos, seen: Seen) -> dict[str, Zeroed]:
    """Joints that were not moved at all are left out: judge.ways has them."""
    rows = {}
    for joint, servo in servos.ids.items():
        one = seen.swept[joint]
        if one.width_deg or TRAVEL[joint].free:
            measured = Measured(servo, one.low, one.high, seen.poses.get(joint))
            rows[joint] = zeroed(job.mode, joint, measured, joint in job.robot.grippers)
    return rows


def _findings(job: Job, rows: Mapping[str, Zeroed], seen: Seen) -> tuple[Finding, ...]:
    widths = {joint: one.width_deg for joint, one in seen.swept.items()}
    found = judge.ways(widths) + judge.zeros(job.mode, rows, job.robot.grippers)
    if not found and len(rows) == len(widths):
        whole = Calibration(tuple((joint, row.calibration) for joint, row in rows.items()), "this sweep")
        found = tuple(
            Finding(item.joint, f"{item.what}, expected {item.expected}", item.cause) for item in problems(whole)
        )
    if not job.mechanics:  # but no arm's joint stands still from stop to stop
        found = tuple(dataclasses.replace(item, refuses=widths[item.joint] < judge.UNMOVED_DEG) for item in found)
    found += judge.torn([joint for joint, one in seen.swept.items() if one.torn])
    if seen.closed is None:
        return found
    gripper = job.robot.grippers[0]
    swept = seen.swept[gripper]
    return found + judge.closed(gripper, swept.low, swept.high, seen.closed)


def _refused(person: Person, findings: tuple[Finding, ...]) -> bool:
    """Whether it is swept again; returns False when there is nothing to refuse. Raises CalibrationImplausible."""
    for finding in findings:
        person.tell(str(finding))
    refusing = [str(finding) for finding in findings if finding.refuses]
    if not refusing:
        return False
    usual = STOP if person.alone else AGAIN  # nobody there: it would be refused for ever
    question = Question("sweep.refused", "This cannot be right. Sweep again?", options=(AGAIN, STOP), usual=usual)
    if person.ask(question) == AGAIN:
        return True
    do = "mend what is named, then calibrate again; an arm with other mechanics: mechanics = false in its profile"
    raise CalibrationImplausible(sentence("nothing was written: such an arm cannot be", got="; ".join(refusing), do=do))


def _notes(rows: Mapping[str, Zeroed]) -> list[str]:
    return [f"{joint}: {row.note}" for joint, row in rows.items() if row.note]


def _provenance(job: Job, rows: Mapping[str, Zeroed], seen: Seen, directions: Mapping[str, str]) -> Provenance:
    sweeps = {}
    for joint, one in seen.swept.items():
        travel = TRAVEL[joint]
        wanted = None if travel.free else (travel.narrowest, travel.widest)
        ticks = round(one.high - one.low)
        sweeps[joint] = SweptRow(ticks, one.samples, round(one.width_deg, 2), wanted, one.reached)
    return Provenance(
        mode=job.mode,
        robot=job.robot.name,
        port=job.port,
        armside=job.armside,
        date=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        sweep=sweeps,
        directions=directions,
        horns={joint: round(row.horn_deg, 2) for joint, row in rows.items()},
        details={
            "driven": job.driven,
            "zero_doubt_deg": {joint: round(abs(row.doubt_deg) / 2, 2) for joint, row in rows.items()},
        },
    )
