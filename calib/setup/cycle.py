"""Does a motor keep its id without power? It is unplugged and plugged in again, and then asked.

Takes a Person, an AnyBaud and the servo, gives the servo as it came back. Whether it was without power is seen, not
believed: it falls silent, or a number that lives only in its SRAM is gone. Knows no joints but the question's key.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from calib.person import YES, LiveView, Person, Question
from calib.setup.any_baud import USUAL, AnyBaud
from calib.setup.assign import is_set
from calib.setup.servos import Servo, find_servos, read_servo
from firmware_bridge.errors import (
    BridgeError,
    CorruptAnswer,
    EepromError,
    NoAnswer,
    PortError,
    ServoError,
    sentence,
)

MARKER = ("Acceleration", 254)  # of a limp servo it moves nothing; a servo that starts has 0
SILENT_LOOKS = 2  # in a row: one may be a glitch
LOOK_S = 0.05
LOST_S = 4.0  # silent for so long after power-off: perhaps it is back under another id
SKIP = "skip"
PLUGGING = (NoAnswer, CorruptAnswer, PortError)  # what a plug that is being pushed in does
QUIT_KEY = (("q", "cancel"),)


@dataclass(frozen=True, slots=True)
class Cycle:
    """One check."""

    joint: str
    servo: Servo
    wait_s: float


def power_cycle(person: Person, port: AnyBaud, cycle: Cycle) -> Servo | None:
    """The servo after it was without power; None: skipped. Raises EepromError when it forgot, NoAnswer, Cancelled."""
    todo = f"unplug the {cycle.joint} motor's cable and plug it in again"
    text = f"Now {todo} (or switch the supply off and on), then press Enter."
    with contextlib.suppress(ServoError):  # unmarked it must be seen silent
        port.bus(USUAL).write(cycle.servo.id, *MARKER)
    while True:
        if person.ask(Question(f"cycle.{cycle.joint}", text, options=(YES, SKIP))) == SKIP:
            return None
        servo = _Watch(person, port, cycle, todo).until_back()
        if servo is not None:
            return servo
        why = f"the motor was not seen without power in {cycle.wait_s:.0f} s"
        if person.alone:
            do = f"{todo}, or give --no-cycle"
            raise NoAnswer(sentence(why, expected="silence, then an answer", got="answers all the time", do=do))
        person.tell(f"{why}; try again, or answer {SKIP}")


class _Watch:
    """Looks until the servo was away and is back."""

    def __init__(self, person: Person, port: AnyBaud, cycle: Cycle, todo: str) -> None:
        self.person, self.port, self.cycle, self.todo = person, port, cycle, todo
        self.silent = 0
        self.silent_since = 0.0
        self.away = False

    def until_back(self) -> Servo | None:
        give_up = time.monotonic() + self.cycle.wait_s
        while time.monotonic() < give_up:
            if self._answers():
                if (self.away or self._restarted()) and (servo := self._judged()) is not None:
                    return servo
            elif self.away and time.monotonic() - self.silent_since > LOST_S:
                self._refuse_other()
                self.silent_since = time.monotonic()
            message = "it is without power; waiting for it" if self.away else "it still has power"
            title = f"Does it keep id {self.cycle.servo.id}?"
            self.person.show(LiveView(title, self.todo, (), keys=QUIT_KEY, message=message))
            self.person.hear()
            time.sleep(LOOK_S)
        if self.away:
            do = "plug it in again and run the same command again"
            raise NoAnswer(sentence(f"the {self.cycle.joint} motor did not come back", got="silence", do=do))
        return None

    def _answers(self) -> bool:
        try:
            answered = self.port.bus(USUAL).ping(self.cycle.servo.id) is not None
        except PortError:  # its supply fed the adapter too: the port is opened again when it is back
            self.port.close()
            answered, self.silent = False, SILENT_LOOKS
        if answered:
            self.silent = 0
            return True
        if not self.silent or not self.away:
            self.silent_since = time.monotonic()
        self.silent += 1
        self.away = self.away or self.silent >= SILENT_LOOKS
        return False

    def _restarted(self) -> bool:
        try:
            return self.port.bus(USUAL).read(self.cycle.servo.id, MARKER[0]) != MARKER[1]
        except PLUGGING:
            return False

    def _judged(self) -> Servo | None:
        """The servo, None: its plug is not all the way in yet. Raises EepromError."""
        try:
            servo = read_servo(self.port.bus(USUAL), self.cycle.servo.id, USUAL)
        except PLUGGING:
            return None
        if not is_set(servo, self.cycle.servo.id):
            raise _forgot(self.cycle.servo, servo)
        return servo

    def _refuse_other(self) -> None:
        with contextlib.suppress(PortError):
            for servo in find_servos(self.port).servos:
                if not is_set(servo, self.cycle.servo.id):
                    raise _forgot(self.cycle.servo, servo)


def _forgot(wanted: Servo, got: Servo) -> BridgeError:
    do = "run the same command again; if it forgets again, this motor's memory is broken: use another one"
    what = "the motor forgot what was written when its power went"
    return EepromError(sentence(what, expected=f"id {wanted.id} at {USUAL} baud", got=got, do=do))
