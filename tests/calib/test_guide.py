"""The guide names exchanged ids, reversed servos and hands at the wrong joint; its words fit the kinematics."""

from __future__ import annotations

import dataclasses

import pytest

from calib.person import AGAIN
from calib.sts.guide import WORDS, guide
from calib.sts.live import Live, Pace
from calib.sts.servos import Servos
from firmware_bridge import robots
from firmware_bridge.errors import CalibrationImplausible
from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.directions import direction
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.virtual_bench import Bench, Plant
from policy_spec.errors import Cancelled
from tests.calib.hands import QUICK, Hands, Moves, Told

ROBOT = robots.find("so101")
ALL_AGAIN = {f"guide.{joint}": [AGAIN] * 2 for joint in ROBOT.joints}


def guided(plant: Plant, pace: Pace = QUICK, **hands: object) -> tuple[dict[str, str], Hands]:
    with Bench(ROBOT, plant) as bench:
        person = Hands(answers=ALL_AGAIN, bench=bench, **hands)  # type: ignore[arg-type]
        bus = Bus(SerialLine(bench.path, 1_000_000))
        try:
            servos = Servos(bus, ROBOT)
            servos.connect()
            before = bench.memory()
            try:
                return guide(person, Live(servos, pace), BODIES["so101"]), person
            finally:
                assert bench.memory() == before
        finally:
            bus.close()


@pytest.mark.parametrize("name", ["so101", "so100"])
def test_the_words_are_those_of_the_kinematics(name: str) -> None:
    """Positive ticks: right, down, down, down, counter-clockwise, opens."""
    body = BODIES[name]
    opposite = {"right": "left", "down": "up", "counter-clockwise": "clockwise"}
    for joint, (sign, words) in WORDS.items():
        way = direction(body, joint)
        wanted = "open" if way == "opens" else way if sign > 0 else opposite[way]
        assert wanted in words, (joint, way, words)


def test_an_honest_arm_needs_no_question() -> None:
    found, person = guided(Plant())
    assert list(found) == list(ROBOT.joints) and person.asked == []


def test_horns_and_wraps_do_not_matter() -> None:
    plant = Plant(
        horns=dict.fromkeys(ROBOT.joints, 180.0), eeprom={"elbow_flex": {"Homing_Offset": -1900, "Phase": 28}}
    )
    assert guided(plant)[1].asked == []


def test_exchanged_ids_are_named() -> None:
    with pytest.raises(CalibrationImplausible, match="ids 2 and 3 are exchanged") as refused:
        guided(Plant(ids={"shoulder_lift": 3, "elbow_flex": 2}))
    assert "you moved elbow_flex's motor (id 3) while shoulder_lift was asked for, twice" in str(refused.value)


@pytest.mark.parametrize("joint", ["elbow_flex", "gripper"])
def test_a_reversed_servo_is_named(joint: str) -> None:
    with pytest.raises(CalibrationImplausible, match="mounted the other way round") as refused:
        guided(Plant(reversed=(joint,)))
    assert f"{joint} went" in str(refused.value)


def test_a_wrong_joint_moved_once_is_asked_again() -> None:
    wrong: list[Moves] = [[{"wrist_flex": 30.0}], [{"elbow_flex": -25.0}]]
    found, person = guided(Plant(), does={"which motor is which: elbow_flex": lambda bench: wrong.pop(0)})
    assert person.asked == ["guide.elbow_flex"] and len(found) == 6
    assert any("you moved wrist_flex's motor (id 4)" in line for line in person.told)


def test_two_joints_at_once_are_no_answer() -> None:
    both: Moves = [{"shoulder_lift": 30.0, "elbow_flex": 30.0}, Told("hold the others still", {"shoulder_lift": 60.0})]

    def moves(bench: Bench) -> Moves:
        return both

    found, person = guided(Plant(), does={"which motor is which: shoulder_lift": moves})
    assert len(found) == 6 and person.asked == []


def test_a_hand_that_first_pulls_the_wrong_way_is_waited_for() -> None:
    """What it did is judged when it rests; here it goes on, the right way."""

    def moves(bench: Bench) -> Moves:
        now = bench.angle("elbow_flex")
        return [{"elbow_flex": now + 15.0}, {"elbow_flex": now - 25.0}]

    pace = dataclasses.replace(QUICK, moved_s=5.0)
    assert guided(Plant(), pace, does={"which motor is which: elbow_flex": moves})[1].asked == []


def test_nobody_there() -> None:
    titles = [f"which motor is which: {joint}" for joint in ROBOT.joints]
    idle = {title: lambda bench: [] for title in titles}
    with pytest.raises(CalibrationImplausible, match="nobody moved shoulder_pan within"):
        guided(Plant(), dataclasses.replace(QUICK, patience_s=0.3), does=idle)


def test_cancelled_while_watching() -> None:
    with pytest.raises(Cancelled):
        guided(Plant(), heard=["", "quit"])


@pytest.mark.parametrize("honest", [False, True])
def test_putting_a_joint_back_is_no_answer(honest: bool) -> None:
    """Moved once, put back only after the question: that way back must not make a reversed servo a good one."""
    again: Moves = [{"elbow_flex": 0.0}, Told("it is back; now", {"elbow_flex": -20.0})]
    tries = iter([[{"elbow_flex": 20.0 if honest else -20.0}], again])
    does = {"which motor is which: elbow_flex": lambda bench: next(tries)}
    if honest:  # a hand that erred once
        found, person = guided(Plant(), does=does)
        assert person.asked == ["guide.elbow_flex"] and set(found) == set(ROBOT.joints)
        return
    with pytest.raises(CalibrationImplausible, match="mounted the other way round"):
        guided(Plant(reversed=("elbow_flex",)), does=does)


@pytest.mark.parametrize("honest", [False, True])
def test_a_hand_that_goes_past_where_it_began_is_called_back(honest: bool) -> None:
    """Back and on in one go: neither that nor its correction is an answer, for an honest servo or a reversed one."""
    sign = 1.0 if honest else -1.0  # the first way, which is the wrong one on the screen
    again: Moves = [
        {"elbow_flex": -20.0 * sign},
        Told("20 degrees the other way", {"elbow_flex": 0.0}),
        Told("it is back; now", {"elbow_flex": -20.0}),
    ]
    tries = iter([[{"elbow_flex": 20.0 * sign}], again])
    does = {"which motor is which: elbow_flex": lambda bench: next(tries)}
    if honest:
        assert guided(Plant(), does=does)[1].asked == ["guide.elbow_flex"]
        return
    with pytest.raises(CalibrationImplausible, match="mounted the other way round"):
        guided(Plant(reversed=("elbow_flex",)), does=does)
