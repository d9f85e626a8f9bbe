"""Servos of an arm to be calibrated: who is missing or strange is named, and letting go can be broken off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from calib.person import YES, Scripted
from calib.sts.servos import RELEASE_STEPS, Servos, limp, open_bus
from firmware_bridge import robots
from firmware_bridge.errors import ServoDuplicate, ServoMissing, ServoWrong
from firmware_bridge.sts.virtual_bench import Bench, Plant
from policy_spec.errors import Cancelled

ROBOT = robots.find("so101")


@contextmanager
def servos(plant: Plant) -> Iterator[tuple[Bench, Servos]]:
    with Bench(ROBOT, plant) as bench:
        bus = open_bus(bench.path)
        try:
            yield bench, Servos(bus, ROBOT)
        finally:
            bus.close()


@pytest.mark.parametrize(
    ("plant", "error", "words"),
    [
        (Plant(ids={"gripper": 9}), ServoMissing, r"gripper \(id 6\); other ids answer: \[9\]"),
        (Plant(ids={"gripper": 5}), (ServoDuplicate, ServoMissing), "id 5|id 6"),
        (Plant(eeprom={"elbow_flex": {"Model_Number": 2825}}), ServoWrong, "elbow_flex .servo 3. is another model"),
        (Plant(eeprom={"elbow_flex": {"Angular_Resolution": 2}}), ServoWrong, "counts its angle in larger steps"),
    ],
    ids=["missing", "twice", "model", "resolution"],
)
def test_strange_arms_are_refused(plant: Plant, error: type[Exception], words: str) -> None:
    with servos(plant) as (bench, arm):
        memory = bench.memory()
        with pytest.raises(error, match=words):
            arm.connect()
        assert bench.memory() == memory


def test_different_firmware_is_told() -> None:
    with servos(Plant()) as (_, arm):
        assert arm.connect() == ("6 servos answer, firmware 3.6",)
    with servos(Plant(eeprom={"elbow_flex": {"Firmware_Minor_Version": 9}})) as (_, arm):
        told = arm.connect()
        assert "elbow_flex 3.9" in told[1] and "LeRobot refuses" in told[1]


def test_readings_are_of_the_shaft() -> None:
    horns, offset = {"elbow_flex": 10.0}, {"elbow_flex": {"Homing_Offset": -1500}}
    with servos(Plant(horns=horns)) as (_, arm):
        arm.connect()
        plain = arm.read()
    with servos(Plant(horns=horns, eeprom=offset)) as (_, arm):
        arm.connect()
        assert arm.read().raw == plain.raw and plain.raw["elbow_flex"] == 2048 + 114
        assert plain.silent_s == {}


def test_a_limp_arm_is_not_asked() -> None:
    with servos(Plant()) as (_, arm):
        person = Scripted()
        assert limp(arm.bus, arm.ids, person) == () and person.asked == []


def test_no_keeps_it_holding() -> None:
    with servos(Plant()) as (bench, arm):
        arm.bus.write(2, "Torque_Enable", 1)
        with pytest.raises(Cancelled, match="still holds"):
            limp(arm.bus, arm.ids, Scripted({"release": "no"}))
        assert bench.servo("shoulder_lift").get("Torque_Enable") == 1


def test_broken_off_it_holds_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == RELEASE_STEPS // 2:
            raise KeyboardInterrupt

    with servos(Plant(pose={"shoulder_lift": 40.0})) as (bench, arm):
        arm.bus.write(2, "Goal_Position", arm.bus.read(2, "Present_Position"))
        monkeypatch.setattr(time, "sleep", sleep)
        with pytest.raises(KeyboardInterrupt):
            limp(arm.bus, arm.ids, Scripted({"release": YES}))
        monkeypatch.undo()
        servo = bench.servo("shoulder_lift")
        assert (servo.get("Torque_Enable"), servo.get("Torque_Limit")) == (1, 1000)
        assert bench.angle("shoulder_lift") == pytest.approx(40.0, abs=2.0)
        limits = [row for row in bench.bus.journal if row.address == 48]
        assert len(limits) == RELEASE_STEPS // 2 + 1  # the steps, and the full one again


def test_an_adapter_that_keeps_answers_for_a_while() -> None:
    """An FTDI one with its usual 16 ms, at a computer that is busy: its answers are waited for."""
    with servos(Plant()) as (bench, arm):
        bench.bus.wire_s = 0.03
        arm.connect()
        assert sum(set(arm.read().raw) == {*ROBOT.joints} for _ in range(10)) >= 7  # this machine may be busy itself
