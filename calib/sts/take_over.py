"""Taking over a LeRobot calibration file: what it would change in this arm's servos, and whether it can be this arm's.

Takes a Person, an open Bus, a Calibration and where it goes; gives what was done, for people. The servos that hold the
file's numbers already are left alone; others are written only after a yes, limp, all or nothing (save.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from calib.person import YES, Person, Question
from calib.provenance import Provenance
from calib.sts import eeprom
from calib.sts.eeprom import ServoChange
from calib.sts.save import Where, keep_files, recover, save
from calib.sts.servos import Servos, limp
from firmware_bridge.errors import CalibrationImplausible, CalibrationMismatch, sentence
from firmware_bridge.robot import Robot
from firmware_bridge.sts import plausible
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.registers import TICKS_PER_TURN
from policy_spec.errors import Cancelled

ALL = "every joint differs: another arm's file, or this arm was calibrated elsewhere since the file was written"
SOME = "only some joints differ: a servo was exchanged, or the arm was calibrated elsewhere since"
FACTORY = "these servos were never calibrated: the file can be right for them only if it was made with these very horns"
ASKED = "Write the file's numbers into the servos? The arm's zeros and ranges change to the file's"


@dataclass(frozen=True, slots=True)
class Take:
    """What is taken over. `note`: what a person should know about the file."""

    calibration: Calibration
    provenance: Provenance
    note: str = ""
    mechanics: bool = True  # False: a modified arm


def take_over(person: Person, bus: Bus, robot: Robot, take: Take, where: Where) -> tuple[str, ...]:
    """Servos and files hold the file's numbers; what was written.

    Raises Cancelled, CalibrationImplausible, CalibrationMismatch, EepromError: nothing changed, or it says what did.
    """
    if take.mechanics:
        refuse_implausible(take.calibration, robot)
    if undone := recover(bus, where):
        person.tell(undone)
    servos = Servos(bus, robot)
    for line in servos.connect():
        person.tell(line)
    if take.note:
        person.tell(take.note)
    _refuse_ids(servos, take.calibration)
    limp(bus, servos.ids, person)
    changes = eeprom.plan(bus, take.calibration)
    differing = [change for change in changes if change.differing]
    if take.mechanics:
        _refuse_standing(bus, take.calibration, changes)
    if not differing:
        person.tell("the servos hold the file's numbers already")
        return keep_files(bus, take.calibration, take.provenance, where)
    for change in differing:
        person.tell(f"{change.joint}: {', '.join(change.differing)}")
    person.tell(_meaning(changes, differing))
    if person.ask(Question("from.write", f"{ASKED}.")) != YES:
        raise Cancelled("cancelled: nothing was written")
    return save(bus, robot, take.calibration, take.provenance, where)


def refuse_implausible(calibration: Calibration, robot: Robot) -> None:
    """Raises CalibrationImplausible."""
    if found := plausible.problems(calibration, robot.grippers):
        do = "calibrate the arm anew; an arm with other mechanics: mechanics = false in its profile"
        what = f"{calibration.source} cannot be an arm's such as this"
        raise CalibrationImplausible(sentence(what, got=plausible.text(found), do=do))


def _refuse_ids(servos: Servos, calibration: Calibration) -> None:
    wrong = [f"{name} {row.id}" for name, row in calibration.joints if servos.ids[name] != row.id]
    if wrong:
        what = f"ids in {calibration.source}"
        expected = ", ".join(f"{name} {servo}" for name, servo in servos.ids.items())
        do = "armside setup-motors gives every servo its id; then calibrate anew"
        raise CalibrationMismatch(sentence(what, expected=expected, got=", ".join(wrong), do=do))


def _refuse_standing(bus: Bus, calibration: Calibration, changes: tuple[ServoChange, ...]) -> None:
    """Where the arm stands now, under the file's zeros: an arm is always inside its own ranges."""
    ticks = {}
    for change in changes:
        shaft = bus.read(change.id, "Present_Position") + change.old["Homing_Offset"]
        ticks[change.joint] = (shaft - change.new["Homing_Offset"]) % TICKS_PER_TURN
    if found := plausible.standing(ticks, calibration):
        what = f"this arm cannot stand where {calibration.source} says that it stands"
        do = "name this arm's own file; or calibrate it anew, if a horn was moved since"
        raise CalibrationImplausible(sentence(what, got=plausible.text(found), do=do))


def _meaning(changes: tuple[ServoChange, ...], differing: list[ServoChange]) -> str:
    if all(change.old["Homing_Offset"] == 0 and change.old["Min_Position_Limit"] == 0 for change in changes):
        return FACTORY
    return ALL if len(differing) >= len(changes) - 1 else SOME  # offsets of a free joint may agree by chance
