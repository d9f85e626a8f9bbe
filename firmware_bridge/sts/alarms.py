"""Why a servo no longer follows, in words: its error bits, the reading behind each, its own limit, what to do.

Takes one row of telemetry and the servo's EEPROM; pure. An error bit counts when it always means that the
servo no longer follows, or when the servo itself unloads on it (Unloading_Condition, 44 from the factory:
temperature, current, overload; not voltage). The voltage bit alone is in `ArmState.errors` and no alarm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from firmware_bridge.sts.registers import (
    CURRENT_UNIT_A,
    ERROR_BITS,
    FATAL_ERRORS,
    LOAD_UNIT,
    REGISTERS,
    VOLTAGE_UNIT_V,
    error_text,
)

Get = Callable[[str], int]  # a register's name -> its value in this servo's EEPROM
POWER = "switch the arm's power off and on while holding it, then rearm"


@dataclass(frozen=True, slots=True)
class _Alarm:
    reading: Callable[[Any], str]  # of a row of telemetry.ROW
    limit: Callable[[Get], str]
    do: str


_ALARMS = {
    32: _Alarm(
        lambda row: f"load {_magnitude(row['load'], 10) * LOAD_UNIT:.0%}",
        lambda get: (
            f"Overload_Torque {get('Overload_Torque')} % for {get('Protection_Time') / 100:g} s, "
            f"then Protective_Torque {get('Protective_Torque')} %"
        ),
        f"take the weight or the obstacle off the joint, {POWER}",
    ),
    4: _Alarm(
        lambda row: f"temperature {row['temperature']} C",
        lambda get: f"Max_Temperature_Limit {get('Max_Temperature_Limit')} C",
        "let it cool with the torque off, then rearm",
    ),
    8: _Alarm(
        lambda row: f"current {_magnitude(row['current'], 15) * CURRENT_UNIT_A:.2f} A",
        lambda get: (
            f"Protection_Current {get('Protection_Current') * CURRENT_UNIT_A:.2f} A for "
            f"{get('Over_Current_Protection_Time') / 100:g} s"
        ),
        f"free the joint, {POWER}",
    ),
    2: _Alarm(
        lambda row: f"position {_magnitude(row['position'], 15)} ticks",
        lambda get: "",
        f"{POWER}; if it comes back, replace the servo",
    ),
    1: _Alarm(
        lambda row: f"voltage {row['voltage'] * VOLTAGE_UNIT_V:.1f} V",
        lambda get: (
            f"Min_Voltage_Limit {get('Min_Voltage_Limit') * VOLTAGE_UNIT_V:.1f} V, "
            f"Max_Voltage_Limit {get('Max_Voltage_Limit') * VOLTAGE_UNIT_V:.1f} V"
        ),
        "check that the power supply is the one of these servos and gives enough current",
    ),
}


def alarm_text(who: str, bits: int, row: Any, memory: bytes | None) -> str:
    """ "" or the alarm of the servo `who`, such as "elbow_flex (servo 3)".

    `row`: one of telemetry.ROW; `memory`: its EEPROM from address 0, None when it was never read.
    """
    known = memory is not None
    fatal = FATAL_ERRORS | (_value(memory, "Unloading_Condition") if memory is not None else 0)
    if not bits & fatal:
        return ""
    readings, limits, todo = [], [], []
    for bit, alarm in _ALARMS.items():
        if bits & bit:
            readings.append(alarm.reading(row))
            limits.append(alarm.limit(lambda name: _value(memory or b"", name)) if known else "")
            todo.append(alarm.do)
    parts = [f"{error_text(bits)} in {who}", "reading: " + ", ".join(readings) if readings else ""]
    parts.append("its own limit: " + ", ".join(filter(None, limits)) if any(limits) else "")
    parts.append("what to do: " + "; ".join(todo or [POWER]))
    return "; ".join(filter(None, parts))


def _value(memory: bytes, name: str) -> int:
    register = REGISTERS[name]
    return register.decode(memory[register.address :])


def _magnitude(raw: Any, bit: int) -> int:
    return int(raw) & ((1 << bit) - 1)


assert set(_ALARMS) == set(ERROR_BITS)
