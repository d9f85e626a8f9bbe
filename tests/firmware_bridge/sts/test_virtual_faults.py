"""What goes wrong with the virtual servos goes wrong as it does with real ones, and an arm says what it was."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.errors import ServoDuplicate
from firmware_bridge.robots import find
from firmware_bridge.sts import protocol
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.scan import scan
from firmware_bridge.sts.virtual_line import VirtualClock, VirtualLine
from firmware_bridge.sts.virtual_protection import CURRENT, HEAT, OVERLOAD, VOLTAGE
from firmware_bridge.sts.virtual_world import LOAD_PER_TICK, Drive, FirstOrderWorld
from tests.firmware_bridge.sts.conftest import IDS, TICK_S, Rig, virtual_rig


@pytest.fixture
def armed() -> Rig:
    rig = virtual_rig()
    rig.arm.connect()
    rig.arm.learn(())
    rig.arm.torque_on()
    rig.ticks(40)
    return rig


def push(rig: Rig, joint: int, by: float, ticks: int = 60) -> None:
    """Send the joint away by `by` rad, in small steps."""
    goal = rig.arm.read().position.copy()
    for _ in range(ticks):
        goal[joint] += by / ticks
        rig.arm.send(goal)
        rig.wait(0.01)
        rig.arm.read()


# -- torque and its limits


def test_a_stall_trips_the_overload_and_only_power_ends_it(armed: Rig) -> None:
    at = armed.servo(3).get("Present_Position")
    armed.block(3, at - 20)
    push(armed, 2, -0.8)
    state = armed.arm.read()
    assert state.load[2] < -0.9 and state.current[2] < -2.0 and not any(state.alarms)
    assert abs(armed.servo(3).get("Present_Position") - (at - 20)) <= 1
    tripped = armed.until(lambda state: state.alarms[2] != "", ticks=300)
    assert tripped.errors[2] == OVERLOAD and "overload in elbow_flex" in tripped.alarms[2]
    later = armed.ticks(3)[-1]
    assert abs(later.load[2]) <= 0.21  # Protective_Torque
    armed.arm.torque_off()
    armed.ticks(300)
    assert armed.arm.read().errors[2] == OVERLOAD
    armed.servo(3).restart(armed.bus.clock())
    assert armed.arm.read().errors[2] == 0


def test_a_stall_shorter_than_the_protection_time_trips_nothing(armed: Rig) -> None:
    armed.block(3, armed.servo(3).get("Present_Position") - 20)
    push(armed, 2, -0.8)
    push(armed, 2, 0.8)
    assert not any(state.errors[2] for state in armed.ticks(300))


def test_over_current_trips_after_its_time(armed: Rig) -> None:
    armed.write(1, "Protection_Current", 150)  # 0.98 A
    armed.block(1, armed.servo(1).get("Present_Position") + 20)
    push(armed, 0, 0.8)
    state = armed.until(lambda state: state.errors[0] != 0, ticks=300)
    assert state.errors[0] & CURRENT and "over-current in shoulder_pan" in state.alarms[0]


def test_load_heats_and_heat_drops_the_torque(armed: Rig) -> None:
    for servo in armed.servos.servos:
        servo.heating = 20.0
    armed.write(3, "Overload_Torque", 100)  # heat, not overload, is what trips
    armed.write(3, "Protection_Time", 255)
    armed.block(3, armed.servo(3).get("Present_Position") - 20)
    push(armed, 2, -0.8)
    state = armed.until(lambda state: state.errors[2] != 0, ticks=1000)
    assert state.errors[2] == HEAT and state.temperature[2] >= 70 and state.temperature[0] < 40
    assert armed.until(lambda state: state.load[2] == 0.0).errors[2] == HEAT
    cooled = armed.until(lambda state: state.errors[2] == 0, ticks=3000)
    assert cooled.temperature[2] <= 65


def test_a_motor_too_weak_for_its_arm_sinks() -> None:
    world = FirstOrderWorld([1000.0], rest=[0.0])
    strong, weak = (Drive(True, 1000.0, 2000.0, 25400.0, effort) for effort in (1.0, 0.1))
    world.advance(0.0, [strong])
    assert world.advance(1.0, [strong])[0].position == 1000.0
    sunk = world.advance(5.0, [weak])[0]
    assert sunk.position == pytest.approx(0.1 / LOAD_PER_TICK, abs=1.0) and sunk.load == pytest.approx(0.1)


def test_a_wall_can_be_taken_away(armed: Rig) -> None:
    at = armed.servo(1).get("Present_Position")
    armed.block(1, at + 20)
    push(armed, 0, 0.2)
    assert armed.servo(1).get("Present_Position") == at + 20
    armed.servos.world.block(0, None)  # type: ignore[attr-defined]
    armed.ticks(60)
    assert armed.servo(1).get("Present_Position") > at + 100


# -- power


def test_voltage_outside_its_limits_is_a_bit_that_comes_and_goes(armed: Rig) -> None:
    armed.servo(2).voltage = 85
    state = armed.ticks(2)[-1]
    assert state.errors[1] == VOLTAGE and state.alarms[1] == "" and state.changed == ()
    armed.servo(2).voltage = 74
    assert armed.ticks(2)[-1].errors[1] == 0


def test_a_brown_out_sags_then_restarts_every_servo_and_the_arm_says_so(armed: Rig) -> None:
    armed.servos.brown_out(volts=3.4, sag_s=0.1, silent_s=0.2)
    low = armed.until(lambda state: state.voltage[0] < 4.0)
    assert set(low.errors) == {VOLTAGE} and low.fresh.all()
    dark = armed.until(lambda state: not state.fresh.any())
    assert dark.changed == ()
    back = armed.until(lambda state: bool(state.fresh.all()))
    assert len(back.changed) == 1 and "Torque_Enable reads 0, expected 1" in back.changed[0]
    assert all(joint in back.changed[0] for joint in find("so101").joints)
    assert {servo.get("Torque_Enable") for servo in armed.servos.servos} == {0}


def test_a_restarting_servo_neither_hears_nor_answers(armed: Rig) -> None:
    armed.servo(4).restart(armed.bus.clock(), 0.3)
    armed.arm.send(armed.arm.read().position)
    assert armed.servo(4).get("Torque_Enable") == 0
    assert not armed.arm.read().fresh[3]
    armed.wait(0.6)
    assert armed.arm.read().fresh.all()


# -- the wire


def test_answers_take_their_time_on_the_wire_and_the_servos_own_delay() -> None:
    rig = virtual_rig()
    clock, line = rig.bus.clock, rig.bus.line
    assert isinstance(clock, VirtualClock) and isinstance(line, VirtualLine)
    rig.arm.read()
    assert clock.now == pytest.approx(2.36e-3)
    for servo in IDS:
        rig.write(servo, "Return_Delay_Time", 250)
    rig.wait(TICK_S)
    start = clock.now
    rig.arm.read()
    assert clock.now - start == pytest.approx(2.36e-3 + 6 * 500e-6)


@pytest.mark.parametrize("pause_s", [0.0, TICK_S])
def test_an_answer_sent_twice_is_no_second_answer(pause_s: float) -> None:
    """Its copy comes before the next request, or into the middle of its answers."""
    rig = virtual_rig()
    rig.still()
    rig.place(3, 1000)
    rig.fault(3, again=1, again_s=0.0025)
    assert rig.arm.read().fresh.all()
    rig.place(3, 2000)
    rig.wait(pause_s)
    state = rig.arm.read()
    assert state.fresh.all() and rig.bus.counters.stray_bytes == 31 + protocol.OVERHEAD
    assert state.position[2] == rig.arm.codec.to_si(np.full(6, 2000.0))[2]


@pytest.mark.parametrize("every", [1, 2, 3])
def test_twins_that_hardly_differ_are_found(rig: Rig, every: int) -> None:
    rig.fault(4, twin_every=every)
    with pytest.raises(ServoDuplicate, match="id 4"):
        scan(rig.bus, IDS)


def test_twins_that_never_differ_are_not_found_as_said(rig: Rig) -> None:
    """The limit that scan.py states; a real wire tells them apart by their clocks."""
    rig.fault(4, twin_every=10_000)
    assert scan(rig.bus, IDS) == IDS


def test_one_glitch_while_scanning_is_no_twin(rig: Rig) -> None:
    rig.fault(2, corrupt=1)
    rig.fault(5, drop=1)
    assert scan(rig.bus, IDS) == IDS


def test_connecting_takes_a_tenth_of_a_second_of_the_wires_time() -> None:
    rig = virtual_rig()
    rig.arm.connect()
    rig.arm.configure()
    rig.arm.learn(())
    assert rig.bus.clock() < 0.15  # of which 0.08 s are waiting for silence
    start = rig.bus.clock()
    rig.arm.torque_on()
    assert rig.bus.clock() - start < 0.006


def test_freezing_takes_less_than_50_ms_of_the_wires_time(armed: Rig) -> None:
    start, journal = armed.bus.clock(), len(armed.servos.journal)
    armed.arm.adopt()
    assert armed.servos.journal[journal].t - start < 0.05


def test_a_registered_write_waits_shows_and_does_not_outlive_a_restart(armed: Rig) -> None:
    address = REGISTERS["Acceleration"].address
    for restart in (False, True):
        armed.bus.ask(3, protocol.make_reg_write(3, address, b"\x21"), 0)
        assert armed.bus.read(3, "Async_Write_Flag") == 1
        if restart:
            armed.servo(3).restart(armed.bus.clock())
        armed.bus.send(protocol.make_action())
        assert armed.bus.read(3, "Async_Write_Flag") == 0
        assert armed.servo(3).get("Acceleration") == (0 if restart else 0x21)


def test_multi_turn_readings_leave_the_turn_and_configure_ends_it() -> None:
    rig = virtual_rig()
    rig.place(5, 4095)
    rig.arm.read()
    world = rig.servos.world
    assert isinstance(world, FirstOrderWorld)
    rig.write(5, "Phase", 12 | 0x10)
    world.place(4, 4200 + rig.servo(5).get("Homing_Offset"))
    assert rig.bus.read(5, "Present_Position") == 4200
    assert np.isfinite(rig.arm.read().position).all()
    assert rig.arm.configure() == ("wrist_roll: Phase = 12",)
    assert abs(rig.bus.read(5, "Present_Position") - (4200 - 4096)) < 20  # it sinks meanwhile
