"""Every alarm says which joint, what was read, the servo's own limit, what to do; voltage alone is no alarm."""

from __future__ import annotations

import re

import numpy as np
import pytest

from firmware_bridge.sts.alarms import alarm_text
from firmware_bridge.sts.registers import ERROR_BITS
from firmware_bridge.sts.telemetry import ROW
from tests.firmware_bridge.sts.conftest import Rig

CASES = [
    (32, r"overload in elbow_flex \(servo 3\).*reading: load \d+%", "Overload_Torque 80 % for 2 s"),
    (4, "over-temperature in elbow_flex.*temperature 31 C", "Max_Temperature_Limit 70 C.*let it cool"),
    (8, r"over-current in elbow_flex.*current \d\.\d\d A", "Protection_Current 3.25 A for 2 s.*power off and on"),
    (2, r"angle sensor in elbow_flex.*position \d+ ticks", "replace the servo"),
]


@pytest.mark.parametrize(("bit", "reading", "rest"), CASES)
def test_each_alarm_names_reading_limit_and_way_out(rig: Rig, bit: int, reading: str, rest: str) -> None:
    rig.do(lambda: setattr(rig.servo(3), "status", bit))
    state = rig.arm.read()
    assert re.search(reading, state.alarms[2]) and re.search(rest, state.alarms[2])
    assert "what to do: " in state.alarms[2]
    assert [bool(text) for text in state.alarms] == [False, False, True, False, False, False]
    assert state.errors[2] == bit


def test_voltage_alone_is_shown_and_no_alarm(rig: Rig) -> None:
    rig.do(lambda: setattr(rig.servo(3), "voltage", 32))
    state = rig.arm.read()
    assert state.alarms[2] == "" and state.errors[2] == 1 and state.voltage[2] == pytest.approx(3.2)
    rig.do(lambda: setattr(rig.servo(3), "status", 32))  # with another error it is part of the story
    text = rig.arm.read().alarms[2]
    assert text.startswith("voltage outside its limits, overload") and "Min_Voltage_Limit 4.0 V" in text


def test_a_servo_that_unloads_on_voltage_makes_it_an_alarm(rig: Rig) -> None:
    rig.write(3, "Unloading_Condition", 45)
    rig.arm.memory.load()
    rig.do(lambda: setattr(rig.servo(3), "voltage", 32))
    assert "voltage 3.2 V" in rig.arm.read().alarms[2]


def test_every_bit_has_words_and_no_bit_has_none() -> None:
    row = np.zeros(1, ROW)[0]
    for bit in ERROR_BITS:
        text = alarm_text("x", bit | 2, row, bytes(40))
        assert "reading: " in text and "what to do: " in text
    assert alarm_text("x", 0, row, bytes(40)) == "" == alarm_text("x", 16, row, bytes(40))
    assert "its own limit" not in alarm_text("x", 4, row, None)  # its memory was never read
