"""The machine alone, with a clock of its own: what each mode sends, and what it never sends."""

from __future__ import annotations

import random

import numpy as np
import pytest

from firmware_bridge.errors import BridgeError, CommandRefused
from firmware_bridge.safety.modes import ARMED, Mode
from tests.firmware_bridge.safety.examples import rounds
from tests.firmware_bridge.safety.rig import RULES, Rig


def test_a_machine_that_has_seen_nothing_says_nothing() -> None:
    machine = Rig(start=False).machine
    assert (machine.mode, machine.torque, machine.support, machine.driver_at) == (Mode.STARTING, "unknown", 1.0, None)
    assert machine.note == machine.remark == machine.fault == "" and machine.verdict.notes == ()
    assert machine.commanded.tolist() == [0.0, 0.0] and not machine.done


def test_nothing_is_sent_before_arm() -> None:
    rig = Rig()
    rig.send(0.0)
    steps = rig.run(10)
    assert all(step.goal is None and step.torque is None for step in steps)
    assert rig.machine.commanded[0] < 0.5  # the target is computed all the same
    rig.do("arm")
    assert rig.run(1)[0].torque is True
    assert (rig.machine.commanded == rig.measured).all()  # not where the shadow had gone


def test_without_may_move_arm_is_refused_and_nothing_is_ever_sent() -> None:
    rig = Rig(may_move=False)
    with pytest.raises(CommandRefused, match=r"not live.*--live"):
        rig.do("arm")
    rig.send(0.0)
    rig.run(20)
    rig.machine.leave("park", rig.now)
    rig.run(1)
    rig.machine.leave("limp", rig.now)
    rig.run(1)
    assert rig.machine.done and all(s.goal is None and s.torque is None for s in rig.steps)


def test_running_follows_the_chunk_within_the_speed_then_holds() -> None:
    rig = Rig()
    rig.raised()
    path = [step.goal[0] for step in rig.steps if step.goal is not None]
    assert np.abs(np.diff([0.5, *path])).max() <= 2.0 * 0.01 + 1e-9
    rig.send(0.0, 0.3)
    rig.run(40)
    assert rig.machine.mode is Mode.READY and rig.measured[0] == pytest.approx(0.0)
    assert rig.run(1)[-1].goal is None and "no chunk" in rig.machine.note


def test_estop_latches_until_rearm() -> None:
    rig = Rig()
    rig.raised()
    rig.do("estop")
    before = rig.goals()
    for attempt in ("arm", "resume", "park", "pause"):
        with pytest.raises(CommandRefused, match=r"estop.*rearm"):
            rig.do(attempt)
    with pytest.raises(CommandRefused, match="a chunk in mode estop"):
        rig.send(0.0)
    rig.run(500)
    assert rig.goals() == before and rig.machine.torque == "on"
    rig.do("rearm")
    assert rig.run(1)[0].torque is True  # the Step that sets goal = present
    rig.run(10)
    assert rig.goals() == before and rig.machine.mode is Mode.READY
    rig.send(0.0)
    rig.run(2)
    assert rig.goals() > before


def test_estop_before_arm_goes_back_to_shadow_only() -> None:
    rig = Rig()
    rig.do("estop")
    rig.do("rearm")
    rig.run(5)
    assert rig.machine.mode is Mode.SHADOW and all(step.torque is None for step in rig.steps)


def test_estop_in_the_tick_of_arm_wins() -> None:
    rig = Rig()
    rig.do("arm")
    rig.do("estop")
    assert all(step.torque is None and step.goal is None for step in rig.run(10))


def test_a_silent_servo_holds_then_faults_with_the_torque_said() -> None:
    rig = Rig()
    rig.raised()
    before = rig.goals()
    rig.fresh = np.array([False, True])
    rig.run(10)
    assert rig.goals() == before and rig.machine.mode is Mode.RUNNING and "lift" in rig.machine.note
    rig.run(20)
    assert rig.machine.mode is Mode.FAULT and rig.goals() == before
    assert "lift has not answered for 0.2 s" in rig.machine.fault and "torque: on" in rig.machine.fault
    with pytest.raises(CommandRefused, match="silent: lift"):
        rig.do("rearm")
    rig.fresh = np.array([True, True])
    rig.run(50)
    assert rig.machine.mode is Mode.FAULT and rig.goals() == before  # latched
    rig.do("rearm")
    rig.run(2)
    assert rig.machine.mode is Mode.READY and rig.machine.fault == ""


def test_one_missed_answer_only_holds() -> None:
    rig = Rig()
    rig.raised()
    rig.fresh = np.array([False, True])
    rig.run(3)
    rig.fresh = np.array([True, True])
    before = rig.goals()
    rig.run(3)
    assert rig.machine.mode is Mode.RUNNING and rig.goals() == before + 3


def test_a_servo_that_reports_overload_faults() -> None:
    rig = Rig()
    rig.raised()
    rig.run(5)
    assert rig.machine.mode is Mode.RUNNING
    rig.alarms = ("overload; what to do: let it cool", "")
    rig.run(1)
    assert rig.machine.mode is Mode.FAULT and "lift reports: overload" in rig.machine.fault
    with pytest.raises(CommandRefused, match="overload"):
        rig.do("rearm")


def test_a_silent_client_holds_then_parks() -> None:
    rig = Rig()
    rig.do("arm")
    modes = []
    for _ in range(150):
        if rig.now < 0.5:
            rig.machine.heard(rig.now)
        if rig.tick == 3:
            rig.send(0.0, 5.0)
        rig.run(1)
        modes.append(rig.machine.mode)
    assert modes.index(Mode.READY, 10) < 110 and "silent" in rig.machine.note
    rig.run(600)
    assert rig.machine.mode is Mode.SHADOW and rig.machine.torque == "off" and rig.machine.driver_at is None
    assert rig.measured[0] == pytest.approx(-1.0)


@pytest.mark.parametrize("word", ["arm", "rearm"])
def test_who_arms_and_falls_silent_is_a_silent_client(word: str) -> None:
    rig = Rig()
    rig.do("arm")
    rig.run(1)
    if word == "rearm":
        rig.do("estop")
        rig.run(1)
        rig.do("rearm")
    rig.run(52)
    assert rig.machine.mode is Mode.READY and "silent" in rig.machine.note
    rig.run(100)
    assert rig.machine.mode is Mode.PARKING


def test_a_client_that_is_heard_drives_on_and_one_that_was_given_up_does_not_drive_by_a_word() -> None:
    rig = Rig(exit_policy="hold")
    rig.raised()
    for _ in range(200):
        rig.machine.heard(rig.now)
        rig.run(1)
        assert "silent" not in rig.machine.note
    rig.run(200)
    assert "silent" not in rig.machine.note and rig.machine.driver_at is None  # given up: nobody drives
    rig.machine.heard(rig.now)
    assert rig.machine.driver_at is None


def test_a_silent_client_with_exit_policy_hold_is_held_for_ever() -> None:
    rig = Rig(exit_policy="hold")
    rig.raised()
    rig.run(2000)
    assert rig.machine.mode is Mode.READY and rig.machine.torque == "on"


def test_parking_is_slow_and_torque_goes_off_only_there() -> None:
    rig = Rig()
    rig.raised()
    start = len(rig.steps)
    rig.machine.leave("park", rig.now)
    while not rig.machine.done:
        rig.run(1)
    path = [step.goal[0] for step in rig.steps[start:] if step.goal is not None]
    assert np.abs(np.diff(path)).max() <= 0.5 * 0.01 + 1e-9
    off = [step for step in rig.steps if step.torque is False]
    assert len(off) == 1 and off[0] is rig.steps[-1] and path[-1] == -1.0
    assert rig.machine.farewell() == "parked; torque off"


@pytest.mark.parametrize("word", ["", "pause", "resume"])
def test_leaving_parks_from_every_armed_mode(word: str) -> None:
    rig = Rig()
    rig.do("arm")
    rig.run(1)
    if word:
        rig.do(word)
    rig.machine.leave("park", rig.now)
    assert rig.machine.mode is Mode.PARKING
    rig.run(500)
    assert rig.machine.done and rig.machine.torque == "off" and rig.measured[0] == pytest.approx(-1.0)


def test_an_overload_while_holding_faults() -> None:
    rig = Rig()
    rig.do("arm")
    rig.run(1)
    rig.alarms = ("", "overload")
    rig.run(1)
    assert rig.machine.mode is Mode.FAULT and "gripper reports: overload" in rig.machine.fault


def test_an_arm_that_cannot_reach_its_park_pose_keeps_its_torque() -> None:
    rig = Rig()
    rig.raised()
    rig.stuck = True
    rig.machine.leave("park", rig.now)
    for _ in range(1000):
        if rig.machine.done:
            break
        rig.run(1)
    assert rig.machine.done and rig.machine.torque == "on"
    assert all(step.torque is not False for step in rig.steps)
    assert "could not park: lift" in rig.machine.farewell() and "torque on" in rig.machine.farewell()


@pytest.mark.parametrize(("policy", "torque"), [("hold", "on"), ("limp", "off")])
def test_hold_and_limp_do_what_they_say_at_once(policy: str, torque: str) -> None:
    rig = Rig()
    rig.raised()
    before = rig.goals()
    rig.machine.leave(policy, rig.now)
    rig.run(1)
    assert rig.machine.done and rig.machine.torque == torque and rig.goals() == before
    assert f"torque {torque}" in rig.machine.farewell()


def test_limp_without_torque_sends_nothing() -> None:
    rig = Rig()
    rig.machine.torque = "off"
    rig.machine.leave("limp", rig.now)
    assert rig.machine.done and rig.run(1)[0].torque is None


def test_parking_goes_on_when_asked_again_and_breaks_off_for_hold() -> None:
    rig = Rig()
    rig.raised()
    rig.machine.leave("park", rig.now)
    rig.run(3)
    rig.machine.leave("park", rig.now)
    assert rig.machine.mode is Mode.PARKING
    rig.machine.leave("hold", rig.now)
    assert rig.machine.done and rig.machine.torque == "on" and "broken off" in rig.machine.farewell()


def test_leaving_from_estop_sends_no_goal_and_says_that_it_holds() -> None:
    rig = Rig()
    rig.raised()
    rig.do("estop")
    before = rig.goals()
    rig.machine.leave("park", rig.now)
    rig.run(1)
    assert rig.machine.done and rig.goals() == before
    assert "emergency stop" in rig.machine.farewell() and "torque on" in rig.machine.farewell()


def test_arming_outside_the_servos_range_is_refused() -> None:
    rig = Rig()
    rig.measured = np.array([1.3, 0.5])
    rig.run(1)
    with pytest.raises(CommandRefused, match=r"lift outside the calibrated range.*1.300"):
        rig.do("arm")
    rig.measured = np.array([1.1, 0.5])  # outside the configured limits only: led back, not refused
    rig.run(1)
    rig.do("arm")


def test_pause_refuses_chunks_until_resume() -> None:
    rig = Rig()
    rig.raised()
    rig.do("pause")
    before = rig.goals()
    with pytest.raises(CommandRefused, match="resume first"):
        rig.send(0.0)
    rig.run(1)
    assert rig.goals() == before + 1  # its braking
    rig.run(20)
    assert rig.goals() == before + 1
    rig.do("resume")
    rig.send(0.0)
    rig.run(2)
    assert rig.goals() > before + 1


def test_a_pause_outlasts_a_silent_client() -> None:
    rig = Rig(exit_policy="hold")
    rig.raised()
    rig.do("pause")
    rig.run(60)
    assert rig.machine.mode is Mode.PAUSED and "silent" in rig.machine.note


def test_unknown_words_list_the_known() -> None:
    with pytest.raises(CommandRefused, match="estop"):
        Rig().do("dance")


def test_random_words_never_send_a_goal_outside_an_armed_mode() -> None:
    rng = random.Random(11)
    words = ["arm", "rearm", "pause", "resume", "estop", "park", "chunk", "silent", "heard", "error", "well"]
    for _ in range(rounds(40)):
        rig = Rig()
        for _ in range(60):
            word = rng.choice(words)
            try:
                if word == "chunk":
                    rig.send(rng.uniform(-2, 2))
                elif word == "heard":
                    rig.machine.heard(rig.now)
                elif word in ("silent", "error", "well"):
                    rig.fresh = np.array([word != "silent", True])
                    rig.alarms = ("overload" * (word == "error"), "")
                else:
                    rig.do(word)
            except BridgeError as refused:
                assert "what to do" in str(refused) or "expected" in str(refused)
            last = rig.machine.commanded.copy()
            step = rig.run(1)[0]
            if step.goal is not None:
                assert rig.machine.mode in ARMED and rig.fresh.all() and rig.machine.torque == "on"
                assert (np.abs(step.goal - last) <= RULES.limits.speed * RULES.envelope.dt + 1e-9).all()
            rig.run(rng.choice([0, 3, 30]))
