"""One servo gets its id: unlocked, written, read back under its new name, locked.

Takes an AnyBaud and the only servo on it, gives the servo as it is afterwards. Power may go at any moment: a servo
is then found again at its old or its new id and baud rate, never elsewhere, because only rates that all tables agree
on are written and one byte changes at a time. Signals wait until it is over. Knows no joints.
"""

from __future__ import annotations

import contextlib

from calib.held_signals import held_signals
from calib.setup.any_baud import CODES, USUAL, AnyBaud
from calib.setup.servos import Servo, read_servo
from firmware_bridge.errors import BridgeError, EepromError, NoAnswer, ServoError, sentence
from firmware_bridge.sts import protocol
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.scan import QUIET_S

USUAL_CODE = next(code for code, baud in CODES.items() if baud == USUAL)
# What every servo of ours has beside its id. Status level 1: it acknowledges what it is told. The rest of its
# settings come at connect.
SETTINGS = {"Response_Status_Level": 1, "Return_Delay_Time": 0}
PASSES = 3  # a servo that restarts in between has its Lock back, and what was written after that would vanish
TRIES = 3  # of one register


def is_set(servo: Servo, wanted: int) -> bool:
    """Whether nothing is left to write."""
    right = all(servo.value(name) == value for name, value in SETTINGS.items())
    return servo.id == wanted and servo.baud == USUAL and servo.value("Baud_Rate") == USUAL_CODE and right


def assign(port: AnyBaud, servo: Servo, wanted: int) -> Servo:
    """The servo with id `wanted` at the usual rate, as read back. Raises EepromError, which tells what id it has."""
    with held_signals():
        try:
            return _Assignment(port, servo, wanted).run()
        except BridgeError as error:
            left = _leave(port, servo, wanted)
            what = f"the id of this motor was not set: {error}"
            do = "check its cable, and run the same command again: it is found at any id and baud rate"
            raise EepromError(sentence(what, expected=f"id {wanted} at {USUAL} baud", got=left, do=do)) from error


class _Assignment:
    """Where the servo is by now."""

    def __init__(self, port: AnyBaud, servo: Servo, wanted: int) -> None:
        self.port = port
        self.id = servo.id
        self.baud = servo.baud
        self.wanted = wanted

    def run(self) -> Servo:
        for _ in range(PASSES):
            self._unlock()
            for name, value in SETTINGS.items():
                self._write(name, value)
            # All of it again in each pass, equal or not: what was written after a restart was never stored.
            self._write("ID", self.wanted)
            self._write("Baud_Rate", USUAL_CODE)
            if self._bus().read(self.id, "Lock") == 0:
                self._write("Lock", 1)
                return self._check()
        what = f"the servo restarted {PASSES} times while it was written"
        raise EepromError(sentence(what, do="check the supply and the plug: its voltage breaks down"))

    def _bus(self) -> Bus:
        return self.port.bus(self.baud)

    def _unlock(self) -> None:
        try:
            self._write("Lock", 0)
        except EepromError:
            do = "this servo does not take new values: power-cycle it and try again, else use another one"
            raise EepromError(sentence("its memory stays locked", expected="Lock 0", got="Lock 1", do=do)) from None

    def _write(self, name: str, value: int) -> None:
        """Write and read back, wherever the servo is then.

        No answer to the write is waited for: after an ID it comes under the old one or the new one as the firmware
        likes, with a status level of 0 not at all. What is read back counts.
        """
        register = REGISTERS[name]
        kept: int | None = None
        for _ in range(TRIES):
            bus = self._bus()
            bus.send(protocol.make_write(self.id, register.address, register.encode(value)))
            bus.settle(QUIET_S)
            before = (self.id, self.baud)
            if name == "ID":
                self.id = value
            if name == "Baud_Rate":
                self.baud = CODES[value]
            try:
                kept = self._bus().read(self.id, name)
            except ServoError:  # still where it was: the write was lost
                self.id, self.baud = before
                continue
            if kept == value:
                return
        if kept is None:
            raise NoAnswer(sentence(f"silence after {name} was written", expected=value, got="no answer"))
        raise EepromError(sentence(f"{name} was not kept", expected=value, got=kept))

    def _check(self) -> Servo:
        after = read_servo(self._bus(), self.id, self.baud)
        if not is_set(after, self.wanted):
            got = f"{after}, {', '.join(f'{name} {after.value(name)}' for name in ('Baud_Rate', *SETTINGS))}"
            raise EepromError(sentence("not as written", got=got))
        return after


def _leave(port: AnyBaud, servo: Servo, wanted: int) -> str:
    """Lock the servo if it can be found, and say where it is."""
    for baud in dict.fromkeys((servo.baud, USUAL)):
        for name in dict.fromkeys((servo.id, wanted)):
            with contextlib.suppress(BridgeError):
                bus = port.bus(baud)
                if bus.ping(name) is None:
                    continue
                with contextlib.suppress(BridgeError):
                    bus.write(name, "Lock", 1)
                return f"it has id {name} at {baud} baud"
    return f"it does not answer now; it has id {servo.id} or {wanted}"
