"""Cut, adoption of an arm that a dead bridge left, and the ways to leave that go wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_bridge.errors import CommandRefused
from firmware_bridge.safety.modes import Mode, Reading
from tests.firmware_bridge.safety.rig import RULES, Rig, idle


@pytest.mark.parametrize("before", ["shadow", "running", "parking", "estop", "fault"])
def test_cut_takes_the_torque_off_from_any_mode(before: str) -> None:
    rig = Rig()
    if before != "shadow":
        rig.raised()
    if before in ("estop", "parking"):
        rig.do({"estop": "estop", "parking": "park"}[before])
        rig.run(1)
    if before == "fault":
        rig.machine.failed("a mistake")
    sent = rig.goals()
    assert "falls" in rig.do("cut")
    assert rig.run(1)[0].torque is False and rig.machine.torque == "off" and rig.machine.mode is Mode.ESTOP
    assert all(idle(step) for step in rig.run(20)) and rig.goals() == sent
    assert "falls" in rig.machine.note and ("a mistake" in rig.machine.fault) == (before == "fault")
    rig.do("rearm")
    rig.run(2)
    assert rig.machine.mode is (Mode.SHADOW if before == "shadow" else Mode.READY) and rig.machine.fault == ""


def test_cut_is_tried_again_until_the_torque_is_off() -> None:
    rig = Rig()
    rig.raised()
    rig.do("cut")
    rig.fresh = np.array([False, True])
    for _ in range(40):  # each fails on the bus; the silence becomes a fault meanwhile
        rig.tick += 1
        assert rig.machine.step(Reading(rig.now, rig.tick, rig.state)).torque is False
        rig.machine.torque_asked()
        rig.machine.failed("Torque_Enable of servo 1: silence")
    assert rig.machine.mode is Mode.FAULT and "torque: not known" in rig.machine.fault
    assert rig.run(1)[0].torque is False and rig.run(1)[0].torque is None and rig.machine.torque == "off"


def test_cut_of_what_has_no_torque_sends_nothing() -> None:
    rig = Rig()
    rig.machine.torque = "off"
    rig.do("cut")
    assert all(idle(step) for step in rig.run(5)) and rig.machine.mode is Mode.ESTOP


def test_cut_on_a_bridge_that_is_not_live_sends_nothing_and_says_so() -> None:
    rig = Rig(may_move=False)
    assert "not live" in rig.do("cut")
    assert all(idle(step) for step in rig.run(5)) and rig.machine.mode is Mode.ESTOP


def test_leaving_right_after_cut_still_cuts() -> None:
    rig = Rig()
    rig.raised()
    rig.do("cut")
    rig.machine.leave("hold", rig.now)
    assert not rig.machine.done and rig.run(1)[0].torque is False
    assert rig.machine.done and "torque off" in rig.machine.farewell()


def test_an_adopted_arm_is_held_until_it_is_rearmed_from_where_it_is() -> None:
    rig = Rig(start=False)
    rig.machine.torque = "on"
    rig.machine.adopt("the bridge before died (signal 9)")
    steps = rig.run(50)
    assert all(idle(step) for step in steps) and rig.machine.mode is Mode.FAULT
    assert "signal 9" in rig.machine.fault and "torque: on" in rig.machine.fault and "rearm" in rig.machine.fault
    for word in ("arm", "park", "resume"):
        with pytest.raises(CommandRefused, match="rearm"):
            rig.do(word)
    rig.do("rearm")
    assert rig.run(1)[0].torque is True and (rig.machine.commanded == rig.measured).all()
    rig.send(0.0)
    assert rig.run(2)[-1].goal is not None
    rig.do("park")
    rig.run(500)
    assert rig.machine.mode is Mode.SHADOW and rig.machine.torque == "off"


def test_adopting_without_knowing_the_torque_takes_it_as_on() -> None:
    rig = Rig(start=False)
    rig.machine.adopt("died")
    assert rig.machine.torque == "on"
    off = Rig(start=False)
    off.machine.torque = "off"
    off.machine.adopt("died")
    assert off.machine.torque == "off" and "torque: off" in off.machine.fault


def test_adopting_on_a_bridge_that_is_not_live_arms_nothing() -> None:
    rig = Rig(start=False, may_move=False)
    rig.machine.adopt("died")
    rig.run(1)
    assert rig.machine.torque == "unknown" and "torque: not known" in rig.machine.fault
    rig.do("rearm")
    assert all(idle(step) for step in rig.run(5)) and rig.machine.mode is Mode.SHADOW


def test_an_unknown_way_to_leave_is_refused() -> None:
    rig = Rig()
    rig.raised()
    with pytest.raises(CommandRefused, match=r"park or hold or limp.*drop"):
        rig.machine.leave("drop", rig.now)
    rig.run(1)
    assert rig.machine.mode is Mode.RUNNING


def test_parking_that_is_blocked_gives_up_and_says_by_what() -> None:
    rig = Rig(envelope=replace(RULES.envelope, lead=np.array([0.1, 0.1])))
    rig.raised()
    rig.stuck = True
    rig.do("park")
    rig.run(30)
    assert rig.machine.mode is Mode.PARKING
    rig.run(150)
    assert rig.machine.mode is Mode.PAUSED and rig.machine.torque == "on"
    assert "could not park: lift is" in rig.machine.note and "(lead lift" in rig.machine.note


def test_a_clock_that_goes_back_while_parking_starts_its_patience_again() -> None:
    rig = Rig(envelope=replace(RULES.envelope, lead=np.array([0.1, 0.1])))
    rig.raised()
    rig.stuck = True
    rig.do("park")
    rig.run(80)
    for tick in range(150):
        rig.tick += 1
        rig.machine.step(Reading(-100.0 + 0.01 * tick, rig.tick, rig.state))
    assert rig.machine.mode is Mode.PAUSED


def test_parked_with_a_hand_in_the_gripper() -> None:
    rig = Rig(envelope=replace(RULES.envelope, lead=np.array([10.0, 0.1]), alone=RULES.grippers))
    rig.raised()
    rig.do("park")
    for _ in range(600):
        rig.run(1)
        rig.measured[1] = 0.5
    assert rig.machine.mode is Mode.SHADOW and rig.machine.torque == "off"


def test_a_fault_after_the_end_is_told_in_the_farewell() -> None:
    rig = Rig()
    rig.raised()
    rig.machine.leave("limp", rig.now)
    rig.machine.torque_asked()
    rig.machine.failed("Torque_Enable: silence")
    rig.machine.failed("and again")
    assert "Torque_Enable: silence; torque not known" in rig.machine.farewell()


def test_a_fault_while_leaving_ends_with_the_arm_held() -> None:
    rig = Rig()
    rig.raised()
    rig.machine.leave("park", rig.now)
    rig.alarms = ("overload", "")
    rig.run(1)
    assert rig.machine.done and rig.machine.torque == "on" and "overload" in rig.machine.farewell()


def test_parking_what_has_no_torque_and_what_is_not_ours() -> None:
    rig = Rig()
    rig.machine.torque = "off"
    assert "nothing to park" in rig.do("park")
    rig.machine.torque = "on"
    with pytest.raises(CommandRefused, match="arm, then park"):
        rig.do("park")


def test_arming_before_any_reading_is_refused() -> None:
    rig = Rig(start=False)
    rig.machine.adopt("died")
    with pytest.raises(CommandRefused, match="no servo yet"):
        rig.do("rearm")
