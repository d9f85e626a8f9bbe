"""The one motion of calibrating a YAM: its gripper's motor is switched on, finds its ends, and is switched off.

Takes the motors and a search (stroke.py), gives four ends. The motor's watchdog is read again just before it is
switched on; whatever happens afterwards, it is switched off, and the person is told whether it confirmed that.
"""

from __future__ import annotations

import time

from calib.damiao.motors import Motors
from calib.damiao.stroke import Stroke
from calib.person import JointRow, LiveView, Person
from firmware_bridge.damiao import nibbles
from firmware_bridge.damiao.checks import complaints
from firmware_bridge.damiao.frames import Feedback
from firmware_bridge.damiao.registers import TIMEOUT_UNIT_S
from firmware_bridge.errors import NoAnswer, ServoWrong, sentence

STEP_S = 0.01
SHOW_S = 0.1
SILENT_S = 0.15  # of asking, not of a program that did not run; well within the watchdog's time
GUARD = 1.5  # of the torque that was asked for, and 0.2 N m: what it says of itself is rough
DOING = {"close": "the fingers close", "open": "the fingers open"}


def find_ends(motors: Motors, index: int, stroke: Stroke, person: Person) -> list[float]:
    """Rad of the motor: closed, open, closed, open. Raises CalibrationImplausible, ServoError, PortLost, Cancelled."""
    name = motors.robot.joints[index]
    watchdog_s = _check_watchdog(motors, index)
    try:
        seen = motors.enable(index)
        _drive(motors, index, stroke, person, seen)
    finally:
        if motors.disable(index):
            person.tell(f"{name}: its motor is off again")
        else:
            person.tell(
                f"{name}: its motor did not confirm that it is off; its own watchdog lets go after "
                f"{watchdog_s * 1000:.0f} ms of silence. If it pulls on, switch the arm's power off"
            )
    return stroke.ends


def _check_watchdog(motors: Motors, index: int) -> float:
    """All that a motor must say, read anew; its watchdog's time in s. Raises ServoWrong."""
    values = motors.registers([index])[index]
    found = complaints(motors.robot.joints[index], motors.rows[index], values)
    if found:
        raise ServoWrong("a motor that may not be driven as it is:\n" + "\n".join(found))
    return values["TIMEOUT"] * TIMEOUT_UNIT_S


def _drive(motors: Motors, index: int, stroke: Stroke, person: Person, seen: Feedback) -> None:
    name = motors.robot.joints[index]
    due = heard_at = shown_at = time.monotonic()
    low = high = seen.position
    while (command := stroke.step(heard_at, seen.position, seen.velocity)) is not None:
        asked_at = time.monotonic()
        while (answer := motors.command(index, command)) is None:
            if time.monotonic() - asked_at > SILENT_S:
                do = "check its cable; the arm is as it was before"
                raise NoAnswer(sentence(f"{name}: while it was driven", expected="an answer", got="silence", do=do))
        seen, heard_at = answer, time.monotonic()
        _check(name, seen, stroke.torque)
        low, high = min(low, seen.position), max(high, seen.position)
        if heard_at - shown_at >= SHOW_S:
            shown_at = heard_at
            row = JointRow(name, seen.position, low, high, None, "waiting", f"{seen.torque:+.2f} N m")
            todo = f"{DOING[stroke.doing]}, {stroke.gentle.newtons:g} N at most: keep your hands away"
            person.show(LiveView("the gripper's ends", todo, (row,), "rad", keys=(("q", "stop"),)))
        person.hear()
        due = max(due + STEP_S, heard_at)
        time.sleep(max(0.0, due - time.monotonic()))


def _check(name: str, seen: Feedback, limit: float) -> None:
    if seen.error != nibbles.ENABLED:
        do = nibbles.alarm(seen.error) or "check its cable and the power supply, then again"
        got = nibbles.meaning(seen.error)
        raise ServoWrong(sentence(f"{name}: stopped while it was driven", expected="enabled", got=got, do=do))
    if abs(seen.torque) > GUARD * limit + 0.2:
        do = "report this; the motor's TMAX or its firmware is not what its registers say"
        got = f"{seen.torque:+.2f} N m"
        raise ServoWrong(sentence(f"{name}: pushes harder than told", expected=f"{limit:.2f} N m", got=got, do=do))
