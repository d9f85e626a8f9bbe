"""A gripper's ends, with the real settings, on a virtual motor in its own time: force, ends, obstacles, types."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.damiao.stroke import NEWTONS, Gentle, Stroke, judge, mirrored
from firmware_bridge.damiao.frames import ENABLE, make_mit, parse_mit
from firmware_bridge.damiao.grippers import GRIPPERS, Gripper
from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.damiao.virtual_motor import Load, VirtualMotor
from firmware_bridge.errors import CalibrationImplausible

DRIVEN = [row for row in GRIPPERS.values() if row.motor]
STEP_S = 0.01
Between = Callable[[float], Load]


def fingers(gripper: Gripper, closed: float = 0.3, clear: float = 1.0) -> Load:
    """Stops of the fingers: `closed` rad of the motor, of which the outer part `clear` of its way is free."""
    opened = closed + gripper.opens * gripper.stroke
    inner = opened + (closed - opened) * clear
    return Load(0.0, closed, min(inner, opened), max(inner, opened))


def search(stroke: Stroke, load: Between, start: float = 0.0, motor_type: str = "") -> tuple[list[float], float, float]:
    """The ends, the hardest push, N m, and the fastest turn, rad/s, of a motor between the stops load(t)."""
    kind = MOTORS[motor_type or stroke.gripper.motor]
    motor = VirtualMotor(7, kind)
    motor.friction = 0.05
    motor.place(start)
    motor.advance(0.0, load(0.0))
    motor.obey(ENABLE, 0.0)
    now = hardest = fastest = 0.0
    while now < 300.0:
        seen = motor.feedback()
        command = stroke.step(now, seen.position, seen.velocity)
        if command is None:
            return stroke.ends, hardest, fastest
        frame = make_mit(7, command, motor.ranges)
        told = parse_mit(frame.data, motor.ranges)
        assert told.kp == 0.0
        hardest = max(hardest, abs(told.kd * (told.velocity - motor.speed) + told.torque))
        motor.follow(frame.data, now)
        now += STEP_S
        motor.advance(now, load(now))
        fastest = max(fastest, abs(motor.speed))
    raise AssertionError("never ends")


@pytest.mark.parametrize("gripper", DRIVEN, ids=lambda row: row.name)
def test_every_type_is_found_within_its_force_and_speed(gripper: Gripper) -> None:
    stroke = Stroke(gripper)
    load = fingers(gripper)
    ends, hardest, fastest = search(stroke, lambda _: load, start=(load.low + load.high) / 2)
    found = judge(gripper, ends)
    assert found.closed == pytest.approx(0.3, abs=0.02)
    assert found.open == pytest.approx(0.3 + gripper.opens * gripper.stroke, abs=0.02)
    assert 0.5 * stroke.torque < hardest <= stroke.torque == pytest.approx(gripper.gentle_torque(NEWTONS))
    assert fastest <= stroke.speed + 0.05


@pytest.mark.parametrize("gripper", DRIVEN, ids=lambda row: row.name)
def test_gentle_is_never_harder_than_the_grip(gripper: Gripper) -> None:
    angles = [gripper.opens * gripper.stroke * part / 20 for part in range(21)]
    assert gripper.gentle_torque(NEWTONS) < min(gripper.grip_torque(angle) for angle in angles)
    assert gripper.gentle_torque(50.0) <= min(gripper.grip_torque(angle) for angle in angles) + 1e-9


@given(st.floats(-2.0, 2.0), st.sampled_from(DRIVEN), st.floats(-10.0, 10.0))
def test_no_command_pushes_harder_or_turns_faster(part: float, gripper: Gripper, position: float) -> None:
    stroke = Stroke(gripper)
    speed = part * stroke.speed
    command = stroke.step(0.0, position, speed)
    assert command is not None and abs(command.velocity) <= stroke.speed
    assert abs(command.kd * (command.velocity - speed)) <= stroke.torque


def refusal(gripper: Gripper, load: Between, **more: object) -> str:
    with pytest.raises(CalibrationImplausible) as caught:
        judge(gripper, search(Stroke(gripper), load, **more)[0])  # type: ignore[arg-type]
    return str(caught.value)


def test_something_between_the_fingers_is_named() -> None:
    gripper = GRIPPERS["linear_4310"]
    load = fingers(gripper, clear=0.7)
    text = refusal(gripper, lambda _: load)
    assert "expected: 5.78..7.10 rad; got: 4.60 rad" in text and "between the fingers" in text


def test_something_that_went_away_meanwhile_is_named() -> None:
    gripper = GRIPPERS["crank_4310"]
    full, part = fingers(gripper), fingers(gripper, clear=0.9)
    text = refusal(gripper, lambda now: part if now < 5.0 else full)
    assert "expected: the same twice" in text


@pytest.mark.parametrize(
    ("named", "mounted", "told"),
    [("linear_4310", "crank_4310", "--gripper crank_4310"), ("crank_4310", "linear_4310", "--gripper linear_4310")],
)
def test_a_wrong_gripper_is_named_by_its_way(named: str, mounted: str, told: str) -> None:
    load = fingers(GRIPPERS[mounted])
    assert told in refusal(GRIPPERS[named], lambda _: load)


def test_the_type_that_opens_the_other_way() -> None:
    assert [mirrored(row) for row in DRIVEN] == ["flexible_4310", "", "", "linear_4310"]


def test_a_gripper_without_an_end_and_a_scale_that_ends() -> None:
    gripper = GRIPPERS["linear_4310"]
    text = refusal(gripper, lambda _: Load(), start=-6.0)
    assert "no end while it should close; expected: within 8.2 rad" in text and "coupling" in text
    text = refusal(gripper, lambda _: Load(), start=11.0)
    assert "within +-12.3 rad" in text and "switch the arm off and on" in text


def test_a_catch_on_the_way_is_no_end() -> None:
    """It stops there once, and is free the second time: backing off shows it."""
    gripper = GRIPPERS["crank_4310"]
    full, part = fingers(gripper), fingers(gripper, clear=0.5)
    caught = [True]

    def load(now: float) -> Load:
        caught[0] = caught[0] and now < 1.5
        return part if caught[0] else full

    stroke = Stroke(gripper)
    ends, _, _ = search(stroke, load, start=0.3 - 0.9 * gripper.stroke)
    assert judge(gripper, ends).way == pytest.approx(gripper.stroke, abs=0.02)


def test_a_program_that_slept_takes_no_standing_for_an_end() -> None:
    gripper = GRIPPERS["linear_4310"]
    stroke = Stroke(gripper, dataclasses.replace(Gentle(), still_s=0.1))
    stroke.step(0.0, 0.0, 0.0)
    stroke.step(5.0, 0.0, 0.0)  # nothing was read for 5 s
    assert not stroke.ends and math.isclose(stroke.speed, 0.04 / gripper.steepest)
    command = stroke.step(5.01, 0.0, 0.0)
    assert command is not None and command.velocity > 0.0  # it goes on closing
