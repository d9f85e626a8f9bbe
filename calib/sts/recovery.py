"""What a broken-off change of an arm's servos and files had left: undone, or finished where only its end was missing.

Takes a Bus and the journal's path, gives a line for people. How far the change got is read from the servos and the
files themselves. An arm that holds other numbers than the journal knows is another arm, and left alone.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from calib.held_signals import held_signals
from calib.store import can_finish, put, undo
from calib.sts import eeprom
from calib.sts import journal as journals
from calib.sts.journal import Journal
from firmware_bridge.errors import EepromError, PortError, ServoError, sentence
from firmware_bridge.sts.bus import Bus


def recover_from(bus: Bus, path: Path) -> str:
    """What was left and what became of it; "" without a journal. Raises EepromError: the journal stays."""
    journal = journals.read(path)
    if journal is None:
        return ""
    found = _found(bus, journal, path)
    eeprom.refuse_rigid(bus, {change.joint: change.id for change in journal.changes})
    with held_signals():
        if all(found[change.id] == change.new for change in journal.changes) and all(map(can_finish, journal.files)):
            return _finish(bus, journal, path)
        return _take_back(bus, journal, path)


# -- inside


def _found(bus: Bus, journal: Journal, path: Path) -> dict[int, dict[str, int]]:
    """What the journal's servos hold now. Raises EepromError: one is silent, or this is another arm."""
    began = f"a change of this arm's servos broke off ({journal.date})"
    found, silent, strange = {}, [], []
    for change in journal.changes:
        try:
            found[change.id] = eeprom.read(bus, change.id)
        except ServoError:
            silent.append(f"{change.joint} (servo {change.id})")
            continue
        for name, value in found[change.id].items():
            if value not in (change.old[name], change.new[name]):
                strange.append(f"{change.joint} {name}: {change.old[name]} or {change.new[name]}, servo {value}")
    if silent:
        do = "check the power supply and the cable, then again"
        raise EepromError(
            sentence(f"{began}, and cannot be undone yet", got=f"no answer from {', '.join(silent)}", do=do)
        )
    if strange:
        do = f"connect the arm that {path} is about; or delete that file, if this arm was calibrated since"
        expected = "the numbers from before or after it"
        raise EepromError(
            sentence(f"{began}, but these are other numbers", expected=expected, got="; ".join(strange), do=do)
        )
    return found


def _finish(bus: Bus, journal: Journal, path: Path) -> str:
    _rewrite(bus, journal, path, back=False)
    left = []
    for item in journal.files:
        try:
            put(item)
        except OSError as error:
            left.append(f"{item.target}: {error}")
    if left:
        raise EepromError(sentence("a broken-off change could not be finished", got="; ".join(left), do="then again"))
    journals.drop(path)
    return f"a change that broke off ({journal.date}) was complete in the servos: its files are in place now"


def _take_back(bus: Bus, journal: Journal, path: Path) -> str:
    _rewrite(bus, journal, path, back=True)
    left = tuple(filter(None, map(undo, journal.files)))
    journals.drop(path)
    text = f"a change that broke off ({journal.date}) was undone: the servos hold what they held before"
    return "; ".join((text, *left))


def _rewrite(bus: Bus, journal: Journal, path: Path, *, back: bool) -> None:
    """Old (`back`) or new values into every servo, even where they read right: they may not be there to stay."""
    wanted = [
        dataclasses.replace(change, new=change.old, old=change.new) if back else change for change in journal.changes
    ]
    try:
        eeprom.Transaction(bus, wanted).write()
    except (ServoError, PortError) as error:
        why = str(error).partition("; ")[0]
        what = f"a change of this arm's servos broke off ({journal.date}) and could not be undone: {why}"
        raise EepromError(
            sentence(what, do=f"connect the arm and its power again, then again ({path} stays)")
        ) from error
