"""A virtual arm on a bench: hands, stops, horns, memory, power and planted mistakes are what they say."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.config import BridgeConfig
from firmware_bridge.drivers import open_arm
from firmware_bridge.errors import ConfigError, NoAnswer, PortLost, ServoDuplicate, ServoWrong
from firmware_bridge.robots import find
from firmware_bridge.sts import protocol
from firmware_bridge.sts.bus import Bus, Patience
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.codec import Codec
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.scan import scan
from firmware_bridge.sts.travel import TRAVEL
from firmware_bridge.sts.virtual_bench import Bench, Plant, load_plant
from firmware_bridge.sts.virtual_joints import Joint, JointedWorld
from firmware_bridge.sts.virtual_servo import BAUDS, ODD_BAUDS
from firmware_bridge.sts.virtual_world import Drive
from tests.firmware_bridge.conftest import ServoProcess

ROBOT = find("so101")
SHIPPED = shipped_calibration(ROBOT)
IDS = (1, 2, 3, 4, 5, 6)
TICKS = 4096 / 360.0

Start = Callable[..., tuple[Bench, Bus]]


@pytest.fixture
def start() -> Iterator[Start]:
    """start(plant fields...) -> a bench and a host's bus on it."""
    opened: list[Bench | Bus] = []

    def begin(baud: int = 1_000_000, **fields: object) -> tuple[Bench, Bus]:
        bench = Bench(ROBOT, Plant(**fields)).__enter__()  # type: ignore[arg-type]
        bus = Bus(SerialLine(bench.path, baud), Patience(reply_timeout_s=0.1, unicast_timeout_s=0.2))
        opened.extend((bench, bus))
        return bench, bus

    yield begin
    for item in reversed(opened):
        if isinstance(item, Bus):
            item.close()
        else:
            item.__exit__(None, None, None)


def ticks(bus: Bus, servo: int) -> int:
    return bus.read(servo, "Present_Position")


def positions(bus: Bus) -> np.ndarray:
    return np.array([ticks(bus, servo) for servo in IDS], np.float64)


def settle(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not holds():
        assert time.monotonic() < deadline, "never became true"
        time.sleep(0.005)


# -- where everything is


def test_a_factory_arm_has_factory_servos_with_horns_in_the_middle(start: Start) -> None:
    bench, bus = start()
    assert scan(bus, IDS) == IDS
    stored = bench.stored("elbow_flex")
    assert (stored["Homing_Offset"], stored["Min_Position_Limit"], stored["Max_Position_Limit"]) == (0, 0, 4095)
    assert stored["P_Coefficient"] == 32 and bus.read(3, "Lock") == 1
    assert [ticks(bus, servo) for servo in IDS[:5]] == [2048] * 5
    assert ticks(bus, 6) == round(2048 - 50 * TICKS)  # 5 of 110 degrees open


def test_a_calibrated_arm_reads_zero_at_the_models_zero(start: Start) -> None:
    bench, bus = start(calibration=SHIPPED, pose={"gripper": 0.0})
    codec = Codec.of(SHIPPED, ROBOT.grippers)
    seen = codec.to_si(positions(bus))
    assert abs(seen).max() < 0.002
    assert bench.stored("gripper")["Max_Torque_Limit"] == 500
    bench.hand(**{name: way.upper for name, way in TRAVEL.items() if not way.free})
    bench.wait()
    ends = codec.to_si(positions(bus))
    assert ends[5] == pytest.approx(1.0, abs=0.01) and ends[0] == pytest.approx(1.92, abs=0.01)


def test_horns_and_reversed_servos_move_what_is_read_and_nothing_else(start: Start) -> None:
    bench, bus = start(horns={"elbow_flex": 30.0, "wrist_flex": 180.0}, reversed=("shoulder_pan",), pose={})
    assert ticks(bus, 3) == round(2048 + 30 * TICKS)
    assert ticks(bus, 4) == 0
    bench.hand(shoulder_pan=20.0, shoulder_lift=20.0, wrist_flex=-10.0)
    bench.wait()
    assert ticks(bus, 1) == round(2048 - 20 * TICKS) and ticks(bus, 2) == round(2048 + 20 * TICKS)
    assert ticks(bus, 4) == 4096 - round(10 * TICKS)  # over the wrap
    assert bench.angle("wrist_flex") == pytest.approx(-10.0)


def test_readings_at_the_wrap_are_of_one_turn_or_count_on(start: Start) -> None:
    turns = {"Phase": 0x1C}
    bench, bus = start(horns={"wrist_flex": 180.0, "elbow_flex": 180.0}, eeprom={"elbow_flex": turns})
    for angle in np.arange(-0.2, 0.2, 0.02):  # a tick is 0.09 degrees
        bench.hand(math.inf, wrist_flex=float(angle))
        bench.wait()
        assert ticks(bus, 4) == round(angle * TICKS) % 4096
    bench.hand(elbow_flex=-20.0)
    bench.wait()
    assert ticks(bus, 3) == -round(20 * TICKS)  # it woke at 0 and counts down
    bench.power_cycle()
    assert ticks(bus, 3) == 4096 - round(20 * TICKS)


def test_a_drive_mode_gripper_closes_at_its_high_end(start: Start) -> None:
    rows = dict(SHIPPED.joints)
    rows["gripper"] = dataclasses.replace(rows["gripper"], drive_mode=1)
    mirrored = Calibration(tuple(rows.items()), "mirrored")
    bench, bus = start(calibration=mirrored, pose={"gripper": 0.0})
    assert ticks(bus, 6) == rows["gripper"].range_max
    bench.hand(gripper=110.0)
    bench.wait()
    assert ticks(bus, 6) == pytest.approx(rows["gripper"].range_min, abs=2)


# -- hands and stops


def test_hands_end_at_the_stop_and_limp_joints_stay_there(start: Start) -> None:
    bench, _ = start(stops={"elbow_flex": (-50.0, 40.0)})
    bench.hand(elbow_flex=90.0, shoulder_pan=-500.0)
    assert bench.angle("elbow_flex") < 40.0  # it takes its time
    bench.wait()
    assert bench.angle("elbow_flex") == pytest.approx(40.0)
    assert bench.angle("shoulder_pan") == pytest.approx(TRAVEL["shoulder_pan"].lower)
    time.sleep(0.05)
    assert bench.angle("elbow_flex") == pytest.approx(40.0)  # nothing falls


def test_a_hand_moves_no_powered_joint(start: Start) -> None:
    bench, bus = start(calibration=SHIPPED)
    bus.write(1, "Torque_Enable", 1)
    bench.hand(shoulder_pan=50.0, elbow_flex=10.0)
    bench.wait()
    assert abs(bench.angle("shoulder_pan")) < 0.2 and bench.angle("elbow_flex") == pytest.approx(10.0)
    with pytest.raises(ValueError, match="no joint elbow: shoulder_pan, "):
        bench.hand(elbow=1.0)


def test_driving_into_a_stop_shows_load_there_and_nowhere_else(start: Start) -> None:
    bench, bus = start(stops={"shoulder_pan": (-20.0, 20.0)})
    bus.write(1, "Torque_Limit", 300)
    bus.sync_write("Goal_Position", {1: round(2048 + 60 * TICKS)})
    settle(lambda: abs(bus.read(1, "Present_Load")) == 300)
    assert bench.angle("shoulder_pan") == pytest.approx(20.0, abs=0.1)
    bus.sync_write("Goal_Position", {1: round(2048 + 10 * TICKS)})
    settle(lambda: bus.read(1, "Moving") == 0 and abs(bench.angle("shoulder_pan") - 10.0) < 0.1)
    assert bus.read(1, "Present_Load") == 0  # pan is weightless


def test_gravity_loads_a_raised_joint_and_a_weak_motor_sinks(start: Start) -> None:
    bench, bus = start()
    bus.sync_write("Goal_Position", {2: 2048})
    settle(lambda: bus.read(2, "Present_Load") > 150)
    bus.write(2, "Torque_Limit", 100)
    settle(lambda: bench.angle("shoulder_lift") < -20.0)
    bench, bus = start(gravity=0.0)
    bus.sync_write("Goal_Position", {2: 2048})
    settle(lambda: bus.read(2, "Torque_Enable") == 1)
    assert bus.read(2, "Present_Load") == 0


def test_an_obstacle_ends_hands_and_motors(start: Start) -> None:
    bench, _ = start()
    bench.block("shoulder_pan", 15.0)
    bench.hand(shoulder_pan=80.0)
    bench.wait()
    assert bench.angle("shoulder_pan") == pytest.approx(15.0)
    bench.block("shoulder_pan", None)
    bench.hand(shoulder_pan=80.0)
    bench.wait()
    assert bench.angle("shoulder_pan") == pytest.approx(80.0)


# -- memory, power, cable


def test_only_what_was_unlocked_survives_the_power(start: Start) -> None:
    bench, bus = start()
    before = bench.memory()
    bus.write(2, "Homing_Offset", 77)
    assert bench.memory() == before and bench.stored("shoulder_lift")["Homing_Offset"] == 0
    bus.write(3, "Lock", 0)
    bus.write(3, "Homing_Offset", -99)
    assert bench.stored("elbow_flex")["Homing_Offset"] == -99 and bench.memory() != before
    bench.power_cycle()
    assert (bus.read(2, "Homing_Offset"), bus.read(3, "Homing_Offset"), bus.read(3, "Lock")) == (0, -99, 1)
    bench.power_cycle(silent_s=0.5)
    assert bus.ping(1) is None


def test_a_lock_that_cannot_be_opened_says_yes_and_stays(start: Start) -> None:
    _, bus = start(locked=("elbow_flex",))
    bus.write(2, "Lock", 0)
    with pytest.raises(ServoWrong, match="servo 3 did not keep Lock"):
        bus.write(3, "Lock", 0)


def test_attached_servos_alone_are_heard_and_start_anew(start: Start) -> None:
    bench, bus = start(ids=dict.fromkeys(ROBOT.joints, 1))
    bench.attach("gripper")
    assert scan(bus, (1, 6)) == (1,)
    bus.write(1, "Lock", 0)
    bus.ask(1, protocol.make_write(1, 5, b"\x06"), 0)
    assert bus.ping(1) is None and bus.ping(6) is not None
    bench.attach("gripper", "wrist_roll")
    assert scan(bus, (1, 6)) == (1, 6)
    assert bus.read(6, "Lock") == 0  # was never off the cable
    bench.attach("wrist_roll")
    bench.power_cycle()
    assert scan(bus, (1, 6)) == (1,)
    bench.attach(*ROBOT.joints)
    with pytest.raises(ServoDuplicate, match="more than one servo answers to id 1"):
        bench.hand(shoulder_pan=20.0)
        bench.wait()
        scan(bus, (1, 6))
    assert bus.read(6, "Lock") == 1


@pytest.mark.parametrize("at_once", [False, True])
def test_the_answer_to_a_new_id_comes_from_the_old_or_the_new_one(start: Start, at_once: bool) -> None:
    bench, bus = start()
    bench.servo("gripper").renamed_at_once = at_once
    request = protocol.make_write(6, 5, b"\x09")
    speaker, other = (9, 6) if at_once else (6, 9)
    bus.send(request)
    heard = protocol.StatusParser((speaker, other), 0).feed(bus.receive(time.monotonic() + 1.0))
    assert [frame.servo for frame in heard] == [speaker]
    assert bus.ping(9) is not None and bus.ping(6) is None


def test_a_lost_servo_is_mute_until_it_is_found(start: Start) -> None:
    bench, bus = start()
    bench.lose("wrist_flex")
    assert scan(bus, IDS) == (1, 2, 3, 5, 6)
    bench.lose("wrist_flex", lost=False)
    assert scan(bus, IDS) == IDS


def test_one_reading_can_be_wrong_in_an_intact_frame(start: Start) -> None:
    bench, bus = start()
    bench.glitch("elbow_flex", 3999)
    assert [ticks(bus, servo) for servo in (2, 3, 3)] == [2048, 3999, 2048]


# -- after writes


def unlock(bus: Bus, servos: Sequence[int] = IDS) -> None:
    for servo in servos:
        bus.write(servo, "Lock", 0)


def test_power_can_go_after_the_nth_write_before_its_answer(start: Start) -> None:
    bench, bus = start()
    unlock(bus)
    bench.after_writes(2, lambda: bench.power_cycle(silent_s=0.0))
    bus.write(1, "Homing_Offset", 11)
    one_try = Patience(unicast_timeout_s=0.2, retries=0)
    bus.patience = one_try
    with pytest.raises(NoAnswer):
        bus.write(2, "Homing_Offset", 22)
    assert [bench.stored(name)["Homing_Offset"] for name in ROBOT.joints[:3]] == [11, 22, 0]
    assert bus.read(2, "Lock") == 1
    bus.write(3, "Homing_Offset", 33)  # locked again: kept, not stored; and it happens only once
    assert bench.stored("elbow_flex")["Homing_Offset"] == 0 and bus.read(1, "Homing_Offset") == 11


def test_writes_under_lock_and_beside_the_eeprom_do_not_count(start: Start) -> None:
    bench, bus = start()
    happened = threading.Event()
    bench.after_writes(1, happened.set)
    bus.write(1, "Homing_Offset", 11)
    bus.write(1, "Lock", 0)
    bus.write(1, "Torque_Limit", 500)
    assert not happened.is_set()
    bus.write(1, "Homing_Offset", 12)
    assert happened.is_set()


def test_a_servo_can_go_or_the_cable_be_pulled_from_within(start: Start) -> None:
    bench, bus = start()
    unlock(bus)
    bench.after_writes(1, lambda: bench.lose("shoulder_lift"))
    with pytest.raises(NoAnswer, match="servo 2 does not answer"):
        bus.ask(2, protocol.make_write(2, 31, b"\x05\x00"), 0)  # the write's own answer is missing
    bench.after_writes(1, bench.port.unplug)
    with pytest.raises(PortLost):
        bus.write(3, "Homing_Offset", 5)
    assert bench.stored("elbow_flex")["Homing_Offset"] == 5 and not os.path.exists(bench.path)


# -- speed

speeds_are_told = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no system but Linux tells it")


@pytest.mark.parametrize(("code", "baud"), list(enumerate(BAUDS)))
@speeds_are_told
def test_a_servo_hears_its_own_speed_only(start: Start, code: int, baud: int) -> None:
    _, bus = start(baud=baud, eeprom={"gripper": {"Baud_Rate": code}})
    assert bus.ping(6) is not None
    assert (bus.ping(1) is not None) is (code == 0)


@speeds_are_told
def test_a_new_baud_rate_is_answered_at_the_old_one(start: Start) -> None:
    bench, bus = start()
    assert bus.ask(6, protocol.make_write(6, 6, b"\x04"), 0).servo == 6
    assert bus.ping(6) is None and bus.ping(5) is not None
    bus.close()
    slow = Bus(SerialLine(bench.path, 115_200))
    assert slow.ping(6) is not None and slow.ping(5) is None
    slow.close()


@speeds_are_told
def test_codes_about_which_tables_disagree_are_silent_unless_told(start: Start) -> None:
    bench, bus = start(baud=57_600, eeprom={"gripper": {"Baud_Rate": 6}})
    assert bus.ping(6) is None
    bench.servo("gripper").bauds = ODD_BAUDS["vendor"]
    assert bus.ping(6) is not None


# -- wear


DRIVE = Drive(True, 0.0, 3000.0, 25400.0, 1.0)


def rests(world: JointedWorld, goals: list[float]) -> list[float]:
    """Where the link is after each goal (ticks)."""
    now, seen = 0.0, []
    for goal in goals:
        drive = Drive(True, goal, DRIVE.max_speed, DRIVE.acceleration, DRIVE.effort)
        for _ in range(200):
            now += 0.01
            world.advance(now, [drive])
        seen.append(world.advance(now, [drive])[0].position)
    return seen


def joint(**fields: float) -> JointedWorld:
    return JointedWorld([Joint("j", (-90.0, 90.0), (0.0, 2048.0), **fields)])  # type: ignore[arg-type]


def test_play_ends_at_two_angles_and_a_tight_joint_at_one() -> None:
    assert rests(joint(), [1500.0, 2500.0, 1500.0])[::2] == [1500.0, 1500.0]
    low, high = (rests(joint(play=2.0), [start, 2000.0])[1] for start in (1500.0, 2500.0))
    assert high - low == pytest.approx(2.0 * TICKS, abs=0.1)


def test_a_sticking_motor_ignores_small_errors() -> None:
    step = TICKS  # one degree
    stuck = rests(joint(stick=1.5), [2048.0 + step, 2048.0 + 2 * step, 2048.0 + step])
    assert stuck == [2048.0, 2048.0 + 2 * step, 2048.0 + 2 * step]
    assert rests(joint(), [2048.0 + step]) == [2048.0 + step]


def test_load_heats_and_sags(start: Start) -> None:
    _, bus = start(stops={"shoulder_pan": (-5.0, 5.0)}, heats={"shoulder_pan": 40.0}, sag_v=6.0)
    calm = bus.read(1, "Present_Voltage"), bus.read(1, "Present_Temperature")
    assert calm == (74, 31)
    bus.sync_write("Goal_Position", {1: 3000})
    settle(lambda: bus.read(1, "Present_Temperature") > 33)
    assert bus.read(1, "Present_Voltage") == bus.read(2, "Present_Voltage") == 64  # one of six pulls
    assert bus.read(2, "Present_Temperature") == 31


def test_a_plant_names_joints_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"joints in horns.*elbow_flex.*elbow"):
        Plant(horns={"elbow": 30.0})
    with pytest.raises(ConfigError, match="joints in locked"):
        Plant(locked=("grip",))


def test_an_arm_opens_and_moves_with_its_wear(start: Start) -> None:
    """Through the driver that a bridge has: a worn elbow rests at two angles, its neighbours at one."""
    bench, bus = start(calibration=SHIPPED, backlash={"elbow_flex": 3.0}, sticks={"wrist_flex": 2.0})
    bus.close()
    arm = open_arm(ROBOT, BridgeConfig(robot="so101", port="sim"), bench.path)
    home = arm.torque_on()

    def rest(by: float) -> np.ndarray:
        arm.send(home + by)
        time.sleep(0.5)
        return np.degrees(np.asarray(arm.read().position))

    moved = rest(0.1) - rest(-0.1)
    low = rest(0.0)
    rest(0.1)
    high = rest(0.0)
    assert moved[0] == pytest.approx(11.46, abs=0.2) and moved[2] == pytest.approx(11.46 - 3.0, abs=0.2)
    assert high[2] - low[2] == pytest.approx(3.0, abs=0.2) and abs(high[[0, 1]] - low[[0, 1]]).max() < 0.2
    assert abs(rest(math.radians(1.0)) - high)[3] < 0.2 < 0.8 < abs(rest(math.radians(1.0)) - high)[0]
    arm.close()


# -- as a process


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[ServoProcess]:
    file = tmp_path / "plant.json"
    file.write_text(json.dumps({"calibration": "shipped", "stops": {"elbow_flex": [-50, 40]}, "locked": ["gripper"]}))
    process = ServoProcess("--plant", str(file))
    yield process
    process.close()


def test_the_same_arm_as_a_process_takes_orders(plant: ServoProcess) -> None:
    bus = Bus(SerialLine(plant.port), Patience(reply_timeout_s=0.1, unicast_timeout_s=0.2, retries=0))
    with pytest.raises(ServoWrong, match="servo 6 did not keep Lock"):
        bus.write(6, "Lock", 0)
    assert plant.order("hand", joints={"elbow_flex": 90}, speed=900) == {"ok": True}
    settle(lambda: not plant.order("stored")["handled"])
    assert plant.order("stored")["angles"]["elbow_flex"] == pytest.approx(40.0)
    with pytest.raises(AssertionError, match="ValueError: no joint elbow: "):
        plant.order("hand", joints={"elbow": 90})
    unlock(bus, (1, 2, 3))
    with pytest.raises(AssertionError, match="ValueError: no order named fly"):
        plant.order("after_writes", count=1, then={"do": "fly"})
    plant.order("after_writes", count=2, then={"do": "power_cycle", "silent_s": 0.05})
    bus.write(1, "Homing_Offset", 11)
    with pytest.raises(NoAnswer):
        bus.ask(2, protocol.make_write(2, 31, b"\x16\x00"), 0)
    stored = plant.order("stored")["stored"]
    assert (stored["shoulder_pan"]["Homing_Offset"], stored["shoulder_lift"]["Homing_Offset"]) == (11, 22)
    plant.order("attach", joints=["gripper"])
    assert bus.ping(6) is not None and bus.ping(1) is None
    plant.order("lose", joint="gripper")
    assert bus.ping(6) is None
    bus.close()


def test_a_plant_file_with_an_unknown_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "plant.json"
    file.write_text('{"horn": {"elbow_flex": 30}}')
    with pytest.raises(ConfigError, match=r"the plant in .*horns.*got: \['horn'\]"):
        load_plant(str(file), ROBOT)
    file.write_text('{"horns": {"elbow_flex": 30}, "reversed": ["gripper"]}')
    assert load_plant(str(file), ROBOT) == Plant(horns={"elbow_flex": 30}, reversed=("gripper",))
