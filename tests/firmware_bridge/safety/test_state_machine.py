"""The machine alone, with a clock of its own: what each mode sends, and what it never sends."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from firmware_bridge.errors import BridgeError, CommandRefused
from firmware_bridge.messages import FRAME, UNITS, Chunk
from firmware_bridge.safety.chunks import Door, Mailbox
from firmware_bridge.safety.modes import ARMED, Mode, Reading
from tests.firmware_bridge.safety.rig import RULES, Rig, idle


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
    assert rig.machine.mode is Mode.SHADOW and rig.machine.torque == "off"
    assert rig.measured[0] == pytest.approx(-1.0)


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


def test_unknown_words_list_the_known() -> None:
    with pytest.raises(CommandRefused, match="estop"):
        Rig().do("dance")


def test_random_words_never_send_a_goal_outside_an_armed_mode() -> None:
    rng = random.Random(11)
    words = ["arm", "rearm", "pause", "resume", "estop", "park", "chunk", "silent", "heard", "error", "well"]
    for _ in range(40):
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


# -- coming to rest, silence, restarts


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


def test_the_moving_wish_of_a_chunk_is_followed_exactly() -> None:
    rig = Rig(envelope=SLOW_TO_STOP)
    rig.do("arm")
    rig.run(1)
    ramp = np.array([[0.5 - 0.05 * index, 0.5] for index in range(10)], np.float32)
    rig.machine.chunk(Chunk(ramp, "so101", UNITS, FRAME, rig.tick, rig.tick, 0.05), rig.now)
    rig.run(30)
    assert rig.measured[0] == pytest.approx(0.5 - 1.0 * 0.30, abs=1e-6) and rig.steps[-1].clamped == ()


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
    assert rig.run(1)[0].torque is None
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
    assert rig.run(1)[0].goal is None
    assert rig.machine.mode is Mode.FAULT and "2 finite numbers" in rig.machine.fault


# -- cut, adopt, leaving


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
