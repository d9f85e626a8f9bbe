"""A calibration goes into the servos and into its files, all of it or nothing; and what a crash left is undone.

Takes a Bus, a Calibration and where it goes; gives lines for people. Order: every file is written and synced beside its
target, the journal is written, the EEPROM is changed as a transaction (eeprom.py), the files are renamed into
place, the journal goes. Asks nothing, judges no numbers.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path

from calib import lerobot_files
from calib.held_signals import held_signals
from calib.provenance import Provenance, path_beside
from calib.store import Staged, discard, half_of, put, stage, undo
from calib.sts import eeprom
from calib.sts import journal as journals
from calib.sts.eeprom import ServoChange
from calib.sts.journal import Journal
from calib.sts.recovery import recover_from
from firmware_bridge.errors import CalibrationError, EepromError, PortError, ServoError, sentence
from firmware_bridge.robot import Robot
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration


@dataclass(frozen=True, slots=True)
class Where:
    """The files of one arm."""

    calibration: Path
    lerobot: tuple[Path, ...]  # copies for LeRobot: lerobot_files.targets
    journal: Path  # what a broken-off change left; outlives the process

    @property
    def provenance(self) -> Path:
        """The side file."""
        return path_beside(self.calibration)


def save(bus: Bus, robot: Robot, calibration: Calibration, provenance: Provenance, where: Where) -> tuple[str, ...]:
    """Servos and files hold this calibration, or all are as they were; what was written, for people.

    The arm must be limp. Raises EepromError (nothing changed, or the text says what is left), CalibrationError (a file
    cannot be written; nothing changed), ServoError.
    """
    said = recover(bus, where)
    changes = eeprom.plan(bus, calibration)
    known = _with_servos(bus, changes, provenance)
    with held_signals():
        staged = _stage(calibration, known, where)
        _change(bus, Journal(robot.name, provenance.date, changes, staged), where.journal)
    return (said, *_said(changes, staged, where)) if said else _said(changes, staged, where)


def keep_files(bus: Bus, calibration: Calibration, provenance: Provenance, where: Where) -> tuple[str, ...]:
    """Only the files, for servos that hold these numbers already. Raises CalibrationError, EepromError."""
    changes = eeprom.plan(bus, calibration)
    differing = [change.joint for change in changes if change.differing]
    if differing:
        raise EepromError(sentence("servos do not hold these numbers", got=", ".join(differing), do="write them too"))
    known = _with_servos(bus, changes, provenance)
    with held_signals():
        staged = _stage(calibration, known, where)
        _put_all(staged)
    return _files_said(staged, where)


def recover(bus: Bus, where: Where) -> str:
    """What a broken-off change had left and how it was undone; "" when there was nothing. Every flow's first call.

    Raises EepromError when it cannot: the journal stays.
    """
    said = recover_from(bus, where.journal)
    if not said:
        for path in (where.calibration, where.provenance, *where.lerobot):
            discard(Staged(path.resolve(), "", ""))  # of one that was killed before its journal was there
        with contextlib.suppress(OSError):
            half_of(where.journal).unlink(missing_ok=True)
    return said


# -- inside


def _change(bus: Bus, journal: Journal, path: Path) -> None:
    transaction = eeprom.Transaction(bus, journal.changes)
    try:
        journals.write(path, journal)
        transaction.write()
        for item in journal.files:
            put(item)
    except BaseException as error:
        left = transaction.undo() + tuple(filter(None, map(undo, reversed(journal.files))))
        if left:
            raise EepromError(_left(error, left, path)) from error
        journals.drop(path)
        if isinstance(error, OSError):
            raise CalibrationError(sentence("a file could not be put in place; all is as it was", got=error)) from error
        if isinstance(error, (ServoError, PortError)):
            raise EepromError(_undone(error)) from error
        raise
    journals.drop(path)


def _put_all(staged: tuple[Staged, ...]) -> None:
    try:
        for item in staged:
            put(item)
    except BaseException as error:
        left = tuple(filter(None, map(undo, reversed(staged))))
        what = "a file could not be put in place"
        raise CalibrationError(sentence(what, got=f"{error}; {'; '.join(left) or 'all is as it was'}")) from error


def _left(error: BaseException, left: tuple[str, ...], path: Path) -> str:
    why = str(error).partition("; ")[0]
    do = f"connect the arm and its power again and repeat the command: it begins by undoing ({path} remembers)"
    return sentence(f"{why}; what was changed before could not be undone", got="; ".join(left), do=do)


def _undone(error: BaseException) -> str:
    what, _, rest = str(error).partition("; ")
    return "; ".join(filter(None, (what, "servos and files are as they were", rest)))


def _stage(calibration: Calibration, provenance: Provenance, where: Where) -> tuple[Staged, ...]:
    text = lerobot_files.text_of(calibration).encode()
    wanted = {where.calibration: text, where.provenance: provenance.to_json().encode()}
    wanted |= {path: text for path in where.lerobot}
    staged: list[Staged] = []
    try:
        for path, data in wanted.items():
            staged.append(stage(path, data))
    except BaseException:
        for item in staged:
            discard(item)
        raise
    return tuple(staged)


def _with_servos(bus: Bus, changes: tuple[ServoChange, ...], provenance: Provenance) -> Provenance:
    """What the servos say of themselves, and the fingerprint of what they will hold."""
    rows = {change.joint: (change.id, change.new) for change in changes}
    versions = {
        change.joint: ".".join(
            str(bus.read(change.id, name)) for name in ("Firmware_Major_Version", "Firmware_Minor_Version")
        )
        for change in changes
    }
    model = str(bus.read(changes[0].id, "Model_Number"))
    return dataclasses.replace(provenance, firmware=versions, model=model, eeprom=eeprom.fingerprint(rows))


def _said(changes: tuple[ServoChange, ...], staged: tuple[Staged, ...], where: Where) -> tuple[str, ...]:
    rows = [f"{change.joint}: {', '.join(change.differing)}" for change in changes if change.differing]
    servos = ["into the servos, read back and locked:", *(f"  {row}" for row in rows)]
    same = ["the servos held these numbers already; written again and locked, so that they stay"]
    return (*(servos if rows else same), *_files_said(staged, where))


def _files_said(staged: tuple[Staged, ...], where: Where) -> tuple[str, ...]:
    copies = [path.resolve() for path in where.lerobot]
    lines = []
    for item in staged:
        copy = " (for LeRobot)" if item.target in copies else ""
        kept = f"; what was there: {item.kept.name}" if item.old and item.old != item.new else ""
        lines.append(f"{item.target}{copy}{kept}")
    return tuple(lines)
