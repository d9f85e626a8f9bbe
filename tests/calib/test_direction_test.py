"""The guided direction test on virtual arms with mistakes that no round trip shows, and on good ones."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np
import pytest

from calib import direction_text
from calib.direction_test import ENOUGH, EYE, SKIP, Directions, Guided, run, steps, turned
from calib.language import Arm, Policy, compare
from calib.moved import GOOD, OTHER, REVERSED, WAITING
from calib.person import LiveView, Question, Scripted
from firmware_bridge import robots
from firmware_bridge.config import BridgeConfig
from firmware_bridge.drivers import open_arm
from firmware_bridge.kinematics.bodies import bodies_of
from firmware_bridge.robot import Robot
from firmware_bridge.sts.arm import StsArm
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_bench import Bench, Plant
from policy_spec.errors import Cancelled
from policy_spec.frames import frame
from policy_spec.in_range import ranges_of
from policy_spec.norm import Normalizer
from tests.calib.yam_rig import BI_YAM, YAM, YamRig, with_zeros
from tests.policy_spec.test_in_range import SO

SO101 = robots.find("so101")
SHIPPED = shipped_calibration(SO101)
[ARM] = bodies_of(SO101, {})
TURNS = {step.joint: step.sign for step in steps(ARM)}
MOLMO = frame("so101-molmoact2")
NOBODY_S = 0.4  # patience where nobody is meant to come; hands that do come may be slow on a busy machine


def hands(bench: Bench, move: Callable[[str], dict[str, float]] | None = None) -> Scripted:
    """A person who moves the arm when something live is shown, 20 degrees the way that was asked for."""

    class Hands(Scripted):
        turns = 0  # direction questions that were obeyed

        def ask(self, question: Question) -> str:
            if question.key == "direction.gripper":
                bench.hand(gripper=0.0)
                bench.wait()
            return Scripted.ask(self, question)

        def show(self, view: LiveView) -> None:
            if self.turns < (asked := sum(key.startswith("direction.") for key in self.asked)):
                self.turns = asked
                joint = view.title.split()[-1]
                way = move(joint) if move else usual(joint)
                bench.hand(**{name: bench.angle(name) + by for name, by in way.items()})
            Scripted.show(self, view)

    return Hands(yes=True)


def usual(joint: str) -> dict[str, float]:
    return {joint: 60.0 if joint == "gripper" else TURNS[joint] * 20.0}


def guided(
    bench: Bench, person: Scripted, calibration: Calibration = SHIPPED, patience_s: float = 10.0
) -> tuple[Guided, StsArm]:
    arm = StsArm(Bus(SerialLine(bench.path)), SO101, calibration)
    arm.connect()

    def read() -> tuple[np.ndarray, np.ndarray]:
        state = arm.read()
        return state.position, state.fresh

    return Guided(person, read, SO101.joints, SO101.grippers, patience_s=patience_s, still_s=0.1), arm


def try_out(
    plant: Plant,
    move: Callable[[str], dict[str, float]] | None = None,
    calibration: Calibration = SHIPPED,
    patience_s: float = 10.0,
    **answers: str,
) -> tuple[Directions, Scripted]:
    with Bench(SO101, dataclasses.replace(plant, gravity=0.0)) as bench:
        person = hands(bench, move)
        person.answers = {f"direction.{joint}": word for joint, word in answers.items()}
        test, arm = guided(bench, person, calibration, patience_s)
        try:
            return run(test, [ARM]), person
        finally:
            arm.close()


def verdicts(found: Directions) -> dict[str, str]:
    return {seen.step.joint: seen.verdict for seen in found.seen}


def said(found: Directions) -> str:
    return "\n".join(direction_text.lines(found, SO101.joints, MOLMO))


def only(*joints: str) -> dict[str, str]:
    return {joint: SKIP for joint in SO101.joints if joint not in joints}


def test_a_good_arm_passes_and_says_which_way_the_policys_numbers_went() -> None:
    found, person = try_out(Plant(calibration=SHIPPED))
    assert found.ok and found.off == {} and set(verdicts(found).values()) == {GOOD}
    text = said(found)
    assert "the gripper goes left: the policy's number 0.0 -> -20" in text
    # up is less in our units and more in this frame, whose lift counts the other way
    assert "the gripper goes up: the policy's number 90.0 -> 110.0  good" in text
    assert "it opens: the policy's number 0.0 -> 54.6  good" in text and "!" not in text
    assert person.asked == ["pose", *(f"direction.{joint}" for joint in SO101.joints)]
    assert direction_text.to_json(found, SO101.joints, MOLMO)["ok"] is True


def test_a_mirrored_joint_that_a_pose_and_every_round_trip_let_pass() -> None:
    plant = Plant(calibration=SHIPPED, reversed=("shoulder_pan",), pose={"shoulder_pan": 12.0})
    with Bench(SO101, dataclasses.replace(plant, gravity=0.0)) as bench:
        person = hands(bench)
        person.answers = {f"direction.{joint}": SKIP for joint in SO101.joints if joint != "shoulder_pan"}
        test, arm = guided(bench, person)
        here, _ = test.read()
        facts = Arm(SO101.joints, SO101.grippers, here, *arm.codec.bounds())
        policy = Policy(ranges_of(Normalizer.from_stats(SO, "q01_q99")), MOLMO, {})
        assert math.degrees(here[0]) == pytest.approx(-12.0, abs=0.2)  # it stands at +12
        assert compare(facts, policy).ok  # the pose says nothing
        assert np.allclose(MOLMO.to_si(MOLMO.from_si(here)), here)  # nor does a round trip, here or in ticks
        assert np.allclose(arm.codec.to_si(arm.codec.to_ticks(here).astype(float)), here, atol=1e-3)
        found = run(test, [ARM])
        arm.close()
    assert verdicts(found)["shoulder_pan"] == REVERSED and not found.ok
    finding = direction_text.findings(found, SO101.joints, MOLMO)[0]
    assert finding.kind == "sign" and finding.joints == ("shoulder_pan",)
    assert "when the gripper goes left the policy's number must go down, and it went up" in finding.text
    assert person.asked.count("direction.shoulder_pan") == 2  # looked at twice before it is believed
    assert "counted the other way; put it back, then once more to be sure" in "\n".join(person.told)


@pytest.mark.parametrize(("mirrored", "verdict"), [(True, REVERSED), (False, GOOD)])
def test_putting_a_joint_back_is_no_answer(mirrored: bool, verdict: str) -> None:
    """Moved once, put back only after the next question: that way back must not make a mirrored joint a good one."""
    plant = Plant(calibration=SHIPPED, reversed=("shoulder_pan",) if mirrored else (), gravity=0.0)
    first = TURNS["shoulder_pan"] * (20.0 if mirrored else -20.0)  # a hand that errs, on an honest arm
    ways = [first, 0.0, TURNS["shoulder_pan"] * 20.0]  # degrees of the joint
    with Bench(SO101, plant) as bench:

        class Hands(Scripted):
            def show(self, view: LiveView) -> None:
                left = 3 - len(ways)
                back = "put" not in view.todo  # what the screen asks for is done only then
                if ways and self.asked.count("direction.shoulder_pan") > (left > 0) and (left < 2 or back):
                    bench.hand(shoulder_pan=ways.pop(0))
                Scripted.show(self, view)

        person = Hands(yes=True, answers={f"direction.{joint}": word for joint, word in only("shoulder_pan").items()})
        test, arm = guided(bench, person)
        found = run(test, [ARM])
        arm.close()
    assert ways == [] and verdicts(found)["shoulder_pan"] == verdict


@pytest.mark.parametrize(("mirrored", "verdict"), [(True, REVERSED), (False, GOOD)])
def test_a_hand_that_goes_past_where_it_began_is_called_back(mirrored: bool, verdict: str) -> None:
    """Back and on in one go, then corrected: neither is an answer."""
    plant = Plant(calibration=SHIPPED, reversed=("shoulder_pan",) if mirrored else (), gravity=0.0)
    sign = TURNS["shoulder_pan"] * (1.0 if mirrored else -1.0)
    with Bench(SO101, plant) as bench:

        class Hands(Scripted):
            ways = (sign * 20.0, sign * -20.0, 0.0, TURNS["shoulder_pan"] * 20.0)  # degrees of the joint
            made = 0
            rested = 0.0  # since when it stands

            def show(self, view: LiveView) -> None:
                tries = self.asked.count("direction.shoulder_pan")
                if bench._moving():
                    self.rested = time.monotonic()
                ready = {
                    0: tries == 1,
                    1: tries == 2 and "first put shoulder_pan back where it was (0 degrees)" in view.todo,
                    2: time.monotonic() - self.rested > 3 * test.still_s,  # past home, and not taken for back
                    3: "put" not in view.todo,
                }
                if ready.get(self.made):
                    bench.hand(shoulder_pan=self.ways[self.made])
                    self.made += 1
                Scripted.show(self, view)

        person = Hands(yes=True, answers={f"direction.{joint}": word for joint, word in only("shoulder_pan").items()})
        test, arm = guided(bench, person)
        found = run(test, [ARM])
        arm.close()
    assert person.made == 4 and verdicts(found)["shoulder_pan"] == verdict


def test_a_gripper_calibrated_the_wrong_way() -> None:
    rows = tuple((n, dataclasses.replace(row, drive_mode=1) if n == "gripper" else row) for n, row in SHIPPED.joints)
    found, _ = try_out(Plant(calibration=SHIPPED), calibration=Calibration(rows, "wrong"), **only("gripper"))
    assert verdicts(found)["gripper"] == REVERSED
    text = said(found)
    assert "gripper is mirrored: when it opens the policy's number must go up, and it went down" in text
    assert "drive_mode" in text


def test_a_gripper_whose_closed_end_was_never_swept() -> None:
    found, _ = try_out(Plant(calibration=SHIPPED, horns={"gripper": 40.0}), **only("gripper"))
    assert verdicts(found)["gripper"] == "unclosed" and "% where it is closed" in said(found)


def swapped() -> Plant:
    """Pan and lift with each other's ids, and calibrated like that: their memory fits the file."""
    rows = dict(SHIPPED.joints)
    pairs = (("shoulder_pan", rows["shoulder_lift"]), ("shoulder_lift", rows["shoulder_pan"]))
    eeprom = {
        name: {
            "Homing_Offset": row.homing_offset,
            "Min_Position_Limit": row.range_min,
            "Max_Position_Limit": row.range_max,
        }
        for name, row in pairs
    }
    moved = {name: row for name, row in SHIPPED.joints}
    for name, row in pairs:
        moved[name] = row  # horns where that memory reads 0
    return Plant(
        calibration=Calibration(
            tuple((n, dataclasses.replace(r, id=100 + i)) for i, (n, r) in enumerate(moved.items())), ""
        ),
        ids={n: dict(pairs)[n].id if n in dict(pairs) else r.id for n, r in SHIPPED.joints},
        eeprom=eeprom,
    )


def test_exchanged_ids() -> None:
    found, _ = try_out(swapped(), **only("shoulder_pan", "shoulder_lift"))
    assert verdicts(found)["shoulder_pan"] == verdicts(found)["shoulder_lift"] == OTHER
    assert "while shoulder_pan was moved, shoulder_lift answered: their ids are swapped" in said(found)


def test_a_zero_that_is_a_quarter_turn_off_is_seen_in_the_drawn_pose() -> None:
    found, person = try_out(Plant(calibration=SHIPPED, horns={"elbow_flex": 90.0}), **only())
    assert {joint: round(math.degrees(value)) for joint, value in found.off.items()} == {"elbow_flex": 90}
    assert person.asked.count("pose") == 2 and not found.ok
    assert "elbow_flex reads 90 degrees off the pose that was drawn" in said(found)
    good, _ = try_out(Plant(calibration=SHIPPED, horns={"elbow_flex": 20.0}), **only())
    assert good.off == {}  # an eye is no gauge
    assert turned(math.radians(350)) == pytest.approx(math.radians(-10)) and math.degrees(EYE) == pytest.approx(35)


def test_nothing_moves_when_nobody_is_there() -> None:
    found, person = try_out(Plant(calibration=SHIPPED), lambda joint: {}, patience_s=NOBODY_S)
    assert verdicts(found) == {joint: WAITING if joint == "shoulder_pan" else SKIP for joint in SO101.joints}
    assert not found.ok and person.asked == ["pose", "direction.shoulder_pan"]  # the others are not waited for
    assert "nothing is known of its sign" in said(found)


def test_a_second_joint_that_came_along_leaves_it_open() -> None:
    tries: list[str] = []

    def clumsy(joint: str) -> dict[str, float]:
        tries.append(joint)
        return {**usual(joint), "elbow_flex": 18.0} if len(tries) == 1 else usual(joint)

    found, person = try_out(Plant(calibration=SHIPPED), clumsy, **only("shoulder_pan"))
    assert verdicts(found)["shoulder_pan"] == GOOD  # the second time it was alone
    assert "elbow_flex moved as well as shoulder_pan; once more" in "\n".join(person.told)


def test_a_joint_that_falls_silent_is_named() -> None:
    with Bench(SO101, Plant(calibration=SHIPPED, gravity=0.0)) as bench:
        person = hands(bench)
        person.answers = {f"direction.{joint}": SKIP for joint in SO101.joints if joint != "elbow_flex"}
        test, arm = guided(bench, person, patience_s=NOBODY_S)
        bench.lose("elbow_flex")
        found = run(test, [ARM])
        arm.close()
    assert verdicts(found)["elbow_flex"] == "lost" and "elbow_flex does not answer" in said(found)


@pytest.mark.parametrize("key", ["pose", "direction.wrist_flex"])
def test_cancelled_at_a_question(key: str) -> None:
    with Bench(SO101, Plant(calibration=SHIPPED, gravity=0.0)) as bench:
        before = bench.memory()
        person = hands(bench)
        person.answers = {f"direction.{joint}": SKIP for joint in SO101.joints} | {key: "cancel"}
        test, arm = guided(bench, person)
        with pytest.raises(Cancelled):
            run(test, [ARM])
        arm.close()
        assert bench.memory() == before


def test_what_is_asked_of_each_arm() -> None:
    words = {step.joint: (step.sign, step.does) for step in steps(ARM)}
    assert words["shoulder_pan"] == (-1, "the gripper goes left")
    assert words["shoulder_lift"] == words["elbow_flex"] == words["wrist_flex"] == (-1, "the gripper goes up")
    assert words["wrist_roll"][1].startswith("clockwise") and words["gripper"] == (1, "it opens")
    left, right = bodies_of(robots.find("bi-yam"), {})
    assert [step.joint for step in steps(right)][:2] == ["right_joint_1", "right_joint_2"]
    assert {step.does for step in steps(left)} == {step.does for step in steps(right)}
    assert all(step.drawing for step in steps(left) if not step.gripper)
    assert math.degrees(ENOUGH) == pytest.approx(12)


@pytest.mark.parametrize(("robot", "reversed_"), [(YAM, ()), (BI_YAM, ("right_joint_4",))])
def test_a_yam_and_two(robot: Robot, reversed_: tuple[str, ...]) -> None:
    """Its motors stay disabled: a driver that may not move reads by refreshes alone."""
    arms = bodies_of(robot, {})
    signs = {step.joint: step.sign for arm in arms for step in steps(arm)}
    truth = with_zeros(robot)
    straight = dict(zip(robot.joints, [angle for arm in arms for angle in arm.body.straight], strict=True))

    class Hands(Scripted):
        turns = 0

        def show(self, view: LiveView) -> None:
            if self.turns < (asked := sum(key.startswith("direction.") for key in self.asked)):
                self.turns = asked
                joint = view.title.split()[-1]
                with rig.arm.lock:
                    here = float(rig.arm.joints()[robot.joints.index(joint)])
                    by = 0.6 if joint in robot.grippers else signs[joint] * 0.35
                    rig.arm.hand({joint: here + by}, speed=10.0)
            Scripted.show(self, view)

    with YamRig(truth, robot, reversed=reversed_) as rig:
        with rig.arm.lock:
            rig.arm.hand(straight, speed=100.0)
        config = BridgeConfig(robot.name, rig.port, calibration="unused.json", gripper="crank_4310")
        driver = open_arm(robot, config, rig.port, calibration=truth)

        def read() -> tuple[np.ndarray, np.ndarray]:
            state = driver.read()
            return state.position, state.fresh

        try:
            deadline = time.monotonic() + 10.0
            while np.abs(read()[0] - list(straight.values())).max() > 0.3 and time.monotonic() < deadline:
                time.sleep(0.01)
            found = run(Guided(Hands(yes=True), read, robot.joints, robot.grippers, 2.0, 0.1), arms)
        finally:
            driver.close()
        assert set(rig.nibbles()) == {0}  # none was enabled
    odd = {seen.step.joint: seen.verdict for seen in found.seen if seen.verdict != GOOD}
    assert odd == dict.fromkeys(reversed_, REVERSED)
