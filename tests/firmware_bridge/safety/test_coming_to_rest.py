"""How a moving arm comes to rest, and what of a reading stops it: silence, restarts, numbers that are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_bridge.errors import CommandRefused
from firmware_bridge.messages import FRAME, UNITS, Chunk
from firmware_bridge.safety.chunks import Door, Mailbox
from firmware_bridge.safety.modes import Mode
from tests.firmware_bridge.safety.rig import RULES, Rig, idle

SLOW_TO_STOP = replace(RULES.envelope, acceleration=np.array([20.0, 20.0]))


def test_a_chunk_that_ends_in_motion_is_braked_from_its_first_tick_and_stands_within_100_ms() -> None:
    rig = Rig(envelope=SLOW_TO_STOP)
    rig.do("arm")
    rig.run(1)
    ramp = np.array([[0.5 - 0.05 * index, 0.5] for index in range(10)], np.float32)
    chunk = Chunk(ramp, "so101", UNITS, FRAME, rig.tick, rig.tick, 0.05)  # 1 rad/s, ends in full motion
    rig.machine.chunk(chunk, rig.now)
    rig.run(45)
    assert rig.machine.mode is Mode.RUNNING and rig.machine.motion.velocity[0] == pytest.approx(-1.0, abs=0.01)
    late = Chunk(ramp[:9], "so101", UNITS, FRAME, rig.tick, rig.tick - 44, 0.05)
    rig.machine.chunk(late, rig.now)  # the newest wins, and it is over at once
    steps = []
    while rig.machine.mode is Mode.RUNNING:
        steps += rig.run(1)
    assert len(steps) <= 2 and steps[-1].goal is not None
    speed = abs(rig.machine.motion.velocity[0])
    braking = rig.run(10)
    assert speed < 1.0 and not rig.machine.motion.velocity.any()  # 10 ticks of 10 ms
    assert braking[0].goal is not None and braking[-1].goal is None and rig.machine.mode is Mode.READY
    assert all(step.goal is None for step in rig.run(50))


@pytest.mark.parametrize("word", ["arm", ""])
def test_the_moving_wish_of_a_chunk_is_followed_exactly_and_in_shadow_as_well(word: str) -> None:
    rig = Rig(envelope=SLOW_TO_STOP)
    if word:
        rig.do(word)
    rig.run(1)
    ramp = np.array([[0.5 - 0.05 * index, 0.5] for index in range(10)], np.float32)
    rig.machine.chunk(Chunk(ramp, "so101", UNITS, FRAME, rig.tick, rig.tick, 0.05), rig.now)
    rig.run(30)
    assert rig.machine.commanded[0] == pytest.approx(0.5 - 1.0 * 0.30, abs=1e-6) and rig.steps[-1].clamped == ()
    assert (rig.measured[0] == 0.5) == (word == "")


def test_a_silent_client_is_braked() -> None:
    rig = Rig(envelope=SLOW_TO_STOP, client_timeout_s=0.1)
    rig.do("arm")
    rig.run(1)
    rig.send(-0.9, 5.0)
    rig.run(30)
    assert "silent" in rig.machine.note and rig.machine.mode is Mode.READY
    assert not rig.machine.motion.velocity.any() and rig.run(1)[0].goal is None


def test_after_a_silent_tick_the_motion_begins_from_rest() -> None:
    rig = Rig(envelope=SLOW_TO_STOP)
    rig.do("arm")
    rig.run(1)
    rig.send(-0.9)
    rig.run(15)
    assert abs(rig.machine.motion.velocity[0]) > 1.0
    rig.fresh = np.array([True, False])
    assert rig.run(1)[0].goal is None and not rig.machine.motion.velocity.any()
    rig.fresh = np.array([True, True])
    assert rig.run(1)[0].goal is not None
    assert abs(rig.machine.motion.velocity[0]) == pytest.approx(0.2)


def test_what_changed_by_itself_is_a_fault_before_another_goal() -> None:
    rig = Rig()
    rig.raised()
    before = rig.goals()
    rig.changed = ("lift: torque 1 -> 0",)
    rig.run(1)
    assert rig.goals() == before and rig.machine.mode is Mode.FAULT and "lift: torque 1 -> 0" in rig.machine.fault
    rig.run(5)
    assert "lift: torque 1 -> 0" in rig.machine.note  # and it stays in view
    rig.do("rearm")
    assert rig.run(1)[0].torque is True  # which writes it anew
    rig.changed = ()
    rig.run(5)
    assert rig.machine.mode is Mode.READY and rig.machine.fault == ""


def test_what_changed_while_nothing_is_armed_is_only_noted() -> None:
    rig = Rig()
    rig.changed = ("lift: torque limit 1000 -> 500",)
    rig.run(1)
    assert rig.machine.mode is Mode.SHADOW and "torque limit" in rig.machine.note
    rig.changed = ()
    rig.run(1)
    assert rig.machine.note == ""


def test_a_servo_that_is_silent_in_the_tick_of_arming_gets_no_torque() -> None:
    rig = Rig()
    rig.do("arm")
    rig.fresh = np.array([False, True])
    assert idle(rig.run(1)[0])
    assert rig.machine.mode is Mode.FAULT and "lift did not answer in the tick of arming" in rig.machine.fault


def test_a_position_that_is_no_number_faults_and_cannot_be_armed() -> None:
    rig = Rig()
    rig.raised()
    before, good = rig.goals(), rig.measured
    rig.measured = np.array([np.nan, 0.5])
    rig.run(1)
    assert rig.machine.mode is Mode.FAULT and rig.goals() == before
    assert "the position of lift; expected: a number" in rig.machine.fault
    with pytest.raises(CommandRefused, match="the position of lift"):
        rig.do("rearm")
    rig.measured = good
    rig.run(1)
    rig.do("rearm")


def test_a_shadow_that_began_without_numbers_begins_again() -> None:
    rig = Rig()
    rig.measured = np.array([np.nan, 0.5])
    rig.run(1)
    rig.measured = np.array([0.5, 0.5])
    rig.send(0.0)
    rig.run(5)
    assert rig.machine.mode is Mode.SHADOW and np.isfinite(rig.machine.commanded).all()
    assert rig.machine.commanded[0] < 0.5


def test_torque_that_went_on_nowhere_is_a_fault() -> None:
    rig = Rig()
    rig.do("arm")
    rig.machine.torque_is(True, np.array([np.nan, 0.5]))
    assert rig.machine.mode is Mode.FAULT and "the place where the torque went on" in rig.machine.fault


def test_a_path_of_another_size_is_a_fault() -> None:
    rig = Rig()
    rig.do("arm")
    rig.run(1)
    rig.machine.mailbox = Mailbox(Door("so101", 3, 100.0, 500))
    rig.machine.mailbox.published(rig.tick, rig.tick)
    wide = Chunk(np.zeros((5, 3), np.float32), "so101", UNITS, FRAME, rig.tick, rig.tick, 0.1)
    rig.machine.chunk(wide, rig.now)
    assert idle(rig.run(1)[0])
    assert rig.machine.mode is Mode.FAULT and "2 finite numbers" in rig.machine.fault


def test_a_gripper_outside_its_range_can_be_armed_and_a_silent_joints_number_is_not_judged() -> None:
    rig = Rig()
    rig.measured = np.array([0.5, 1.4])
    rig.run(1)
    rig.do("arm")
    rig.run(1)
    rig.fresh, rig.measured = np.array([False, True]), np.array([np.nan, 0.5])
    rig.run(1)
    assert rig.machine.mode is Mode.READY and rig.machine.fault == ""


def test_a_driver_that_forgets_a_joints_alarm_is_our_own_mistake() -> None:
    rig = Rig()
    rig.do("arm")
    rig.run(1)
    rig.alarms = ("",)  # type: ignore[assignment]
    with pytest.raises(ValueError, match="zip"):
        rig.run(1)
    fresh = Rig()
    fresh.alarms = ("",)  # type: ignore[assignment]
    fresh.run(1)
    with pytest.raises(ValueError, match="zip"):
        fresh.do("arm")


def test_a_servo_that_never_answered_is_a_fault_like_one_that_fell_silent() -> None:
    rig = Rig(start=False)
    rig.fresh = np.array([False, True])
    rig.run(15)
    assert rig.machine.mode is Mode.SHADOW
    rig.run(15)
    assert rig.machine.mode is Mode.FAULT and "lift has not answered" in rig.machine.fault


@pytest.mark.parametrize(("place", "armed"), [(-1.26, False), (-1.24, True), (1.24, True), (1.26, False)])
def test_a_little_outside_the_servos_range_can_be_armed(place: float, armed: bool) -> None:
    rig = Rig()
    rig.measured = np.array([place, 0.5])
    rig.run(1)
    if armed:
        assert rig.do("arm") == "torque on with goal = present"
    else:
        with pytest.raises(CommandRefused, match="outside the calibrated range"):
            rig.do("arm")
