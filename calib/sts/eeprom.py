"""The EEPROM of an arm's servos changed as one: unlocked, written, read back, locked, read again; or undone.

Takes a Bus and what each servo is to hold, gives what could not be undone. What makes a servo forget: a Lock that is 1
while it is written (LeRobot #1342), and that is also how a servo that restarted in between is known, for Lock is 1
after power-on. So Lock must read 0 before the first write and still after the last one, and values are written
even where they read right already: they may be right until the next power-off only. Knows no files.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firmware_bridge.errors import BridgeError, EepromError, ServoError, ServoWrong, sentence
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.registers import EEPROM_SIZE, MULTI_TURN_BIT, REGISTERS

CALIBRATED = ("Homing_Offset", "Min_Position_Limit", "Max_Position_Limit")
CHANGED = ("Operating_Mode", "Phase", *CALIBRATED)
TRIES = 3  # of one servo, whole
PAUSE_S = 0.05  # before it is tried again: a servo that restarts is silent for a while
RIGID = "let the arm go limp first: armside bridge end, or switch its power off and on"


@dataclass(frozen=True, slots=True)
class ServoChange:
    """One servo: what CHANGED held, and what it is to hold."""

    joint: str
    id: int
    old: Mapping[str, int]
    new: Mapping[str, int]

    @property
    def differing(self) -> tuple[str, ...]:
        """ "Homing_Offset 0 -> 1554" of each register that is another one."""
        return tuple(
            f"{name} {self.old[name]} -> {self.new[name]}" for name in CHANGED if self.old[name] != self.new[name]
        )


def plan(bus: Bus, calibration: Calibration) -> tuple[ServoChange, ...]:
    """What would change in which servo. Writes nothing. Raises EepromError when torque is on, ServoError."""
    refuse_rigid(bus, {name: joint.id for name, joint in calibration.joints})
    changes = []
    for name, joint in calibration.joints:
        old = read(bus, joint.id)
        new = {
            "Operating_Mode": 0,
            "Phase": old["Phase"] & ~MULTI_TURN_BIT,  # readings would leave 0..4095 (lerobot PR #3373)
            "Homing_Offset": joint.homing_offset,
            "Min_Position_Limit": joint.range_min,
            "Max_Position_Limit": joint.range_max,
        }
        changes.append(ServoChange(name, joint.id, old, new))
    return tuple(changes)


def read(bus: Bus, servo: int) -> dict[str, int]:
    """CHANGED of one servo, in one request. Raises ServoError."""
    image = bus.read_bytes(servo, 0, EEPROM_SIZE).data
    return {name: REGISTERS[name].decode(image[REGISTERS[name].address :]) for name in CHANGED}


def refuse_rigid(bus: Bus, servos: Mapping[str, int]) -> None:
    """Raises EepromError with the joints whose torque is on: a zero that moves under them would jerk them."""
    rigid = [name for name, servo in servos.items() if bus.read(servo, "Torque_Enable")]
    if rigid:
        got = f"torque is on in {', '.join(rigid)}"
        raise EepromError(
            sentence("servo memory is changed in a limp arm only", expected="torque off", got=got, do=RIGID)
        )


def fingerprint(rows: Mapping[str, tuple[int, Mapping[str, int]]]) -> str:
    """12 hex digits over joint, id and the CALIBRATED registers of each; `rows`: joint -> (id, registers)."""
    plain = [[joint, servo, *(registers[name] for name in CALIBRATED)] for joint, (servo, registers) in rows.items()]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:12]


class Transaction:
    """`write` all, or `undo` what it touched."""

    def __init__(self, bus: Bus, changes: Sequence[ServoChange]) -> None:
        self.bus = bus
        self.changes = tuple(changes)
        self._touched: list[ServoChange] = []
        self._opened: set[int] = set()  # servos whose Lock was 0: only these can have kept anything
        self._holds: dict[int, dict[str, tuple[int, ...]]] = {}  # servo -> register -> values that it may hold

    def write(self) -> None:
        """Every servo holds its new values, persistently. Raises EepromError, ServoError, PortLost: then undo."""
        for change in self.changes:
            self._touched.append(change)
            self._put(change, change.new)
        for change in self.changes:  # once more, all of them: whatever happened to the first while the last was written
            self._verify(change, change.new)

    def undo(self) -> tuple[str, ...]:
        """Every touched servo holds its old values; else per joint what it may hold now. Never raises BridgeError."""
        left = [change for change in self._touched if change.id in self._opened]
        for attempt in range(TRIES):
            if not left:
                return ()
            if attempt:
                time.sleep(2 * PAUSE_S)
            here = self._answering(left)  # one request for all: whoever is gone costs no time of its own
            left = [change for change in left if change.id not in here or not self._undone(change)]
        return tuple(self._says(change) for change in left)

    def _answering(self, changes: Sequence[ServoChange]) -> set[int]:
        lock = REGISTERS["Lock"]
        try:
            frames = self.bus.sync_read(lock.address, lock.length, [change.id for change in changes]).frames
        except BridgeError:
            return set()
        return {*frames}

    def _undone(self, change: ServoChange) -> bool:
        try:
            self._put(change, change.old)
        except BridgeError:
            return False
        return True

    def _put(self, change: ServoChange, values: Mapping[str, int]) -> None:
        for attempt in range(TRIES):
            try:
                return self._put_once(change, values)
            except ServoError:
                if attempt == TRIES - 1:
                    raise
                time.sleep(PAUSE_S)

    def _put_once(self, change: ServoChange, values: Mapping[str, int]) -> None:
        holds = self._holds.setdefault(change.id, {name: (change.old[name],) for name in CHANGED})
        self._unlock(change)
        for name in CHANGED:
            holds[name] = tuple(dict.fromkeys((*holds[name], values[name])))  # until the servo has said so
            self.bus.write(change.id, name, values[name])
            holds[name] = (values[name],)
        if self.bus.read(change.id, "Lock") != 0:
            for name in CHANGED:
                holds[name] = tuple(dict.fromkeys((change.old[name], change.new[name])))
            what = f"{change.joint} (servo {change.id}) restarted while its memory was written"
            raise EepromError(sentence(what, expected="Lock 0", got="Lock 1", do="check the power supply and its plug"))
        self.bus.write(change.id, "Lock", 1)

    def _unlock(self, change: ServoChange) -> None:
        try:
            self.bus.write(change.id, "Lock", 0)
        except ServoWrong as error:
            what = f"locked EEPROM: the memory of {change.joint} (servo {change.id}) does not open"
            do = "switch the arm's power off and on and try again; if it stays so, this servo must be replaced"
            raise EepromError(sentence(what, expected="Lock 0 after writing 0", got="Lock 1", do=do)) from error
        self._opened.add(change.id)

    def _verify(self, change: ServoChange, values: Mapping[str, int]) -> None:
        kept = read(self.bus, change.id)
        wrong = [f"{name} {kept[name]} instead of {values[name]}" for name in CHANGED if kept[name] != values[name]]
        if wrong:
            what = f"{change.joint} (servo {change.id}) did not keep what was written"
            raise EepromError(sentence(what, got=", ".join(wrong), do="switch the arm's power off and on, try again"))

    def _says(self, change: ServoChange) -> str:
        holds = self._holds[change.id]
        words = [
            f"{name} = {' or '.join(map(str, holds[name]))}"
            for name in CHANGED
            if len({change.old[name], change.new[name]}) > 1
        ]
        return f"{change.joint} (servo {change.id}) holds {', '.join(words) or 'what it held'}"
