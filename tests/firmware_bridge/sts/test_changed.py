"""What changes by itself is seen and named before a goal could hide it; what is only a glitch is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from firmware_bridge.errors import ServoWrong
from firmware_bridge.sts.changed import FOREIGN_LIMIT, LOST_GOALS, Difference, Expected, Goals, words
from firmware_bridge.sts.registers import REGISTERS, TELEMETRY_ADDRESS
from firmware_bridge.sts.telemetry import Block, wire_ms
from firmware_bridge.sts.torque import MARKER, RAMP
from tests.firmware_bridge.sts.conftest import IDS, Rig, virtual_rig

GOAL = REGISTERS["Goal_Position"].address
ALL = np.ones(2, np.bool_)


def armed(rig: Rig) -> np.ndarray:
    """Torque on, the ramp over; the pose."""
    present = rig.arm.torque_on()
    rig.ticks(40)
    return present


def test_nothing_is_expected_before_it_was_written(rig: Rig) -> None:
    for name, value in (("Torque_Enable", 1), ("Acceleration", 7), ("Torque_Limit", 400), ("Lock", 0)):
        rig.write(3, name, value)
    rig.write(2, "Goal_Position", 2000)
    assert all(state.changed == () for state in rig.ticks(20))


def test_an_armed_arm_that_is_left_alone_has_not_changed(rig: Rig) -> None:
    goal = armed(rig)
    for step in range(40):
        assert rig.arm.read().changed == ()
        rig.arm.send(goal + 0.01 * step)
        rig.wait(0.01)
    assert rig.arm.switch.goals.lost_total == 0


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("Torque_Enable", 0, "elbow_flex: Torque_Enable reads 0, expected 1"),
        ("Acceleration", 0, f"elbow_flex: Acceleration reads 0, expected {MARKER}"),
        ("Torque_Limit", 999, "elbow_flex: Torque_Limit reads 999, expected 1000"),
        ("Lock", 0, "elbow_flex: Lock reads 0, expected 1"),
        ("Torque_Enable", 2, "elbow_flex: Torque_Enable reads 2, expected 1"),
    ],
)
def test_each_register_that_changes_is_named_at_once(rig: Rig, name: str, value: int, text: str) -> None:
    armed(rig)
    assert rig.arm.read().changed == ()
    rig.write(3, name, value)
    (found,) = rig.arm.read().changed
    assert found.startswith(text)


def test_a_restarted_servo_is_seen_before_the_next_goal_and_even_after_it(rig: Rig) -> None:
    goal = armed(rig)
    rig.do(lambda: rig.servo(3).restart(rig.servos.now))
    (found,) = rig.arm.read().changed
    assert "Torque_Enable reads 0, expected 1; Acceleration reads 0" in found and "restarted" in found
    rig.arm.send(goal)  # what a host without this check does: lerobot #3585
    (found,) = rig.arm.read().changed
    assert rig.servo(3).get("Torque_Enable") == 1 and "Acceleration reads 0" in found
    rig.arm.torque_on()  # an explicit re-arm is the way out
    assert rig.ticks(3)[-1].changed == ()


def test_a_servo_that_keeps_a_smaller_marker_is_known_by_that_one() -> None:
    rig = virtual_rig()
    rig.arm.connect()
    servo, original = rig.servo(3), rig.servo(3).write
    address = REGISTERS["Acceleration"].address

    def write(at: int, data: bytes) -> None:
        original(at, data)
        servo.memory[address] = min(servo.memory[address], 50)  # its Maximum_Acceleration

    servo.write = write  # type: ignore[method-assign]
    goal = armed(rig)
    assert rig.arm.read().changed == ()
    servo.restart(rig.bus.clock())
    rig.arm.send(goal)
    (found,) = rig.arm.read().changed
    assert "Acceleration reads 0, expected 50" in found


def test_torque_that_comes_on_by_itself_is_named(rig: Rig) -> None:
    armed(rig)
    rig.arm.torque_off()
    assert rig.arm.read().changed == ()
    rig.write(2, "Goal_Position", 2000)  # a goal of another program turns the torque on
    (found,) = rig.arm.read().changed
    assert found.startswith("shoulder_lift: Torque_Enable reads 1, expected 0")


def test_one_lost_goal_frame_is_counted_and_forgiven(rig: Rig) -> None:
    goal = armed(rig)
    for step in range(30):
        assert rig.arm.read().changed == ()
        if step == 10:
            rig.fault(4, deaf=1)
        rig.arm.send(goal + 0.01 * step)
        rig.wait(0.01)
    assert rig.arm.read().changed == () and rig.arm.switch.goals.lost_total == 1


def test_a_last_goal_that_was_lost_does_not_become_a_fault_while_holding(rig: Rig) -> None:
    goal = armed(rig)
    rig.fault(4, deaf=1)
    rig.arm.send(goal + 0.02)
    assert all(state.changed == () for state in rig.ticks(50))
    assert rig.arm.switch.goals.lost_total == 1


def test_a_servo_that_takes_no_goals_is_named(rig: Rig) -> None:
    goal = armed(rig)
    for step in range(LOST_GOALS):
        assert rig.arm.read().changed == ()
        rig.fault(4, deaf=1)
        rig.arm.send(goal + 0.02 * (step + 1))
        rig.wait(0.01)
    (found,) = rig.arm.read().changed
    assert found.startswith("wrist_flex: Goal_Position reads")


def test_another_programs_goals_are_named(rig: Rig) -> None:
    goal = armed(rig)
    rig.write(1, "Goal_Position", 2222)
    first, second, third = rig.ticks(3)
    assert first.changed == second.changed == ()
    assert third.changed[0].startswith("shoulder_pan: Goal_Position reads 2222, expected ")
    rig.arm.torque_on()
    named = 0
    for step in range(60):  # both write: ours every tick, theirs every third
        named += bool(rig.arm.read().changed)
        rig.arm.send(goal + 0.01 * step)
        if step % 3 == 0:
            rig.bus.ping(1)  # ours has arrived
            rig.write(1, "Goal_Position", 2222)
        rig.wait(0.01)
    assert named


def test_one_broken_reading_is_read_again_before_it_is_believed() -> None:
    """A frame whose checksum happens to fit: a servo that says once that its torque is off."""
    rig = virtual_rig()
    rig.arm.connect()
    armed(rig)
    servo, honest = rig.servo(3), rig.servo(3).read
    lies = [True]

    def read(address: int, length: int) -> bytes:
        data = bytearray(honest(address, length))
        if lies and address == TELEMETRY_ADDRESS:
            lies.pop()
            data[0] = 0
        return bytes(data)

    servo.read = read  # type: ignore[method-assign]
    state = rig.arm.read()
    assert not lies and state.changed == () and state.fresh.all()
    lies += [True, True]  # negative control: it says so twice
    assert rig.arm.read().changed


@pytest.mark.parametrize("name", ["Min_Position_Limit", "Max_Position_Limit", "Homing_Offset"])
def test_a_calibration_that_changes_under_us_is_named(rig: Rig, name: str) -> None:
    assert all(state.changed == () for state in rig.ticks(5))
    was = rig.servo(2).get(name)
    rig.write(2, name, was + 3)
    state = rig.until(lambda state: state.changed != (), ticks=300)
    assert state.changed[0].startswith(f"shoulder_lift: {name} reads {was + 3}, expected {was}")
    rig.write(2, name, was)
    rig.until(lambda state: state.changed == (), ticks=300)


def test_a_silent_servo_has_not_changed(rig: Rig) -> None:
    armed(rig)
    rig.fault(3, silent=True)
    states = rig.ticks(5)
    assert all(state.changed == () for state in states) and not states[-1].fresh[2]


# -- torque on


def test_the_torque_limit_rises_in_steps_to_each_joints_own(rig: Rig) -> None:
    rig.arm.torque_on()
    soft = [servo.get("Torque_Limit") for servo in rig.servos.servos]
    assert soft == [round(RAMP[0][1] * full) for full in (1000,) * 5 + (500,)]
    seen = []
    for _ in range(100):
        assert rig.arm.read().changed == ()
        seen.append([servo.get("Torque_Limit") for servo in rig.servos.servos])
        rig.wait(0.01)
    assert seen[-1] == [1000] * 5 + [500]
    assert all(
        low <= high for before, after in itertools.pairwise(seen) for low, high in zip(before, after, strict=True)
    )


def test_rearming_an_arm_that_holds_never_weakens_it(rig: Rig) -> None:
    armed(rig)
    limits = []
    original = rig.servo(2).write

    def write(address: int, data: bytes) -> None:
        original(address, data)
        limits.append(rig.servo(2).get("Torque_Limit"))

    rig.servo(2).write = write  # type: ignore[method-assign]
    rig.arm.torque_on()
    rig.ticks(40)
    assert limits and set(limits) == {1000}


def test_a_lost_frame_of_the_ramp_is_sent_again(rig: Rig) -> None:
    rig.arm.torque_on()
    for _ in range(60):
        rig.fault(5, deaf=1) if rig.servo(5).get("Torque_Limit") == 750 else None
        assert rig.arm.read().changed == ()
        rig.wait(0.01)
    rig.fault(5, deaf=0)
    rig.until(lambda state: rig.servo(5).get("Torque_Limit") == 1000)


def test_a_servo_outside_its_range_is_not_switched_on(rig: Rig) -> None:
    rig.place(3, 3148 + 200)
    with pytest.raises(ServoWrong, match=r"elbow_flex \(servo 3\) at 33\d\d, range 946..3148.*by hand"):
        rig.arm.torque_on()
    assert not rig.servos.journal and {servo.get("Torque_Enable") for servo in rig.servos.servos} == {0}
    rig.place(3, 3148 + 20)  # negative control: play at the stop
    rig.arm.torque_on()


def test_lost_frames_of_the_switch_are_repeated_and_a_deaf_servo_is_an_error(rig: Rig) -> None:
    rig.arm.read()
    rig.place(2, 2000)
    original = rig.servo(2).write
    lost = [1]

    def write(address: int, data: bytes) -> None:
        if not lost:
            original(address, data)
        elif address == REGISTERS["Torque_Enable"].address:
            lost.pop()

    rig.servo(2).write = write  # type: ignore[method-assign]
    rig.arm.torque_on()
    assert rig.servo(2).get("Torque_Enable") == 1 and rig.ticks(3)[-1].changed == ()
    lost += [1] * 9
    rig.do(lambda: rig.servo(2).restart(rig.servos.now))
    with pytest.raises(ServoWrong, match=r"did not keep.*shoulder_lift: Torque_Enable reads 0, expected 1"):
        rig.arm.torque_on()


# -- the pure parts


def test_goals_lost_foreign_and_good_by_the_count() -> None:
    goals = Goals(2)
    goals.start([100, 200])
    for step in range(1, LOST_GOALS):
        goals.sent([100 + step, 200 + step])
        assert goals.check(np.array([100, 200 + step], "<u2"), ALL) == []
    goals.sent([500, 600])
    (lost,) = goals.check(np.array([100, 600], "<u2"), ALL)
    assert (lost.row, lost.reading, lost.expected) == (0, 100, 500)
    assert goals.check(np.array([500, 600], "<u2"), ALL) == []
    weight = 0
    while not goals.check(np.array([500, 9], "<u2"), ALL):
        weight += 1
    assert weight == FOREIGN_LIMIT // 3 - 1
    assert goals.check(np.array([500, 9], "<u2"), np.array([True, False])) == []  # silent: nothing is known
    goals.forget()
    assert goals.check(np.array([1, 2], "<u2"), ALL) == []


def test_negative_goals_keep_their_sign_bit() -> None:
    goals = Goals(2)
    goals.start([0, 0])
    goals.sent([-1, 5])
    assert goals.check(np.array([0x8001, 5], "<u2"), ALL) == []


def test_expected_names_registers_in_their_order() -> None:
    expected = Expected(2)
    block = Block((1, 2))
    expected.wrote("Lock", 1)
    expected.wrote("Torque_Limit", [1000, 500])
    found = expected.differences(block.bytes, ALL)
    assert [(item.row, item.name, item.expected) for item in found] == [
        (0, "Torque_Limit", 1000), (0, "Lock", 1), (1, "Torque_Limit", 500), (1, "Lock", 1),
    ]  # fmt: skip
    assert expected.differences(block.bytes, ~ALL) == []
    expected.forget()
    assert expected.differences(block.bytes, ALL) == []


def test_a_tick_fits_the_wire() -> None:
    goals = (8 + 3 * len(IDS)) * 10 / 1000
    assert wire_ms(31, 6) == pytest.approx(2.36) and goals == pytest.approx(0.26)
    assert wire_ms(31, 6) + goals + wire_ms(4, 6) < 5.0


def test_one_transaction_reads_and_one_writes(rig: Rig) -> None:
    goal = armed(rig)
    before, requests = rig.servos.frames.copy(), rig.bus.counters.requests
    rig.arm.read()
    rig.arm.send(goal)
    rig.bus.ping(1)
    spent = rig.servos.frames - before
    assert rig.bus.counters.requests - requests in (3, 4)
    assert {name: count for name, count in spent.items() if name != "ping"} in (
        {"sync_read": 1, "sync_write": 1, "goal": 1},
        {"sync_read": 2, "sync_write": 1, "goal": 1},  # the limits' turn
    )


def test_joints_that_changed_alike_are_one_text() -> None:
    limp = [Difference(row, "Torque_Enable", 0, 1) for row in (0, 2)]
    found = words(("pan", "lift", "elbow"), [*limp, Difference(1, "Max_Position_Limit", 3000, 3148)])
    assert found == (
        "pan, elbow: Torque_Enable reads 0, expected 1: limp, for it restarted (power or cable) or another program "
        "switched it",
        "lift: Max_Position_Limit reads 3000, expected 3148: another program calibrated it: end the bridge, calibrate "
        "the arm, start the bridge again",
    )
