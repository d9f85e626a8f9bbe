"""What a motor's registers must say: each wrong one is named with what it said and what to do."""

from __future__ import annotations

import math

import pytest

from firmware_bridge.damiao.checks import complaints
from firmware_bridge.damiao.robots import Motor

MOTOR = Motor(0, 2, "DM4340", 80.0, 5.0)
GOOD = {
    "ESC_ID": 2.0,
    "MST_ID": 18.0,
    "CTRL_MODE": 1.0,
    "TIMEOUT": 8000.0,
    "PMAX": 12.5,
    "VMAX": 10.0,
    "TMAX": 28.0,
    "Gr": 40.0,
}


def test_a_good_motor_has_no_complaints() -> None:
    assert complaints("joint_2", MOTOR, GOOD) == []
    without_gear = {name: value for name, value in GOOD.items() if name != "Gr"}
    assert complaints("joint_2", MOTOR, without_gear) == complaints("joint_2", MOTOR, {**GOOD, "Gr": math.nan}) == []


@pytest.mark.parametrize(
    ("register", "value", "texts"),
    [
        ("TMAX", 10.0, ("TMAX of a DM4340", "expected: 28", "got: 10", "set TMAX = 28")),
        ("VMAX", 8.0, ("VMAX of a DM4340", "expected: 10", "got: 8")),
        ("PMAX", 12.566, ("PMAX", "expected: 12.5")),
        ("TMAX", math.nan, ("TMAX", "got: nan")),
        ("TIMEOUT", 0.0, ("TIMEOUT", "switched off", "set TIMEOUT = 8000")),
        ("TIMEOUT", 400.0, ("TIMEOUT", "got: 400 = 0.02 s")),
        ("TIMEOUT", 20001.0, ("TIMEOUT", "0.1..1 s")),
        ("CTRL_MODE", 2.0, ("CTRL_MODE", "expected: 1 (MIT)", "2 (position and velocity)")),
        ("MST_ID", 0.0, ("MST_ID", "expected: 18", "got: 0")),
        ("ESC_ID", 3.0, ("ESC_ID", "expected: 2", "got: 3")),
        ("Gr", 10.0, ("gear ratio of a DM4340", "got: 10, a DM4310")),
    ],
)
def test_a_wrong_register_is_named(register: str, value: float, texts: tuple[str, ...]) -> None:
    (found,) = complaints("joint_2", MOTOR, {**GOOD, register: value})
    assert found.startswith("joint_2: ") and "what to do" in found
    assert all(text in found for text in texts), found


@pytest.mark.parametrize("register", ["ESC_ID", "MST_ID", "CTRL_MODE", "TIMEOUT", "PMAX", "VMAX", "TMAX"])
def test_a_register_that_does_not_answer_is_no_good_one(register: str) -> None:
    (found,) = complaints("joint_2", MOTOR, {name: value for name, value in GOOD.items() if name != register})
    assert register in found and "no answer" in found


@pytest.mark.parametrize("timeout", [2000.0, 4000.0, 8000.0, 20000.0])
def test_sane_watchdogs_pass(timeout: float) -> None:
    assert complaints("joint_2", MOTOR, {**GOOD, "TIMEOUT": timeout}) == []
