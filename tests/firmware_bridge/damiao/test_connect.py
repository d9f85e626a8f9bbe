"""Connecting on real python-can buses: what is refused and how it is said, what is sent, who is adopted."""

from __future__ import annotations

import json
import math
import threading
import time
from typing import Any

import can
import numpy as np
import pytest

from firmware_bridge.damiao import frames, nibbles
from firmware_bridge.damiao.registers import REGISTERS
from firmware_bridge.errors import CalibrationMismatch, PortBusy, ServoMissing, ServoWrong
from tests.firmware_bridge.damiao.conftest import Rig, all_fresh, go, read_until

RAISED = np.array([0.2, 1.0, 0.9, -0.5, 0.1, 0.2, 0.5])


def write(rig: Rig, joint: str, name: str, value: float) -> None:
    with rig.arm.lock:
        rig.arm.motors[rig.robot.joints.index(joint)].registers[name] = value


def test_connecting_commands_nothing(rig: Rig) -> None:
    arm = rig.open()
    assert rig.rows() == [] and rig.count("read") >= 70
    assert arm.facts.torque == "off" and arm.facts.fingerprint and np.isinf(arm.facts.lower).all()
    assert any("1000 ms" in line for line in arm.facts.report)


def test_an_arm_that_may_not_move_is_only_read_and_left_as_it_is(rig: Rig) -> None:
    with rig.arm.lock:
        rig.arm.motors[3].mos = 120
    arm = rig.open(live=False)
    state = read_until(arm, lambda s: s.errors[3] == 0xB)
    for _ in range(5):
        state = all_fresh(arm)
    assert "too hot" in state.alarms[3]
    arm.close()
    assert rig.rows() == []
    live = rig.open()
    live.torque_off()
    assert rig.rows("disable")  # negative control: the journal does see what is sent


@pytest.mark.parametrize(
    ("register", "value", "texts"),
    [
        ("TMAX", 10.0, ("joint_2: TMAX of a DM4340", "expected: 28", "got: 10")),
        ("TIMEOUT", 0.0, ("joint_2: TIMEOUT", "switched off", "set TIMEOUT = 8000")),
        ("CTRL_MODE", 2.0, ("joint_2: CTRL_MODE", "expected: 1 (MIT)", "position and velocity")),
        ("PMAX", math.pi, ("joint_2: PMAX", "expected: 12.5")),
        ("MST_ID", 0.0, ("joint_2: MST_ID", "expected: 18", "got: 0")),
    ],
)
def test_wrong_registers_are_refused(rig: Rig, register: str, value: float, texts: tuple[str, ...]) -> None:
    write(rig, "joint_2", register, value)
    with pytest.raises(ServoWrong) as refused:
        rig.open()
    assert all(text in str(refused.value) for text in texts), refused.value
    assert rig.rows() == []


def test_every_complaint_is_told_at_once(rig: Rig) -> None:
    write(rig, "joint_1", "TIMEOUT", 0.0)
    write(rig, "gripper", "VMAX", 50.0)
    with pytest.raises(ServoWrong, match=r"joint_1: TIMEOUT[\s\S]*gripper: VMAX of a DM4310"):
        rig.open()


def test_a_timeout_register_that_does_not_answer_is_refused(rig: Rig) -> None:
    with rig.arm.lock:
        rig.arm.motors[4].answers.discard(REGISTERS["TIMEOUT"].number)
    with pytest.raises(ServoWrong, match=r"joint_5: TIMEOUT.*got: no answer"):
        rig.open()


def test_register_answers_under_the_register_id_are_understood(rig: Rig) -> None:
    for index in range(7):
        rig.fault(index, answers_on_7ff=True)
    assert rig.open().facts.torque == "off"
    write(rig, "joint_2", "TIMEOUT", 0.0)
    with pytest.raises(ServoWrong, match="switched off"):
        rig.open()


def test_missing_motors_are_named_with_their_bus(two: Rig) -> None:
    two.fault(2, deaf=True)
    two.fault(13, deaf=True)
    with pytest.raises(ServoMissing, match=r"left_joint_3 \(id 3 on virtual:.*\), right_gripper \(id 7 on .*12 of 14"):
        two.open()


def test_an_unpowered_arm_is_named(rig: Rig) -> None:
    for index in range(7):
        rig.fault(index, deaf=True)
    with pytest.raises(ServoMissing, match=r"no answer from any motor.*check the arm's power"):
        rig.open()


def test_lost_answers_at_connect_are_asked_for_again(rig: Rig) -> None:
    for index in range(7):
        rig.fault(index, drop=1)
    assert all_fresh(rig.open()).fresh.all()


def test_another_gripper_than_configured_is_refused(rig: Rig) -> None:
    data = json.loads(rig.file.read_text())
    data["gripper"] = "linear_3507"
    rig.file.write_text(json.dumps(data))
    with pytest.raises(ServoWrong, match=r"gripper: gear ratio of a DM3507; expected: 7; got: 10, a DM4310"):
        rig.open()


def test_the_calibration_of_other_motors_is_refused(rig: Rig) -> None:
    data = json.loads(rig.file.read_text())
    data["joints"]["joint_4"]["serial"] = 1003
    rig.file.write_text(json.dumps(data))
    rig.open().close()  # negative control: that is its number
    data["joints"]["joint_4"]["serial"] = 4
    rig.file.write_text(json.dumps(data))
    with pytest.raises(CalibrationMismatch, match="joint_4: file 4, motor 1003"):
        rig.open()


def test_a_motor_that_woke_up_a_turn_away_is_read_right(rig: Rig) -> None:
    rig.place("joint_1", 0.4)
    with rig.arm.lock:
        rig.arm.motors[0]._zero = 2 * math.pi  # it reads a turn less
    arm = rig.open()
    assert all_fresh(arm).position[0] == pytest.approx(0.4, abs=0.01)
    assert any("joint_1: its motor woke up -1 turns away" in line for line in arm.facts.report)
    assert arm.torque_on()[0] == pytest.approx(0.4, abs=0.01)
    assert go(arm, np.array([0.6, 0, 0, 0, 0, 0, 0.0]), 0.5).position[0] == pytest.approx(0.6, abs=0.03)
    assert float(rig.arm.joints()[0]) == pytest.approx(0.6, abs=0.03)


def test_a_joint_outside_every_turn_is_refused(rig: Rig) -> None:
    with rig.arm.lock:
        rig.arm.motors[1]._zero = 1.5
    with pytest.raises(ServoWrong, match=r"joint_2 stands outside its range.*set this motor's zero"):
        rig.open()


def test_somebody_else_on_the_bus_is_noticed(rig: Rig) -> None:
    ending = threading.Event()

    def chatter() -> None:
        with rig.bus() as bus:
            while not ending.is_set():
                frame = frames.make_refresh(5)
                bus.send(can.Message(arbitration_id=frame.id, data=frame.data, is_extended_id=False))
                time.sleep(0.003)

    other = threading.Thread(target=chatter)
    other.start()
    try:
        with pytest.raises(PortBusy, match=r"somebody else talks to joint_5.*stop the other"):
            rig.open()
    finally:
        ending.set()
        other.join()
    rig.open()  # negative control: alone it opens


# -- adopting what a dead bridge left


def abandon(rig: Rig, **changes: Any) -> None:
    """An arm raised and held by a bridge that dies without a word."""
    arm = rig.open(**changes)
    arm.torque_on()
    go(arm, RAISED, 1.0)
    for wire in arm.chain.wires:
        wire.close()
    arm.ours = False
    arm.on.clear()


def test_an_abandoned_arm_is_held_from_the_first_answer_on(rig: Rig) -> None:
    abandon(rig)
    before = rig.arm.joints().copy()
    mark = time.monotonic()
    arm = rig.open(adopt=True)
    assert arm.facts.torque == "on" and rig.nibbles() == [nibbles.ENABLED] * 7
    rows = [row for row in rig.rows("mit") if row.t > mark]
    assert not rig.rows("enable")[7:]  # nothing was enabled by connecting
    for index in range(7):
        times = [row.t for row in rows if row.motor == index]
        assert len(times) >= 8 and max(np.diff(times)) < 0.5  # generous: below 1 s, its watchdog here
    for _ in range(20):
        arm.read()
        arm.hold()
        time.sleep(0.005)
    assert np.abs(rig.arm.joints() - before).max() < 0.03
    state = go(arm, RAISED * 0.9, 0.5)
    assert state.changed == () and not any(state.alarms)


def test_what_is_off_stays_off_when_adopted(rig: Rig) -> None:
    abandon(rig)
    with rig.arm.lock:
        rig.arm.motors[5].nibble = nibbles.DISABLED
    arm = rig.open(adopt=True)
    for _ in range(10):
        arm.read()
        arm.hold()
        time.sleep(0.005)
    assert rig.nibbles() == [1, 1, 1, 1, 1, 0, 1]
    assert any("enabled: joint_1" in line and "joint_6" not in line for line in arm.facts.report)
    assert not [row for row in rig.rows("mit")[-30:] if row.motor == 5]


def test_an_abandoned_arm_with_a_wrong_register_is_let_down(rig: Rig) -> None:
    abandon(rig)
    write(rig, "joint_2", "TIMEOUT", 0.0)
    mark = time.monotonic()
    with pytest.raises(ServoWrong, match="joint_2: TIMEOUT"):
        rig.open(adopt=True)
    last = [row for row in rig.rows() if row.t > mark]
    assert {row.motor for row in last if row.what == "disable"} == set(range(7))
    damped = [frames.parse_mit(row.data, rig.arm.motors[row.motor].ranges) for row in last if row.what == "mit"][-7:]
    assert all(command.kp == 0.0 and command.kd > 0.2 for command in damped)
    assert rig.nibbles() == [nibbles.DISABLED] * 7


def test_an_abandoned_arm_with_a_silent_motor_sinks_braked_and_is_not_switched_off(rig: Rig) -> None:
    abandon(rig)
    rig.fault(2, silent=True)
    mark = time.monotonic()
    with pytest.raises(ServoMissing, match="joint_3"):
        rig.open(adopt=True)
    rows = [row for row in rig.rows() if row.t > mark]
    assert not [row for row in rows if row.what == "disable"]
    held = [row for row in rows if row.what == "mit" and row.motor == 1]
    assert held[-1].t - held[0].t > 1.0  # waited for it, holding the others
    last = frames.parse_mit(held[-1].data, rig.arm.motors[1].ranges)
    assert last.kp == 0.0 and last.kd > 0.2
    deadline = time.monotonic() + 10.0
    while rig.nibbles()[1] != nibbles.COMMUNICATION_LOST:  # braked by its own watchdog
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_motor_that_restarts_during_a_takeover_is_waited_for(rig: Rig) -> None:
    abandon(rig)
    rig.fault(2, silent=True)
    back = threading.Timer(0.5, lambda: rig.fault(2, silent=False))
    back.start()
    arm = rig.open(adopt=True)  # negative control of the test above
    back.join()
    assert arm.facts.torque == "on" and rig.nibbles() == [nibbles.ENABLED] * 7


def test_watching_an_abandoned_arm_sends_it_nothing(rig: Rig) -> None:
    abandon(rig)
    count = len(rig.rows())
    arm = rig.open(live=False, adopt=True)
    assert arm.facts.torque == "on"
    arm.read()
    arm.close()
    assert len(rig.rows()) == count
