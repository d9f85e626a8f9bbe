"""Calibrating a virtual YAM over a real CAN bus of python-can: planted mistakes are named, and nothing is left on."""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import can
import numpy as np
import pytest

from calib.damiao.flow import calibrate
from calib.damiao.guide import Pace
from calib.person import CANCEL, LiveView, Question
from firmware_bridge.client import BridgeConfig, Timing
from firmware_bridge.damiao import nibbles
from firmware_bridge.damiao.can_port import open_port, parse_port
from firmware_bridge.damiao.connect import open_arm
from firmware_bridge.damiao.frames import ENABLE, make_refresh
from firmware_bridge.damiao.virtual_slcan import VirtualSlcan
from firmware_bridge.errors import (
    BridgeError,
    CalibrationImplausible,
    NoAnswer,
    PortBusy,
    PortLost,
    ServoWrong,
)
from policy_spec.errors import Cancelled
from tests.calib.yam_rig import BI_YAM, CRANK, QUICK, YAM, Handy, YamRig, with_zeros

TWENTY, TURN = math.radians(20.0), 2 * math.pi


class Meddler(Handy):
    """Something happens at a question, or once the gripper is on its way."""

    at: str = ""
    happens: Callable[[], None] | None = None

    def ask(self, question: Question) -> str:
        self._happen(question.key)
        return Handy.ask(self, question)

    def show(self, view: LiveView) -> None:
        if view.title == "the gripper's ends":
            self._happen("driven")
        Handy.show(self, view)

    def _happen(self, at: str) -> None:
        if at == self.at and self.happens is not None:
            happens, self.happens = self.happens, None
            happens()


def refused(rig: YamRig, person: Handy, gripper: str = CRANK) -> str:
    """What a calibration that must be refused says; all motors are off and remember what they did."""
    before = rig.memory()
    with pytest.raises(BridgeError) as caught:
        calibrate(rig.job(gripper), person)
    assert rig.memory() == before and nibbles.ENABLED not in rig.nibbles()
    return f"{type(caught.value).__name__}: {caught.value}"


def untouched(rig: YamRig) -> bool:
    """No motor was ever told anything."""
    return rig.rows() == []


# -- all is well, and what a file can mend


def test_zeros_that_are_off_and_a_turn_away(tmp_path: Path) -> None:
    with YamRig(with_zeros(YAM, joint_1=-TWENTY, joint_2=TWENTY, joint_3=TURN, joint_5=-TURN + 0.1)) as rig:
        before = rig.memory()
        person = Handy({"directions": "yes", "zero.joint_1": "take"}, yes=True, rig=rig)
        found = calibrate(rig.job(), person)
        assert rig.said() == [("gripper", "enable"), ("gripper", "disable")]  # nothing else, and no other motor
        assert 0.1 < rig.hardest() <= found.calibration.gripper.gentle_torque(QUICK.newtons)
        assert rig.memory() == before and rig.nibbles() == [nibbles.DISABLED] * 7
        file = tmp_path / "blue.json"
        file.write_text(found.calibration.to_json())
        config = BridgeConfig(robot="yam", port=rig.port, calibration=str(file), timing=Timing(reply_timeout_s=0.1))
        arm = open_arm(YAM, config, rig.port, False)
        np.testing.assert_allclose(arm.read().position[:6], 0.0, atol=0.11)  # joint_5 keeps its own zero, 6 degrees off
        arm.close()
    assert person.asked == ["home", "zero.joint_1", "zero.joint_2", "zero.joint_5", "directions", "stroke", "fingers"]
    rows = found.calibration.to_dict()["joints"]
    zeros = [rows[f"joint_{number}"]["zero"] for number in range(1, 7)]
    assert zeros == pytest.approx([-TWENTY, TWENTY, 0.0, 0.0, 0.0, 0.0], abs=0.01)
    assert rows["gripper"]["closed"] == pytest.approx(0.0, abs=0.02)
    assert rows["gripper"]["open"] == pytest.approx(-found.calibration.gripper.stroke, abs=0.02)
    assert rows["gripper"]["serial"] == 1006
    assert set(found.directions.values()) == {"as the model"} and found.firmware["joint_1"] == "5013"
    told = "\n".join(person.told)
    assert "joint_3" in told and "+1 turn away" in told and "-1 turn away" in told
    json.dumps(found.details)


def test_a_gripper_that_was_not_named_is_known_by_its_motor() -> None:
    with YamRig(with_zeros(YAM, "linear_3507")) as rig:
        person = Handy({"stroke": CANCEL}, yes=True, rig=rig)
        with pytest.raises(Cancelled):
            calibrate(rig.job(""), person)
    assert "gripper: linear_3507 (--gripper names another)" in person.told


# -- zeros that no file mends


@pytest.mark.parametrize("angle", [math.radians(90.0), math.radians(-50.0), TURN + math.radians(120.0)])
def test_a_zero_beyond_belief_is_refused(angle: float) -> None:
    with YamRig(with_zeros(YAM, joint_5=angle)) as rig:
        text = refused(rig, Handy(yes=True, rig=rig))
        assert untouched(rig)
    assert text.startswith("CalibrationImplausible: joint_5 stands") and "set_zero" in text and "joint_4" not in text


def test_home_can_be_tried_again() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        rig.arm.hand({"joint_4": 1.2}, speed=1000.0)
        person = Meddler({"home.again": "again", "home": ["yes", "yes"], "directions": CANCEL}, yes=True, rig=rig)
        person.at, person.happens = "home.again", lambda: rig.arm.hand({"joint_4": 0.0}, speed=1000.0)
        with pytest.raises(Cancelled):
            calibrate(rig.job(), person)
    assert person.asked == ["home", "home.again", "home", "directions"]


# -- by hand


@pytest.mark.parametrize("joint", ["joint_2", "joint_4"])
def test_a_reversed_joint_is_named(joint: str) -> None:
    with YamRig(with_zeros(YAM), reversed=[joint]) as rig:
        text = refused(rig, Handy({"directions": "yes"}, yes=True, rig=rig))
        assert untouched(rig)
    assert text.startswith(f"CalibrationImplausible: {joint} counts backwards")


def test_ids_of_equal_motors_that_are_exchanged_are_named() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        rig.write("joint_1", ESC_ID=2.0, MST_ID=18.0)
        rig.write("joint_2", ESC_ID=1.0, MST_ID=17.0)
        text = refused(rig, Handy({"directions": "yes"}, yes=True, rig=rig))
    assert "asked to turn joint_1 (id 1), and joint_2 (id 2) moved" in text and "exchange the ids" in text


def test_a_hand_at_the_wrong_joint_may_try_again() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        person = Meddler({"directions": "yes", "direction.joint_1": ["again"], "stroke": CANCEL}, yes=True, rig=rig)
        person.mistakes = {"joint_1": ("joint_6", 22.0)}
        person.at, person.happens = "direction.joint_1", person.mistakes.clear
        with pytest.raises(Cancelled):
            calibrate(rig.job(), person)
        assert untouched(rig)
    assert person.asked == ["home", "directions", "direction.joint_1", "stroke"]
    assert "you were asked to turn joint_1 (id 1), and joint_6 (id 6) moved" in "\n".join(person.told)


def test_a_hand_that_never_comes_is_not_waited_for() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        person = Handy({"directions": "yes"}, yes=True, rig=rig, mistakes={"joint_1": ("joint_1", 5.0)})
        job = dataclasses.replace(rig.job(), pace=Pace(still_s=0.08, alone_s=0.5))
        with pytest.raises(CalibrationImplausible, match="waited for joint_1"):
            calibrate(job, person)


# -- motors that may not be driven


def test_ids_of_different_motors_that_are_exchanged_are_named() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        rig.write("joint_3", ESC_ID=4.0, MST_ID=20.0)
        rig.write("joint_4", ESC_ID=3.0, MST_ID=19.0)
        text = refused(rig, Handy(yes=True, rig=rig))
        assert untouched(rig)
    assert "joint_3 (id 3) and joint_4 (id 4) have each other's motors" in text
    assert text.count("\n") == 1  # the cause, and not its consequences


@pytest.mark.parametrize(
    ("joint", "registers", "told"),
    [
        ("gripper", {"TIMEOUT": 0.0}, "gripper: TIMEOUT"),
        ("joint_2", {"CTRL_MODE": 2.0}, "joint_2: CTRL_MODE"),
        ("joint_6", {"TMAX": 28.0}, "joint_6: TMAX of a DM4310"),
        ("joint_5", {"can_br": 3.0}, "joint_5: can_br; expected: 4 (1 Mbit/s)"),
    ],
)
def test_a_register_that_is_wrong_is_named(joint: str, registers: dict[str, float], told: str) -> None:
    with YamRig(with_zeros(YAM)) as rig:
        rig.write(joint, **registers)
        person = Handy(yes=True, rig=rig)
        text = refused(rig, person)
        assert untouched(rig) and person.asked == []
    assert told in text and "what to do" in text


def test_another_grippers_motor_is_named() -> None:
    with YamRig(with_zeros(YAM, "linear_3507")) as rig:
        text = refused(rig, Handy(yes=True, rig=rig), "linear_4310")
    assert "name the gripper that is mounted: --gripper linear_3507" in text


def test_a_motor_with_an_id_that_nobody_should_have_is_named() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        rig.write("joint_3", ESC_ID=9.0, MST_ID=25.0)
        text = refused(rig, Handy(yes=True, rig=rig))
    assert text.startswith("ServoMissing: missing motors: joint_3 (id 3, a DM4340)") and "a DM4340 with id 9" in text


def test_a_motor_that_somebody_holds_is_left_to_them() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        rig.motor("joint_1").obey(ENABLE, math.inf)  # its host feeds it
        with pytest.raises(ServoWrong, match="joint_1: torque; expected: off; got: on"):
            calibrate(rig.job(), Handy(yes=True, rig=rig))
        assert untouched(rig)


def test_motors_that_brake_are_let_go_only_once_the_arm_is_held() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        rig.motor("joint_2").nibble = nibbles.COMMUNICATION_LOST
        with pytest.raises(Cancelled):
            calibrate(rig.job(), Handy({"release": "no"}, rig=rig))
        assert untouched(rig)
        with pytest.raises(Cancelled):
            calibrate(rig.job(), Handy({"release": "yes", "home": CANCEL}, rig=rig))
        assert rig.said() == [("joint_2", "clear")]


# -- while it is driven


def driven(rig: YamRig, happens: Callable[[], None], at: str = "driven") -> Meddler:
    person = Meddler(yes=True, rig=rig)
    person.at, person.happens = at, happens
    return person


def test_a_watchdog_that_goes_meanwhile_is_noticed_before_torque() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        person = driven(rig, lambda: rig.write("gripper", TIMEOUT=0.0), "stroke")
        with pytest.raises(ServoWrong, match="gripper: TIMEOUT"):
            calibrate(rig.job(), person)
        assert untouched(rig)


def test_something_between_the_fingers_is_named_and_let_go() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        rig.arm.stop("gripper", 0.4, 1.0)
        text = refused(rig, Handy(yes=True, rig=rig))
        assert rig.said()[-1] == ("gripper", "disable")
    assert "what is between the fingers" in text


def test_fingers_that_close_where_they_should_open_are_named() -> None:
    with YamRig(with_zeros(YAM, "flexible_4310")) as rig:
        text = refused(rig, Handy({"fingers": "no"}, yes=True, rig=rig), "linear_4310")
    assert "gripper closes where a linear_4310 opens" in text and "--gripper flexible_4310" in text


def test_a_motor_that_faults_is_let_go() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        text = refused(rig, driven(rig, lambda: setattr(rig.motor("gripper"), "nibble", 0xA)))
        assert rig.said()[-1] == ("gripper", "disable")
    assert text.startswith("ServoWrong: gripper: stopped while it was driven") and "over-current" in text


def test_a_motor_that_says_it_pushes_harder_is_let_go() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        scaled = driven(rig, lambda: rig.motor("gripper").registers.update(TMAX=2.0))
        text = refused(rig, scaled)
        assert rig.said()[-1] == ("gripper", "disable")
    assert text.startswith("ServoWrong: gripper: pushes harder than told")


def test_a_motor_that_falls_silent_is_left_to_its_watchdog() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        person = driven(rig, lambda: rig.fault("gripper", deaf=True))
        with pytest.raises(NoAnswer, match="gripper: while it was driven"):
            calibrate(rig.job(), person)
        assert "its own watchdog lets go after 1000 ms" in person.told[-1]
        rig.motor("gripper")._fed -= 1.1
        assert rig.nibbles()[6] == nibbles.COMMUNICATION_LOST


@pytest.mark.parametrize("stalled_s", [0.0, 0.2])
def test_one_lost_answer_is_no_silent_motor(stalled_s: float) -> None:
    """Nor where this program did not run for a while."""
    with YamRig(with_zeros(YAM)) as rig:

        def stall() -> None:
            rig.fault("gripper", drop=1)
            time.sleep(stalled_s)

        assert calibrate(rig.job(), driven(rig, stall)).calibration.gripper.name == CRANK


def test_a_bus_that_goes_away_is_named() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        cable = VirtualSlcan(rig.channels[0]).start()
        rig.ports[0] = f"slcan:{cable.path}"
        person = driven(rig, cable.stop)
        with pytest.raises(PortLost, match="is gone"):
            calibrate(rig.job(), person)
        assert "did not confirm that it is off" in person.told[-1]


def test_somebody_else_on_the_bus_is_refused() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        ended = threading.Event()

        def talk() -> None:
            with open_port(parse_port(rig.port, ("",))[0]) as bus:
                while not ended.wait(0.005):
                    frame = make_refresh(1)
                    bus.send(can.Message(arbitration_id=frame.id, data=frame.data, is_extended_id=False))

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            with pytest.raises(PortBusy, match="somebody else talks to joint_1"):
                calibrate(rig.job(), Handy(yes=True, rig=rig))
        finally:
            ended.set()
            thread.join()


# -- wanting out


def test_every_question_can_be_cancelled() -> None:
    """Walks them all: the answers so far, then out."""
    with YamRig(with_zeros(YAM, joint_2=TWENTY)) as rig:
        rig.motor("joint_1").nibble = nibbles.COMMUNICATION_LOST
        before, answered = rig.memory(), dict[str, str]()
        for key in ("release", "home", "zero.joint_2", "directions", "stroke", "fingers"):
            person = Handy({**answered, key: CANCEL}, rig=rig)
            with pytest.raises(Cancelled):
                calibrate(rig.job(), person)
            assert person.asked[-1] == key and rig.memory() == before
            assert nibbles.ENABLED not in rig.nibbles()
            if key != "release":
                rig.motor("joint_1").nibble = nibbles.COMMUNICATION_LOST
            answered[key] = {"zero.joint_2": "take", "directions": "skip"}.get(key, "yes")
        words = [word for _, word in rig.said()]
        assert words.count("enable") == 1 and words[-1] == "disable"  # only once "stroke" had its yes


def test_q_while_it_is_driven_lets_go() -> None:
    with YamRig(with_zeros(YAM)) as rig:
        person = Meddler(yes=True, rig=rig)
        person.at, person.happens = "driven", lambda: person.heard.append("quit")
        with pytest.raises(Cancelled):
            calibrate(rig.job(), person)
        assert rig.said() == [("gripper", "enable"), ("gripper", "disable")]
        assert rig.nibbles()[6] == nibbles.DISABLED


# -- two arms


def test_two_arms_one_after_the_other() -> None:
    truth = with_zeros(BI_YAM, right_joint_2=TWENTY)
    with YamRig(truth, BI_YAM) as rig:
        person = Handy({"side": "yes"}, yes=True, rig=rig)
        found = calibrate(rig.job(), person)
        assert [word for word in rig.said() if word[1] == "enable"] == [
            ("left_gripper", "enable"),
            ("right_gripper", "enable"),
        ]
    assert person.asked == [
        *("side", "home", "directions", "home", "zero.right_joint_2", "directions"),
        *("stroke", "fingers", "stroke", "fingers"),
    ]
    rows = found.calibration.to_dict()["joints"]
    assert rows["right_joint_2"]["zero"] == pytest.approx(TWENTY, abs=0.01) and rows["left_joint_2"]["zero"] == 0.0
    assert found.details["sides"] == "checked by hand"


@pytest.mark.parametrize("key", ["side", "directions"])
def test_exchanged_buses_are_named(key: str) -> None:
    with YamRig(with_zeros(BI_YAM), BI_YAM) as rig:
        rig.ports.reverse()
        person = Handy({key: "yes"}, yes=True, rig=rig)
        person.moves = "left_joint_1"
        text = refused(rig, person)
        assert untouched(rig)
    assert "exchange the ports: --port left=...,right=..." in text or "the two buses are exchanged" in text
