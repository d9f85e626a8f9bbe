"""Levels in the machine: what is noted, what slows it, what stops it, and how a hot arm comes to rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from firmware_bridge.errors import CommandRefused
from firmware_bridge.safety.levels import LEVELS
from firmware_bridge.safety.modes import Mode
from tests.firmware_bridge.safety.rig import RULES, Rig, idle


def sts(**changes: Any) -> Rig:
    envelope = replace(RULES.envelope, lead=np.array([0.5, 0.4]), alone=RULES.grippers)
    return Rig(levels=LEVELS["sts"], **{"envelope": envelope, "client_timeout_s": 1e6, **changes})


def raised(**changes: Any) -> Rig:
    rig = sts(**changes)
    rig.raised()
    return rig


def path(rig: Rig, ticks: int) -> np.ndarray:
    return np.array([step.goal for step in rig.run(ticks) if step.goal is not None])


def test_a_warning_is_noted_and_nothing_else_changes() -> None:
    rig = raised()
    rig.temperature[0] = 57.0
    rig.send(-0.9, 5.0)
    moved = path(rig, 60)
    assert "temperature of lift: 57 C, warn at 55" in rig.machine.note
    assert np.abs(np.diff(moved[:, 0])).max() == pytest.approx(0.02)


def test_at_its_limit_the_arm_goes_slower() -> None:
    rig = raised()
    rig.temperature[0] = 61.0
    rig.run(52)
    rig.send(-0.9, 5.0)
    moved = path(rig, 20)
    assert "limit at 60: slower, pressing less" in rig.machine.note
    assert np.abs(np.diff(moved[3:, 0])).max() == pytest.approx(0.3 * 0.02)
    rig.temperature[0] = 40.0
    assert np.abs(np.diff(path(rig, 20)[:, 0])).max() == pytest.approx(0.02)  # and fast again when it has cooled


def test_too_hot_parks_slowly_lets_go_and_faults() -> None:
    rig = raised()
    rig.temperature[0] = 66.0
    rig.run(52)
    assert rig.machine.mode is Mode.PARKING and "cool down: temperature of lift" in rig.machine.note
    for word in ("pause", "resume", "arm"):
        with pytest.raises(CommandRefused):
            rig.do(word)
    moved = path(rig, 1500)
    assert np.abs(np.diff(moved[:, 0])).max() <= 0.3 * 0.02 + 1e-9
    assert rig.machine.mode is Mode.FAULT and rig.machine.torque == "off"
    assert rig.measured[0] == pytest.approx(-1.0)
    for part in ("temperature of lift", "below 65 C", "got: 66 C", "let it cool", "it was parked", "torque: off"):
        assert part in rig.machine.fault
    with pytest.raises(CommandRefused, match="temperature of lift"):
        rig.do("rearm")
    rig.temperature[0] = 50.0
    rig.run(1)
    rig.do("rearm")
    rig.run(100)
    assert rig.machine.mode is Mode.READY and rig.machine.fault == ""


def test_too_hot_while_parked_by_hand_still_faults() -> None:
    rig = raised()
    rig.do("park")
    rig.run(5)
    rig.temperature[0] = 66.0
    rig.run(1500)
    assert rig.machine.mode is Mode.FAULT and rig.machine.torque == "off" and "it was parked" in rig.machine.fault


def test_too_hot_while_leaving_says_so() -> None:
    rig = raised()
    rig.machine.leave("park", rig.now)
    rig.temperature[0] = 66.0
    while not rig.machine.done:
        rig.run(1)
    assert rig.machine.torque == "off"
    assert "parked" in rig.machine.farewell() and "temperature of lift" in rig.machine.farewell()


def test_too_hot_and_it_cannot_park_holds_and_says_to_cut() -> None:
    rig = raised()
    rig.stuck = True
    rig.velocity = np.full(2, 1.0)  # else this would be a stall
    rig.temperature[0] = 66.0
    rig.run(400)
    assert rig.machine.mode is Mode.FAULT and rig.machine.torque == "on"
    assert "temperature of lift" in rig.machine.fault and "could not park: lift" in rig.machine.fault
    assert "stop at 65" in rig.machine.note and "armside bridge stop --cut" in rig.machine.note
    assert all(idle(step) for step in rig.run(100))
    rig.do("cut")
    rig.run(2)
    assert rig.machine.torque == "off" and "armside" not in rig.machine.note


def test_heat_in_an_emergency_stop_is_only_noted() -> None:
    rig = raised()
    rig.do("estop")
    rig.temperature[0] = 80.0
    assert all(idle(step) for step in rig.run(300))
    assert rig.machine.mode is Mode.ESTOP and "stop --cut" in rig.machine.note


def test_estop_while_cooling_down_stays_one() -> None:
    rig = raised()
    rig.temperature[0] = 66.0
    rig.run(52)
    rig.do("estop")
    assert all(idle(step) for step in rig.run(100)) and rig.machine.mode is Mode.ESTOP
    rig.machine.torque_is(False)  # its power was cut
    rig.run(1)
    assert rig.machine.mode is Mode.ESTOP


def test_low_voltage_is_a_fault_that_holds() -> None:
    rig = raised()
    rig.voltage[:] = 4.1
    rig.run(60)
    assert rig.machine.mode is Mode.FAULT and rig.machine.torque == "on"
    for part in ("voltage_low of lift", "above 4.2 V", "got: 4.1 V", "power supply", "torque: on"):
        assert part in rig.machine.fault
    with pytest.raises(CommandRefused, match="voltage_low"):
        rig.do("rearm")


def test_in_shadow_levels_are_only_noted_but_nothing_can_be_armed() -> None:
    rig = sts()
    rig.voltage[:] = 4.1
    rig.run(60)
    assert rig.machine.mode is Mode.SHADOW and "voltage_low" in rig.machine.note
    with pytest.raises(CommandRefused, match="voltage_low"):
        rig.do("arm")


def test_a_stalled_joint_presses_less_and_then_is_a_fault() -> None:
    rig = raised()
    rig.stuck = True
    rig.send(-0.9, 20.0)
    rig.run(60)
    assert rig.machine.motion.position[0] == pytest.approx(rig.measured[0] - 0.5)  # as far as its lead goes
    rig.run(140)
    assert rig.machine.motion.position[0] == pytest.approx(rig.measured[0] - 0.25)  # relieved
    assert "stall of lift" in rig.machine.note
    rig.run(300)
    assert rig.machine.mode is Mode.FAULT and "stall of lift" in rig.machine.fault
    rig.stuck = False
    rig.do("rearm")  # goal = present: nothing presses any more
    rig.run(300)
    assert rig.machine.mode is Mode.READY


def test_a_gripper_that_holds_something_is_relieved_also_when_the_arm_only_holds() -> None:
    rig = sts()
    rig.do("arm")
    rig.run(1)
    rig.measured = np.array([0.5, 0.6])
    rig.machine.motion = replace(rig.machine.motion, position=np.array([0.5, 0.2]))
    goals = []
    for _ in range(200):
        step = rig.run(1)[0]
        goals += [] if step.goal is None else [step.goal]
        rig.measured = np.array([0.5, 0.6])  # the thing in the gripper does not give way
    assert rig.machine.mode is Mode.READY and "gripper_stall" in rig.machine.note
    assert goals[-1] == pytest.approx([0.5, 0.4]) and len(goals) < 30  # half the lead, and then silence
    assert rig.run(5)[-1].goal is None


def test_a_gripper_that_holds_something_does_not_slow_the_arm() -> None:
    rig = sts()
    rig.do("arm")
    rig.run(1)
    fastest = 0.0
    for tick in range(300):
        if tick % 50 == 0:
            rig.send(-0.9 if tick % 100 else 0.9)
        before = rig.machine.commanded[0]
        rig.run(1)
        rig.measured[1] = 0.95
        fastest = max(fastest, abs(rig.machine.commanded[0] - before)) if tick > 150 else 0.0
    assert "gripper_stall" in rig.machine.note and rig.machine.mode is Mode.RUNNING
    assert fastest == pytest.approx(0.02)


def test_rearming_gives_a_pressed_joint_its_time_again() -> None:
    rig = raised()
    rig.load[0] = 1.0
    rig.run(400)
    assert rig.machine.mode is Mode.FAULT and "stall of lift" in rig.machine.fault
    rig.do("rearm")
    rig.run(250)
    assert rig.machine.mode is Mode.READY
    rig.run(100)
    assert rig.machine.mode is Mode.FAULT


def test_what_was_hot_once_is_no_fault_of_the_next_parking() -> None:
    rig = raised()
    rig.temperature[0] = 66.0
    rig.run(2000)
    assert rig.machine.mode is Mode.FAULT
    rig.temperature[0] = 40.0
    rig.run(1)
    rig.do("rearm")
    assert rig.machine.verdict.hot == rig.machine.verdict.refusal == ""
    for _ in range(2):
        rig.run(1)
        rig.do("park")
        rig.run(500)
        assert rig.machine.mode is Mode.SHADOW and rig.machine.torque == "off" and rig.machine.fault == ""
        rig.do("arm")


def test_a_joint_beside_one_that_presses_less_keeps_its_lead() -> None:
    rig = sts()
    rig.do("arm")
    rig.run(1)
    rig.load[1] = 0.92  # the gripper holds something
    rig.run(60)
    rig.stuck, rig.velocity = True, np.array([1.0, 0.0])  # and the lift does not follow, which is no stall
    rig.send(-0.9, 5.0)
    rig.run(100)
    assert "gripper_stall" in rig.machine.note
    assert rig.machine.commanded[0] == pytest.approx(rig.measured[0] - 0.5)


def test_a_shadow_that_runs_ahead_is_no_stall() -> None:
    rig = sts()
    rig.send(-0.9, 10.0)
    rig.run(200)
    assert abs(rig.machine.commanded[0] - rig.measured[0]) > 1.0
    assert rig.machine.note == "shadow: this goal is not sent"
