"""The open arm on real python-can buses: torque, goals, holding, what lets go by itself, and how it leaves."""

from __future__ import annotations

import time

import can
import numpy as np
import pytest

from firmware_bridge.damiao import frames, nibbles
from firmware_bridge.damiao.arm import DamiaoArm
from firmware_bridge.damiao.frames import Mit
from firmware_bridge.driver import ArmState
from firmware_bridge.errors import NoAnswer, PortLost, ServoError, ServoWrong
from tests.firmware_bridge.damiao.conftest import PATIENCE_S, Rig, all_fresh, go, read_until

RAISED = np.array([0.2, 1.0, 0.9, -0.5, 0.1, 0.2, 0.5])
BOTH = np.concatenate([RAISED, RAISED])


def told(rig: Rig, index: int, since: float = 0.0) -> list[Mit]:
    """MIT commands that reached one motor."""
    ranges = rig.arm.motors[index].ranges
    return [frames.parse_mit(row.data, ranges) for row in rig.rows("mit") if row.motor == index and row.t >= since]


def tick(arm: DamiaoArm, seconds: float) -> None:
    """Hold as the bridge does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        arm.read()
        arm.hold()
        time.sleep(0.005)


# -- torque


def test_torque_on_holds_exactly_where_it_stands(rig: Rig) -> None:
    arm = rig.open()
    for name, value in zip(rig.robot.joints, RAISED, strict=True):
        rig.place(name, float(value))
    present = arm.torque_on()
    assert rig.nibbles() == [nibbles.ENABLED] * 7
    where = {row.motor: row.joint for row in rig.rows("enable")}
    for index in range(7):
        first = told(rig, index)[0]
        assert first.kp > 0 and first.velocity == pytest.approx(0.0, abs=0.02)
        assert abs(present[index] - where[index]) < 0.02  # the arm began to fall when it was let go above
        joint = (first.position - arm.codec.offset[index]) * arm.codec.scale[index]
        assert abs(joint - where[index]) < 0.02
    tick(arm, 0.3)
    assert np.abs(rig.arm.joints() - present).max() < 0.03
    arm.torque_off()
    assert rig.nibbles() == [nibbles.DISABLED] * 7


def test_torque_on_overcomes_lost_and_late_answers_without_a_jump(rig: Rig) -> None:
    """A joint that falls while its enabling is not yet heard of is held where it is, not where it was."""
    arm = rig.open()
    for name, value in zip(rig.robot.joints, RAISED, strict=True):
        rig.place(name, float(value))
    arm.measure()
    arm.measure = lambda: lose(arm, rig)  # type: ignore[method-assign]
    arm.torque_on()
    assert rig.nibbles() == [nibbles.ENABLED] * 7
    for index in (1, 2):
        rows = [row for row in rig.rows() if row.motor == index]
        first = next(row for row in rows if row.what == "mit")
        target = frames.parse_mit(first.data, rig.arm.motors[index].ranges).position
        assert abs(target - first.joint) < 0.05, (index, target, first.joint)


def lose(arm: DamiaoArm, rig: Rig) -> None:
    """Measure, and lose what joint 2 answers next; joint 3 answers late."""
    del arm.measure
    arm.measure()
    rig.fault(1, drop=1)
    rig.fault(2, late_s=PATIENCE_S + 0.02, late=1)


def test_torque_on_of_a_motor_that_refuses_leaves_none_on(rig: Rig) -> None:
    arm = rig.open()
    with rig.arm.lock:
        rig.arm.motors[3].mos = 130
    with pytest.raises(ServoWrong, match=r"joint_4: the power stage is too hot.*let it cool"):
        arm.torque_on()
    assert not [index for index, nibble in enumerate(rig.nibbles()) if nibble == nibbles.ENABLED]
    with rig.arm.lock:
        rig.arm.motors[3].mos = 30
    arm.torque_on()  # negative control: cooled down it goes on
    assert rig.nibbles() == [nibbles.ENABLED] * 7


def test_a_failed_torque_on_leaves_what_held_before_holding(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    go(arm, RAISED, 0.8)
    with rig.arm.lock:
        rig.arm.motors[4].mos = 130
    read_until(arm, lambda s: s.errors[4] == 0xB)
    with pytest.raises(ServoError):
        arm.torque_on()
    assert rig.nibbles() == [1, 1, 1, 1, 0xB, 1, 1]
    tick(arm, 0.2)
    assert rig.nibbles() == [1, 1, 1, 1, 0xB, 1, 1]


def test_torque_on_with_a_silent_motor_is_refused_before_anything_is_enabled(rig: Rig) -> None:
    arm = rig.open()
    rig.fault(2, silent=True)
    with pytest.raises(NoAnswer, match="joint_3"):
        arm.torque_on()
    assert not rig.rows("enable")


def test_torque_off_that_is_not_confirmed_says_so(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    rig.fault(2, silent=True)
    with pytest.raises(NoAnswer, match=r"torque off of joint_3; expected: disabled; got: no confirmation"):
        arm.torque_off()
    assert rig.nibbles() == [nibbles.DISABLED] * 7  # it heard it all the same


# -- goals


def test_goals_reach_the_joints_of_both_arms(two: Rig) -> None:
    arm = two.open()
    arm.torque_on()
    state = go(arm, BOTH, 1.0)
    assert np.abs(two.arm.joints() - BOTH).max() < 0.03
    assert np.isnan(state.current).all() and np.isnan(state.voltage).all()
    assert (state.temperature == 32).all() and state.errors == (1,) * 14
    assert np.abs(state.load).max() <= 1.0 and state.load[1] != 0.0


def test_the_weight_is_carried(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    go(arm, RAISED, 1.0)
    tick(arm, 0.5)
    ahead = [told(rig, index)[-1].torque for index in range(7)]
    assert np.abs(ahead[1:4]).max() > 1.0 and abs(ahead[0]) < 0.05
    assert np.abs(rig.arm.joints() - RAISED)[:6].max() < 0.01
    with_weight = np.abs(rig.arm.joints() - RAISED)[1:4].max()
    arm.weight = lambda joints: np.zeros(7)
    tick(arm, 0.8)
    assert np.abs(rig.arm.joints() - RAISED)[1:4].max() > with_weight + 0.02  # negative control: it sags


@pytest.mark.parametrize("goal", [np.full(7, np.nan), np.zeros(6), np.array([np.inf] * 7)])
def test_a_goal_that_cannot_be_meant_is_refused(rig: Rig, goal: np.ndarray) -> None:
    arm = rig.open()
    arm.torque_on()
    count = len(rig.rows("mit"))
    with pytest.raises(ServoWrong, match="7 finite numbers"):
        arm.send(goal)
    assert len(rig.rows("mit")) == count


def test_a_model_gone_wrong_stops_goals_but_not_holding(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    arm.weight = lambda joints: np.array([0.0, 40.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    with pytest.raises(ServoWrong, match="feed-forward torque of joint_2"):
        arm.send(np.zeros(7))
    arm.read()
    arm.hold()
    arm.read()
    assert max(abs(command.torque) for command in told(rig, 1)) <= 25.1


def test_a_blocked_gripper_presses_softly(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    with rig.arm.lock:
        low, high = rig.arm._low.copy(), rig.arm._high.copy()
        rig.arm._low[6] = rig.arm._high[6] = rig.arm.motors[6].shaft  # something sits between the fingers
        rig.arm._weighed_at = -np.inf
    goal = np.zeros(7)
    goal[6] = 0.8
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        arm.read()
        arm.send(goal)
        time.sleep(0.005)
    grip = arm.drive.gripper.grip_torque(0.0)
    with rig.arm.lock:
        assert 0.5 * grip < abs(rig.arm.motors[6].torque) <= grip + 0.05
        rig.arm._low, rig.arm._high, rig.arm._weighed_at = low, high, -np.inf
    go(arm, goal, 0.5)  # negative control: free again it opens


# -- holding and lowering


def test_holding_goes_on_and_silence_ends_it(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    go(arm, RAISED, 1.0)
    tick(arm, 1.3)  # longer than the watchdog
    assert rig.nibbles() == [nibbles.ENABLED] * 7
    assert np.abs(rig.arm.joints() - RAISED).max() < 0.03
    time.sleep(1.3)
    assert rig.nibbles() == [nibbles.COMMUNICATION_LOST] * 7


def test_fading_support_lowers_the_arm(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    go(arm, RAISED, 1.0)
    mark = time.monotonic()
    low = 1.0
    for step in range(200):
        arm.read()
        arm.hold(1.0 - step / 200)
        low = min(low, float(rig.arm.joints()[1]))
        time.sleep(0.005)
    commands = told(rig, 1, mark)
    assert commands[-1].kp < 1.0 < commands[0].kp and min(command.kd for command in commands) > 4.9
    assert abs(commands[-1].torque) < 0.2
    assert np.abs(rig.arm.joints() - RAISED)[1:4].max() > 0.1  # it sank
    assert rig.nibbles() == [nibbles.ENABLED] * 7


# -- what happens by itself


def test_a_motor_that_lets_go_is_told_and_never_enabled_again(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    go(arm, RAISED, 0.8)
    with rig.arm.lock:
        rig.arm.motors[1].reboot()
    state = read_until(arm, lambda s: bool(s.changed))
    assert state.changed == ("joint_2: disabled by itself (error nibble 0)",)
    mark, enables = time.monotonic(), len(rig.rows("enable"))
    tick(arm, 0.3)
    assert len(rig.rows("enable")) == enables and not told(rig, 1, mark) and told(rig, 0, mark)
    arm.torque_on()  # when asked, it comes back
    assert all_fresh(arm).changed == () and rig.nibbles() == [nibbles.ENABLED] * 7


def test_a_lost_host_is_an_alarm_and_arming_clears_it(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    go(arm, RAISED, 0.8)
    time.sleep(1.3)  # the bridge hangs
    state = read_until(arm, lambda s: any(s.alarms))
    assert "communication lost" in state.alarms[0] and "what to do" in state.alarms[0]
    clears = len(rig.rows("clear"))
    calm = read_until(arm, lambda s: not any(s.alarms))  # so that it may be armed again
    assert calm.errors == (nibbles.COMMUNICATION_LOST,) * 7 and len(rig.rows("clear")) == clears
    arm.torque_on()
    assert rig.nibbles() == [nibbles.ENABLED] * 7 and not any(all_fresh(arm).alarms)


def test_an_error_whose_cause_is_gone_clears_and_stays_off(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    with rig.arm.lock:
        rig.arm.motors[6].nibble = 0xE
    hot = read_until(arm, lambda s: bool(s.alarms[6]))
    assert "overload" in hot.alarms[6]
    read_until(arm, lambda s: not s.alarms[6])
    assert rig.nibbles() == [1, 1, 1, 1, 1, 1, 0]


def test_somebody_else_enabling_a_motor_is_told(rig: Rig) -> None:
    arm = rig.open()
    with rig.arm.lock:
        rig.arm.motors[2].obey(frames.ENABLE, time.monotonic())
    state = read_until(arm, lambda s: bool(s.changed))
    assert state.changed == ("joint_3: enabled by somebody else",)


# -- late, lost and stray frames


def test_a_lost_answer_is_not_fresh_and_overcome(rig: Rig) -> None:
    arm = rig.open()
    first = all_fresh(arm)
    rig.fault(2, drop=1)
    rig.place("joint_3", 0.5)
    state = arm.read()
    assert state.fresh.tolist() == [True, True, False, True, True, True, True]
    assert state.position[2] == first.position[2]
    assert all_fresh(arm).position[2] != first.position[2]


def test_a_late_answer_is_never_shown_as_new(rig: Rig) -> None:
    """The joint is moved between any two requests, so that each answer tells when it was made."""
    arm = rig.open()
    all_fresh(arm)
    with rig.arm.lock:
        rig.arm._low[0] = -10.0
    late = 0
    for step in range(60):
        if step % 6 == 3:
            rig.fault(0, late_s=PATIENCE_S + 0.02, late=1)
        place = 0.02 * step
        with rig.arm.lock:
            rig.arm.motors[0].place(place)
        state = arm.read()
        late += not state.fresh[0]
        if state.fresh[0]:
            assert state.position[0] == pytest.approx(place, abs=0.005), step
        time.sleep(0.01)
    assert late >= 10


def test_random_lateness_and_loss_are_never_shown_as_new(rig: Rig) -> None:
    """Late beyond the patience, lost, at random motors: what is fresh is where the joint is now."""
    arm = rig.open()
    all_fresh(arm)
    chance = np.random.default_rng(7)
    with rig.arm.lock:
        rig.arm._low[:], rig.arm._high[:], rig.arm._weighed_at = -12.0, 12.0, -np.inf
    seen = np.zeros(7, np.intp)
    missed = 0
    for step in range(250):
        if chance.random() < 0.3:
            victim = int(chance.integers(7))
            if chance.random() < 0.5:
                rig.fault(victim, drop=1)
            else:
                rig.fault(victim, late_s=float(chance.uniform(0.0, 0.13)), late=1)
        where = chance.uniform(-3.0, 3.0, 7)
        with rig.arm.lock:
            for motor, place in zip(rig.arm.motors, where, strict=True):
                motor.place(float(place))
        state = arm.read()
        got = arm.seen.position
        assert np.abs(got - where)[state.fresh].max(initial=0.0) < 0.15, (step, got - where, state.fresh)
        seen += state.fresh
        missed += int((~state.fresh).sum())
    assert seen.min() > 50 and missed > 30


def test_after_a_late_tick_the_arm_is_asked_anew(rig: Rig) -> None:
    arm = rig.open()
    all_fresh(arm)
    arm.hold()  # nothing is held: refreshes, whose answers the next reading would take
    time.sleep(0.1)
    rig.place("joint_1", 1.0)
    state = all_fresh(arm)
    assert state.position[0] == pytest.approx(1.0, abs=0.01)


def test_a_second_program_on_the_bus_is_an_alarm(rig: Rig) -> None:
    arm = rig.open()
    assert not any(all_fresh(arm).alarms)
    frame = frames.make_refresh(4)
    with rig.bus() as bus:

        def both(state: ArmState) -> bool:
            bus.send(can.Message(arbitration_id=frame.id, data=frame.data, is_extended_id=False))
            return bool(state.alarms[3])

        state = read_until(arm, both)
    assert "stop the other program" in state.alarms[3] and not any(state.alarms[:3])


def test_a_full_way_out_is_counted_and_not_a_lost_port(rig: Rig) -> None:
    arm = rig.open()
    bus = arm.chain.wires[0].bus
    send = bus.send

    def full(*_: object) -> None:
        raise OSError(105, "No buffer space available")

    bus.send = full  # type: ignore[method-assign,assignment]
    state = arm.read()
    assert not state.fresh.any() and arm.chain.wires[0].counts.unsent == 1  # the rest of the round is not tried
    bus.send = send  # type: ignore[method-assign]
    assert all_fresh(arm).fresh.all()


def test_a_silent_motor_keeps_its_last_reading_and_the_others_go_on(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    state = go(arm, RAISED, 0.8)
    rig.fault(4, silent=True)
    read_until(arm, lambda s: not s.fresh[4])
    mark = time.monotonic()
    for _ in range(20):
        state = arm.read()
        arm.hold()
        time.sleep(0.005)
    assert state.fresh.tolist() == [True, True, True, True, False, True, True]
    assert len(told(rig, 4, mark)) >= 1  # it is still told to hold, now and then
    rig.fault(4, silent=False)
    all_fresh(arm)


def test_strangers_are_ignored_and_counted(rig: Rig) -> None:
    arm = rig.open()
    before = all_fresh(arm)
    with rig.bus() as bus:
        for number, data in ((0x50E, bytes(8)), (0x11, bytes(8)), (0x12, b"\x02"), (0x33, b"\x01" * 8)):
            bus.send(can.Message(arbitration_id=number, data=data, is_extended_id=False))
        state = all_fresh(arm)
    assert np.array_equal(state.position, before.position)
    counts = arm.chain.wires[0].counts
    assert counts.strange == 2 and counts.broken == 2


def test_one_bus_gone_silences_one_arm_and_the_other_is_held(two: Rig) -> None:
    arm = two.open()
    arm.torque_on()
    go(arm, BOTH, 1.0)

    def gone(*_: object) -> None:
        raise OSError(19, "No such device")

    arm.chain.wires[0].bus.send = gone  # type: ignore[method-assign,assignment]
    state = read_until(arm, lambda s: bool(s.alarms[0]))
    assert all("its bus is gone" in text for text in state.alarms[:7]) and not any(state.alarms[7:])
    tick(arm, 1.3)
    assert two.nibbles() == [nibbles.COMMUNICATION_LOST] * 7 + [nibbles.ENABLED] * 7
    arm.chain.wires[1].bus.send = gone  # type: ignore[method-assign,assignment]
    with pytest.raises(PortLost, match="No such device"):
        for _ in range(5):
            arm.read()
            arm.hold()
    arm.close()


# -- leaving


def test_close_brakes_and_disables_every_motor(two: Rig) -> None:
    arm = two.open()
    arm.torque_on()
    go(arm, BOTH, 1.0)
    mark = time.monotonic()
    arm.close()
    rows = [row for row in two.rows() if row.t >= mark]
    assert two.nibbles() == [nibbles.DISABLED] * 14
    for index in range(14):
        mine = [row for row in rows if row.motor == index]
        assert mine[-1].what == "disable" and mine[0].what == "mit"
        assert all(command.kp == 0.0 and command.kd > 0.2 for command in told(two, index, mark))
    arm.close()  # again: nothing happens


def test_close_after_an_error_still_disables(rig: Rig) -> None:
    arm = rig.open()
    arm.torque_on()
    arm.weight = lambda joints: np.full(7, np.nan)
    rig.fault(0, silent=True)
    arm.close()
    assert rig.nibbles() == [nibbles.DISABLED] * 7


def test_close_without_having_commanded_sends_nothing(rig: Rig) -> None:
    arm = rig.open()
    all_fresh(arm)
    arm.close()
    assert rig.rows() == []
