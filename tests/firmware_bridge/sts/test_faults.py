"""The same faults of the line on a pty and on the virtual one: survived, or named, in bounded time."""

from __future__ import annotations

import pytest

from firmware_bridge.errors import NoAnswer
from firmware_bridge.sts.registers import REGISTERS, TELEMETRY_ADDRESS, TELEMETRY_LENGTH
from firmware_bridge.sts.scan import probe_echo, scan
from firmware_bridge.sts.stale import SPARE_LENGTHS, Debts
from tests.firmware_bridge.sts.conftest import IDS, Rig, virtual_rig


def position(rig: Rig, servo: int) -> int | None:
    answer = rig.bus.sync_read(TELEMETRY_ADDRESS, TELEMETRY_LENGTH, IDS)
    register = REGISTERS["Present_Position"]
    frame = answer.frames.get(servo)
    return None if frame is None else register.decode(frame.data[register.address - TELEMETRY_ADDRESS :])


def test_lost_and_broken_answers_are_asked_for_again(rig: Rig) -> None:
    rig.fault(2, drop=1)
    rig.fault(5, corrupt=1)
    rig.fault(6, deaf=1)
    before = rig.bus.counters.retries
    state = rig.arm.read()
    assert state.fresh.all() and rig.bus.counters.retries == before + 1


def test_silence_of_one_hides_no_other_and_costs_bounded_time(rig: Rig) -> None:
    rig.fault(3, silent=True)
    rig.bus._debts = Debts(quarantine_s=60.0)
    for _ in range(20):
        assert rig.arm.read().fresh.tolist() == [True, True, False, True, True, True]
    asked = rig.bus.counters.silent
    assert asked == SPARE_LENGTHS  # after that it is left alone until a debt runs out


def test_a_servo_that_comes_back_is_read_again(rig: Rig) -> None:
    rig.fault(3, silent=True)
    assert not any(state.fresh[2] for state in rig.ticks(5))
    rig.fault(3, silent=False)
    assert rig.until(lambda state: bool(state.fresh.all())).fresh[2]


@pytest.mark.parametrize("late_s", [0.03, 0.11, 0.2])
def test_late_answers_are_never_new(rig: Rig, late_s: float) -> None:
    rig.bus.patience = type(rig.bus.patience)(reply_timeout_s=0.02)
    rig.still()
    rig.ticks(2)
    rig.fault(1, late=2, late_s=late_s)
    seen = []
    for step in range(40):
        rig.place(1, 2000 + 20 * step)
        got = position(rig, 1)
        seen.append(got)
        assert got in (None, 2000 + 20 * step), (step, seen)
        rig.wait(0.01)
    rig.until(lambda state: bool(state.fresh.all()))
    assert len(set(seen)) > 5 and rig.bus.counters.stray_bytes > 0  # it did come


def test_an_old_reading_would_have_been_taken_without_changing_lengths(rig: Rig) -> None:
    """Negative control of the test above: one length only."""
    rig.bus.patience = type(rig.bus.patience)(reply_timeout_s=0.02, retries=0)
    rig.bus._debts = Debts(spare=1, quarantine_s=0.0)
    rig.still()
    wrong = 0
    for _ in range(5):
        rig.bus.settle(0.1)
        rig.fault(1, late=2, late_s=0.03)  # the second request still waits when the first one's answer comes
        for step in range(3):
            rig.place(1, 2000 + 100 * step)
            got = position(rig, 1)
            wrong += got not in (None, 2000 + 100 * step)
    assert wrong


def test_an_echoing_adapter_is_found_and_its_echo_is_no_answer(rig: Rig) -> None:
    rig.do(lambda: setattr(rig.servos, "echo", True))
    assert probe_echo(rig.bus) and scan(rig.bus, IDS) == IDS
    strays = rig.bus.counters.stray_bytes
    goal = rig.arm.torque_on()
    for _ in range(40):
        assert rig.arm.read().fresh.all()
        rig.arm.send(goal)
        rig.wait(0.01)
    assert rig.bus.counters.stray_bytes == strays


def test_an_echo_costs_a_goal_frame_its_own_time_and_no_timeout() -> None:
    rig = virtual_rig()
    rig.servos.echo = True
    rig.arm.connect()
    goal = rig.arm.torque_on()
    start = rig.bus.clock()
    rig.arm.send(goal)
    assert 0.0 < rig.bus.clock() - start < 0.001
    assert rig.arm.read().fresh.all() and rig.bus.counters.stray_bytes == 0


def test_a_silent_servo_alone_is_an_error_with_a_way_out(rig: Rig) -> None:
    rig.fault(4, silent=True)
    with pytest.raises(NoAnswer, match=r"servo 4.*what to do"):
        rig.bus.read(4, "Model_Number")
