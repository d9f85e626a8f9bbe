"""What a motor's registers must say before it may be driven. Pure: values in, complaints out.

Each complaint says what, expected, got and what to do. A motor that follows another scale, has no
watchdog, or takes frames in another mode would not do what it is told, silently.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from firmware_bridge.damiao.motors import MOTORS, MotorType
from firmware_bridge.damiao.registers import MASTER_OFFSET, MIT_MODE, MODES, TIMEOUT_UNIT_S
from firmware_bridge.damiao.robots import Motor
from firmware_bridge.errors import sentence

TIMEOUT_MIN_S, TIMEOUT_MAX_S = 0.1, 1.0  # must outlast owed.QUARANTINE_S and a late tick; must be soon enough
FACTORY_TIMEOUT = 8000  # 400 ms
SCALE_TOLERANCE = 1e-3  # relative
_TOOL = "with Damiao's tool or i2rt's dm_motor_registers, save it, switch the arm off and on"


def complaints(name: str, motor: Motor, values: Mapping[str, float]) -> list[str]:
    """What is wrong with the motor of joint `name`; `values` holds the registers that answered."""
    kind = MOTORS[motor.type]
    found = [*_check_ids(name, motor, values), *_check_mode(name, values), *_check_timeout(name, values)]
    return found + _check_scales(name, kind, values)


def _check_ids(name: str, motor: Motor, values: Mapping[str, float]) -> list[str]:
    rows = (("ESC_ID", motor.id), ("MST_ID", motor.id + MASTER_OFFSET))
    return [
        sentence(f"{name}: {register}", expected=wanted, got=_told(values.get(register)), do=f"set it {_TOOL}")
        for register, wanted in rows
        if values.get(register) != wanted
    ]


def _check_mode(name: str, values: Mapping[str, float]) -> list[str]:
    mode = values.get("CTRL_MODE")
    if mode == MIT_MODE:
        return []
    got = _told(mode) if mode is None else f"{mode:g} ({MODES.get(int(mode), 'unknown')})"
    return [sentence(f"{name}: CTRL_MODE", expected="1 (MIT)", got=got, do=f"set CTRL_MODE = 1 {_TOOL}")]


def _check_timeout(name: str, values: Mapping[str, float]) -> list[str]:
    expected = f"a watchdog of {TIMEOUT_MIN_S:g}..{TIMEOUT_MAX_S:g} s, such as {FACTORY_TIMEOUT} = 400 ms"
    do = f"set TIMEOUT = {FACTORY_TIMEOUT} {_TOOL}"
    timeout = values.get("TIMEOUT")
    if timeout is None:
        return [sentence(f"{name}: TIMEOUT", expected=expected, got="no answer", do="update the motor's firmware")]
    if timeout == 0:
        got = "0: the watchdog is switched off, and a motor whose host dies goes on pulling"
        return [sentence(f"{name}: TIMEOUT", expected=expected, got=got, do=do)]
    seconds = timeout * TIMEOUT_UNIT_S
    if TIMEOUT_MIN_S - 1e-9 <= seconds <= TIMEOUT_MAX_S + 1e-9:
        return []
    return [sentence(f"{name}: TIMEOUT", expected=expected, got=f"{timeout:g} = {seconds:g} s", do=do)]


def _check_scales(name: str, kind: MotorType, values: Mapping[str, float]) -> list[str]:
    rows = (("PMAX", kind.ranges.position), ("VMAX", kind.ranges.velocity), ("TMAX", kind.ranges.torque))
    found = []
    for register, wanted in rows:
        got = values.get(register)
        if got is None or not math.isclose(got, wanted, rel_tol=SCALE_TOLERANCE):
            do = f"look at the motor's label; if it is a {kind.name}, set {register} = {wanted:g} {_TOOL}"
            what = f"{name}: {register} of a {kind.name}"
            found.append(sentence(what, expected=f"{wanted:g}", got=_told(got), do=do))
    gear = values.get("Gr", math.nan)
    if kind.gear is not None and math.isfinite(gear) and not math.isclose(gear, kind.gear, rel_tol=0.05):
        near = [row.name for row in MOTORS.values() if row.gear is not None and math.isclose(gear, row.gear)]
        what = f"{gear:g}" + (f", a {near[0]}" if near else "")
        do = "choose the gripper or the robot that this is"
        found.append(sentence(f"{name}: gear ratio of a {kind.name}", expected=f"{kind.gear:g}", got=what, do=do))
    return found


def _told(value: float | None) -> str:
    return "no answer" if value is None else f"{value:g}"
