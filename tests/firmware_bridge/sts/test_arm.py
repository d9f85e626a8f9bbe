"""The arm on a virtual bus: what connecting refuses, what it writes, and torque on without a jump."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from firmware_bridge.errors import CalibrationMismatch, NoAnswer, ServoDuplicate, ServoMissing, ServoWrong
from firmware_bridge.robots import find
from firmware_bridge.sts import protocol
from firmware_bridge.sts.arm import StsArm
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration, JointCalibration
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_port import VirtualPort
from firmware_bridge.sts.virtual_servo import touches_goal

ROBOT = find("so101")
CALIBRATION = shipped_calibration(ROBOT)
GOAL = REGISTERS["Goal_Position"].address
TORQUE = REGISTERS["Torque_Enable"].address
Place = Callable[[int, int], None]


@pytest.fixture
def arm(bus: Bus) -> StsArm:
    return StsArm(bus, ROBOT, CALIBRATION)


def test_connecting_writes_nothing(arm: StsArm, port: VirtualPort) -> None:
    arm.connect()
    assert not port.bus.journal
    assert not {"write", "sync_write", "reg_write", "action"} & set(port.bus.frames)


def test_missing_ids_are_named(arm: StsArm, port: VirtualPort) -> None:
    port.bus.faults[2].silent = port.bus.faults[6].silent = True
    with pytest.raises(ServoMissing, match=r"2 \(shoulder_lift\), 6 \(gripper\).*\[1, 3, 4, 5\]"):
        arm.connect()


def test_an_unpowered_arm_is_named(arm: StsArm, port: VirtualPort) -> None:
    for faults in port.bus.faults.values():
        faults.silent = True
    with pytest.raises(ServoMissing, match=r"no answer from any servo.*power supply"):
        arm.connect()


def test_duplicate_ids_are_named(arm: StsArm, port: VirtualPort) -> None:
    port.bus.faults[4].duplicate = True
    with pytest.raises(ServoDuplicate, match="id 4"):
        arm.connect()


def test_another_model_is_refused(arm: StsArm, port: VirtualPort) -> None:
    port.bus.servos[0].memory[3:5] = (2825).to_bytes(2, "little")
    with pytest.raises(ServoWrong, match=r"servo 1.*777.*2825"):
        arm.connect()


def test_calibration_of_another_arm_is_refused_with_the_difference(bus: Bus, port: VirtualPort) -> None:
    rows = [*CALIBRATION.joints]
    rows[2] = ("elbow_flex", JointCalibration(3, 0, 1177, 946, 3000))
    arm = StsArm(bus, ROBOT, Calibration(tuple(rows), "other.json"))
    with pytest.raises(CalibrationMismatch, match=r"other.json.*elbow_flex Max_Position_Limit: file 3000, servo 3148"):
        arm.connect()


def test_configure_writes_only_what_differs_and_it_lasts(arm: StsArm, port: VirtualPort) -> None:
    assert arm.configure() == ()
    port.bus.servos[1].eeprom[REGISTERS["P_Coefficient"].address] = 32
    port.bus.servos[1].power_on()
    assert arm.configure() == ("shoulder_lift: P_Coefficient = 16",)
    port.bus.servos[1].power_on()
    assert port.bus.servos[1].get("P_Coefficient") == 16 and port.bus.servos[1].get("Lock") == 1


def test_configure_ends_multi_turn_counting(arm: StsArm, port: VirtualPort) -> None:
    port.bus.servos[3].eeprom[REGISTERS["Phase"].address] = 12 | 0x10
    port.bus.servos[3].power_on()
    assert arm.configure() == ("wrist_flex: Phase = 12",)


def test_configure_leaves_a_holding_arm_alone(arm: StsArm, port: VirtualPort) -> None:
    port.bus.servos[1].eeprom[REGISTERS["P_Coefficient"].address] = 32
    port.bus.servos[1].power_on()
    arm.torque_on()
    (line,) = arm.configure()
    assert "torque is on" in line and port.bus.servos[1].get("P_Coefficient") == 32


def test_torque_on_writes_goal_equal_present_first(arm: StsArm, port: VirtualPort, place: Place) -> None:
    for servo, row in zip(arm.ids, CALIBRATION.joints, strict=True):
        place(servo, round(row[1].middle) + 10 * servo)  # moved by hand: the goal registers are stale
    assert arm.torque() == "off"
    present = arm.torque_on()
    assert arm.torque() == "on" and np.abs(present[:5]).max() < 0.2
    rows = list(port.bus.journal)
    goals = [row for row in rows if touches_goal(row.address, len(row.data))]
    switches = [row for row in rows if row.address == TORQUE]
    assert {row.servo for row in goals} == {row.servo for row in switches} == set(arm.ids)
    assert rows.index(goals[-1]) < rows.index(switches[0])
    for row in goals:
        at = GOAL - row.address
        assert int.from_bytes(row.data[at : at + 2], "little") == row.position
    for servo in port.bus.servos:
        assert servo.drive.torque and abs(servo.drive.target - servo.motion.position) < 1


def test_torque_on_without_the_goal_first_would_jump(bus: Bus, port: VirtualPort, place: Place) -> None:
    """Negative control of the test above: the same servos, torque written alone."""
    place(1, 2300)
    bus.write(1, "Torque_Enable", 1)
    assert abs(port.bus.servos[0].drive.target - port.bus.servos[0].motion.position) > 200


def test_torque_on_is_refused_while_a_servo_is_silent(arm: StsArm, port: VirtualPort) -> None:
    port.bus.faults[3].silent = True
    with pytest.raises(NoAnswer, match=r"\[3\]"):
        arm.torque_on()
    assert not port.bus.journal


def test_read_gives_si_and_keeps_what_did_not_answer(arm: StsArm, port: VirtualPort, place: Place) -> None:
    place(1, 2047 + 652)
    port.bus.servos[0].voltage, port.bus.servos[0].temperature = 71, 44
    state = arm.read()
    assert state.position[0] == pytest.approx(652 * 2 * np.pi / 4095)
    assert state.position[5] == pytest.approx(ROBOT.park_pose[5], abs=1e-3)
    assert state.voltage[0] == pytest.approx(7.1) and state.temperature[0] == 44.0
    assert state.fresh.all()
    place(1, 2047)
    port.bus.faults[1].silent = True
    again = arm.read()
    assert again.fresh.tolist() == [False] + [True] * 5
    assert again.position[0] == state.position[0]


def test_goals_are_rounded_to_ticks_in_one_frame(arm: StsArm, port: VirtualPort) -> None:
    goal = arm.codec.to_si(np.array([2047.4, 2000.6, 2047, 2047, 2047, 2500.0]))
    arm.send(goal)
    arm.bus.ping(1)  # all bytes before it have been served
    assert [servo.get("Goal_Position") for servo in port.bus.servos] == [2047, 2001, 2047, 2047, 2047, 2500]
    assert port.bus.frames["goal"] == 1


def test_negative_current_and_load_are_signed(arm: StsArm, port: VirtualPort) -> None:
    with port.lock:
        motion = port.bus.servos[0].motion
        world = port.bus.world
        world._motions[0] = type(motion)(motion.position, -500.0, -0.25)  # type: ignore[attr-defined]
    state = arm.read()
    assert state.load[0] == pytest.approx(-0.25) and state.current[0] < -0.5 and state.velocity[0] < -0.7


def test_a_broken_frame_of_ours_is_not_obeyed(port: VirtualPort, bus: Bus) -> None:
    frame = protocol.make_write(1, TORQUE, b"\x01")
    bus.send(frame[:-1] + bytes((frame[-1] ^ 1,)))
    assert bus.ping(1) and not port.bus.journal and port.bus.frames["garbled"] == 1
