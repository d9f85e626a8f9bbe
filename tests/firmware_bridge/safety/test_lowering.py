"""Arms that go limp when their host is silent (YAM): they are held in every mode, and lowered at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from firmware_bridge.errors import CommandRefused
from firmware_bridge.safety.modes import Mode, Reading
from tests.firmware_bridge.safety.rig import Rig, idle


def yam(**changes: Any) -> Rig:
    return Rig(holds_alone=False, lower_s=1.0, **changes)


def lowered(rig: Rig) -> list[float]:
    """Runs until the machine is done; the support of each tick, checked to fall evenly to a torque-off."""
    steps = []
    while not rig.machine.done:
        assert len(steps) < 1000
        steps += rig.run(1)
    assert steps[-1].torque is False and all(step.torque is None and step.goal is None for step in steps[:-1])
    support = [step.support for step in steps[:-1]]
    assert len(support) == 99 and np.diff([1.0, *support, 0.0]) == pytest.approx(-0.01)
    assert rig.machine.torque == "off" and "torque off" in rig.machine.farewell()
    return support


def test_leaving_with_hold_lowers_the_arm_over_its_time() -> None:
    rig = yam()
    rig.raised()
    rig.machine.leave("hold", rig.now)
    assert rig.machine.mode is Mode.LOWERING and not rig.machine.done
    rig.run(1)
    assert "lowering the arm: 99%" in rig.machine.note
    rig2 = yam()
    rig2.raised()
    rig2.machine.leave("hold", rig2.now)
    lowered(rig2)


@pytest.mark.parametrize("before", ["estop", "fault", "adopted", "parking"])
def test_ending_from_any_mode_that_holds_lowers(before: str) -> None:
    rig = yam(start=before != "adopted")
    if before == "adopted":
        rig.machine.adopt("the bridge before died")
        rig.run(3)
    else:
        rig.raised()
    if before == "estop":
        rig.do("estop")
    if before == "fault":
        rig.machine.failed("a mistake")
    if before == "parking":
        rig.machine.leave("park", rig.now)
        rig.run(5)
    assert all(idle(step) for step in rig.run(20)) or before == "parking"
    rig.machine.leave("hold" if before == "parking" else "park", rig.now)
    lowered(rig)
    assert ("broken off" in rig.machine.farewell()) == (before == "parking")


def test_parking_that_fails_at_the_end_lowers() -> None:
    rig = yam()
    rig.raised()
    rig.stuck = True
    rig.machine.leave("park", rig.now)
    while rig.machine.mode is Mode.PARKING:
        rig.run(1)
    assert idle(rig.steps[-1])
    lowered(rig)
    assert "could not park" in rig.machine.farewell() and "stays on" not in rig.machine.farewell()


def test_a_fault_while_parking_at_the_end_lowers() -> None:
    rig = yam()
    rig.raised()
    rig.machine.leave("park", rig.now)
    rig.run(3)
    rig.alarms = ("over-temperature", "")
    first = rig.run(1)[0]
    assert first.support == 0.99 and rig.machine.mode is Mode.LOWERING and "over-temperature" in rig.machine.fault
    rig.run(98)
    assert rig.run(1)[0].torque is False and rig.machine.done


def test_lowering_goes_on_when_motors_are_silent_or_asked_to_leave_again() -> None:
    rig = yam()
    rig.raised()
    rig.machine.leave("hold", rig.now)
    rig.fresh = np.array([False, False])
    for policy in ("hold", "park"):
        rig.machine.leave(policy, rig.now)
        rig.run(1)
        assert rig.machine.mode is Mode.LOWERING
    assert rig.run(96)[-1].support == pytest.approx(0.02)
    rig.run(2)
    assert rig.machine.done and rig.machine.torque == "off"


def test_lowering_does_not_hurry_when_the_clock_jumps() -> None:
    rig = yam()
    rig.raised()
    rig.machine.leave("hold", rig.now)
    for late in (1000.0, -1000.0, 1e6):
        rig.tick += 1
        step = rig.machine.step(Reading(late, rig.tick, rig.state))
        assert step.torque is None and step.support >= 0.97 - 1e-9


def test_lowering_ends_even_where_every_tick_fails() -> None:
    rig = yam()
    rig.raised()
    rig.machine.leave("hold", rig.now)
    for _ in range(99):
        rig.machine.failed("the bus is gone")
        assert not rig.machine.done
    rig.machine.failed("the bus is gone")
    assert rig.machine.done and "the bus is gone" in rig.machine.farewell()


def test_limp_ends_the_lowering_at_once() -> None:
    rig = yam()
    rig.raised()
    rig.machine.leave("hold", rig.now)
    rig.run(3)
    rig.machine.leave("limp", rig.now)
    assert rig.run(1)[0].torque is False and rig.machine.done


def test_estop_while_lowering_stops_there_without_lifting_the_arm() -> None:
    rig = yam()
    rig.raised()
    rig.machine.leave("hold", rig.now)
    rig.run(40)
    rig.do("estop")
    steps = rig.run(20)
    assert {step.support for step in steps} == {rig.machine.support} and rig.machine.support == pytest.approx(0.6)
    with pytest.raises(CommandRefused, match="rearm"):
        rig.do("arm")
    rig.do("rearm")
    rig.run(2)
    assert rig.run(1)[0].support == 1.0 and rig.machine.mode is Mode.READY


def test_a_silent_motor_and_a_fault_keep_the_support_that_is_left() -> None:
    rig = yam()
    rig.raised()
    rig.machine.leave("hold", rig.now)
    rig.run(40)
    rig.do("estop")
    rig.fresh = np.array([False, True])
    assert {round(step.support, 9) for step in rig.run(60)} == {0.6}
    assert rig.machine.mode is Mode.FAULT


def test_arming_that_fails_keeps_what_is_left_too() -> None:
    rig = yam()
    rig.raised()
    rig.machine.leave("hold", rig.now)
    rig.run(40)
    rig.do("cut")
    rig.run(2)
    assert rig.machine.torque == "off"
    rig.do("rearm")
    rig.fresh = np.array([False, True])
    assert rig.run(1)[0].torque is None and rig.machine.mode is Mode.FAULT


def test_what_has_no_torque_or_is_not_live_ends_at_once() -> None:
    never = yam()
    never.machine.torque = "off"
    never.machine.leave("park", never.now)
    assert never.machine.done
    shadow = yam(may_move=False)
    shadow.machine.leave("hold", shadow.now)
    assert shadow.machine.done and "neither goals nor torque" in shadow.machine.farewell()


def test_an_arm_that_holds_alone_is_not_lowered() -> None:
    rig = Rig()
    rig.raised()
    rig.machine.leave("hold", rig.now)
    assert rig.machine.done and rig.machine.torque == "on"


def test_lowering_takes_the_time_that_it_is_given() -> None:
    rig = yam()
    slow = Rig(holds_alone=False, lower_s=2.0)
    for one in (rig, slow):
        one.raised()
        one.machine.leave("hold", one.now)
        one.run(50)
    assert (rig.machine.support, slow.machine.support) == pytest.approx((0.5, 0.75))


def test_a_parking_that_fails_goes_on_holding() -> None:
    rig = yam()
    rig.raised()
    rig.stuck = True
    rig.do("park")
    while rig.machine.mode is Mode.PARKING:
        rig.run(1)
    assert idle(rig.steps[-1]) and rig.machine.mode is Mode.PAUSED
