"""New motors get their ids, on virtual servos behind a real pseudo-terminal, with hands that plug them in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calib.setup.any_baud import USUAL, AnyBaud
from calib.setup.assign import assign
from calib.setup.chain import chain_of, silent_text, working_order
from calib.setup.progress import FOUND, VERIFIED, Progress
from calib.setup.servos import Found, find_servos
from firmware_bridge.errors import (
    NoAnswer,
    PortError,
    PortLost,
    ServoDuplicate,
    ServoMissing,
    ServoWrong,
)
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.virtual_bench import Bench
from firmware_bridge.sts.virtual_servo import ODD_BAUDS
from policy_spec.errors import UsageError
from tests.calib.setup_bench import IDS, JOINTS, NEW, SO101, Hands, bench, ids, setup


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "setup" / "blue.json"


def test_a_bag_of_new_motors(path: Path) -> None:
    with bench(eeprom={joint: {"Return_Delay_Time": 250} for joint in JOINTS}) as made:
        hands = Hands(made)
        result = setup(hands, path)
        assert ids(made) == IDS
        for joint in JOINTS:
            stored = made.stored(joint)
            assert (stored["Baud_Rate"], stored["Return_Delay_Time"], stored["Response_Status_Level"]) == (0, 0, 1)
            assert made.servo(joint).get("Lock") == 1
    assert [key for key in hands.asked if key.startswith("motor")] == [f"motor.{joint}" for joint in reversed(JOINTS)]
    assert {joint: done.how for joint, done in result.joints.items()} == dict.fromkeys(JOINTS, VERIFIED)
    assert result.seen == (1, 2, 3, 4, 5, 6) and hands.asked[-1] == "chain"
    assert json.loads(path.read_text())["complete"] is True


# -- one motor


@pytest.mark.parametrize(
    ("eeprom", "renamed_at_once"),
    [
        ({}, False),
        ({}, True),
        ({"Baud_Rate": 4}, True),
        ({"Response_Status_Level": 0}, False),
    ],
)
def test_one_motor_whatever_it_was_set_to(path: Path, eeprom: dict[str, int], renamed_at_once: bool) -> None:
    with bench(eeprom={"elbow_flex": eeprom}) as made:
        made.servo("elbow_flex").renamed_at_once = renamed_at_once
        before = made.memory()
        hands = Hands(made, chain="skip")
        result = setup(hands, path, only="elbow_flex")
        stored = made.stored("elbow_flex")
        assert (stored["ID"], stored["Baud_Rate"], stored["Response_Status_Level"]) == (3, 0, 1)
        size = len(before) // len(JOINTS)
        changed = [i for i, (a, b) in enumerate(zip(before, made.memory(), strict=True)) if a != b]
        assert {i // size for i in changed} == {2}  # nobody else's memory
    assert result.written == ("elbow_flex",) and result.seen is None
    assert result.joints["elbow_flex"].how == VERIFIED


@pytest.mark.parametrize(("tables", "code"), [("vendor", 5), ("vendor", 7), ("lerobot", 5), ("lerobot", 7)])
def test_a_baud_rate_that_tables_disagree_about(code: int, tables: str) -> None:
    with bench(eeprom={"gripper": {"Baud_Rate": code}}) as made:
        made.servo("gripper").bauds = ODD_BAUDS[tables]
        made.attach("gripper")
        with AnyBaud(made.path) as port:
            (servo,) = find_servos(port).servos
            assert servo.baud == ODD_BAUDS[tables][code] and str(servo.baud) in str(servo)
            assert assign(port, servo, 6).baud == USUAL
        assert (made.stored("gripper")["ID"], made.stored("gripper")["Baud_Rate"]) == (6, 0)


def test_no_motor_answers(path: Path) -> None:
    with bench() as made:
        hands = Hands(made)
        hands.instead["motor.gripper"] = lambda: None
        with pytest.raises(NoAnswer, match=r"no motor answers at any baud rate.*power supply"):
            setup(hands, path, only="gripper", wait_s=0.0)
    assert "no motor answers" in hands.views[-1].message


def test_a_motor_of_another_kind_is_named_and_left_alone(path: Path) -> None:
    with bench(eeprom={"gripper": {"Model_Number": 2825}}) as made:
        before = made.memory()
        with pytest.raises(ServoWrong, match=r"another kind of motor.*STS3215 \(777\).*STS3250 \(2825\)"):
            setup(Hands(made), path, only="gripper", wait_s=0.0)
        assert made.memory() == before
    assert Progress.load(path, "so101").joints == {}


@pytest.mark.parametrize("eeprom", [{}, {"gripper": {"ID": 9}}, {"gripper": {"Baud_Rate": 4}}])
def test_two_motors_at_once(path: Path, eeprom: dict[str, dict[str, int]]) -> None:
    """With one id, with two, and at two baud rates; one of them taken away, it goes on."""
    with bench(eeprom=eeprom, ids={**NEW, **{k: v["ID"] for k, v in eeprom.items() if "ID" in v}}) as made:
        before = made.memory()
        hands = Hands(made)
        hands.instead["motor.gripper"] = lambda: made.attach("gripper", "wrist_roll")
        with pytest.raises(ServoDuplicate, match=r"more than one servo|2 motors answer.*disconnect the others"):
            setup(hands, path, only="gripper", wait_s=0.0)
        assert made.memory() == before


def test_the_second_motor_is_taken_away(path: Path) -> None:
    with bench() as made:
        hands = Hands(made, chain="skip")
        hands.instead["motor.gripper"] = lambda: made.attach("gripper", "wrist_roll")
        looks = iter(range(100))
        hands.show = lambda view: made.attach("gripper") if next(looks) == 0 else None  # type: ignore[method-assign]
        setup(hands, path, only="gripper", wait_s=20.0)
        assert (made.stored("gripper")["ID"], made.stored("wrist_roll")["ID"]) == (6, 1)


def test_the_last_motor_is_still_connected(path: Path) -> None:
    with bench() as made:
        hands = Hands(made)
        hands.instead["motor.wrist_roll"] = lambda: None
        with pytest.raises(ServoWrong, match="this is the gripper motor"):
            setup(hands, path, wait_s=0.4)
        assert ids(made) == {**NEW, "gripper": 6}
        again = Hands(made, chain="skip")
        result = setup(again, path, cycle=False)
        assert "motor.gripper" not in again.asked and again.asked[0] == "motor.wrist_roll"
        assert ids(made) == IDS
        assert result.seen is None and result.joints["gripper"].how == VERIFIED


def test_a_motor_with_another_joints_id_is_asked_about(path: Path) -> None:
    with bench(ids={**NEW, "gripper": 3}) as made:
        with pytest.raises(ServoWrong, match="not to become gripper"):
            setup(Hands(made), path, only="gripper", wait_s=0.0)
        assert made.stored("gripper")["ID"] == 3
        hands = Hands(made, motor__gripper__other="yes", chain="skip")
        setup(hands, path, only="gripper", cycle=False)
        assert made.stored("gripper")["ID"] == 6


def test_a_motor_that_is_set_is_left_as_it_is(path: Path) -> None:
    with bench(ids={**NEW, "gripper": 6}) as made:
        before = made.memory()
        hands = Hands(made, chain="skip")
        result = setup(hands, path, only="gripper")
        assert made.memory() == before and result.written == () and "cycle.gripper" not in hands.asked
    assert result.joints["gripper"].how == FOUND and any("is set already" in line for line in hands.told)


@pytest.mark.parametrize("delay", [0, 250])
def test_an_arm_that_is_set_needs_nobody(path: Path, delay: int) -> None:
    with bench(ids=IDS, eeprom={"elbow_flex": {"Return_Delay_Time": delay}}) as made:
        made.attach(*JOINTS)
        before = made.memory()
        hands = Hands(made)
        result = setup(hands, path)
        assert hands.asked == [] and result.seen == (1, 2, 3, 4, 5, 6)
        assert (made.memory() == before) == (delay == 0)
        assert result.written == (("elbow_flex",) if delay else ()) and ids(made) == IDS
        assert made.stored("elbow_flex")["Return_Delay_Time"] == 0


def test_an_adapter_that_echoes(path: Path) -> None:
    with bench(eeprom={"gripper": {"Baud_Rate": 4}}) as made:
        made.bus.echo = True
        assert setup(Hands(made, chain="skip"), path, only="gripper").joints["gripper"].how == VERIFIED
        assert (made.stored("gripper")["ID"], made.stored("gripper")["Baud_Rate"]) == (6, 0)


def test_an_adapter_that_cannot_do_every_rate(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = SerialLine.set_baud

    def slow(self: SerialLine, baud: int) -> None:
        if baud == 115_200:
            raise PortError("cannot do it")
        real(self, baud)

    monkeypatch.setattr(SerialLine, "set_baud", slow)
    with bench(eeprom={"gripper": {"Baud_Rate": 4}}) as made:
        made.attach("gripper")
        with AnyBaud(made.path, (USUAL, 115_200)) as port:
            assert find_servos(port) == Found((), mute=(115_200,))
        with pytest.raises(NoAnswer, match="except at 115200, which this adapter cannot do"):
            setup(Hands(made), path, only="gripper", wait_s=0.0)


def test_a_port_that_goes_while_its_speed_changes(tmp_path: Path) -> None:
    with Bench(SO101, link=str(tmp_path / "ttyACM0")) as made, AnyBaud(made.path) as port:
        port.bus()
        made.port.unplug()
        with pytest.raises(PortLost, match="went away"):
            port.bus(115_200)


# -- all together, and what is remembered


def test_the_first_missing_motor_is_named(path: Path) -> None:
    with bench(ids=IDS) as made:
        hands = Hands(made)
        hands.instead["chain"] = lambda: made.attach(*JOINTS[:3])
        with pytest.raises(ServoMissing, match=r"first silent one is wrist_flex \(4\).*between elbow_flex \(3\) and"):
            setup(hands, path, only="gripper", wait_s=0.0)
        hands.instead["chain"] = lambda: made.attach(*(joint for joint in JOINTS if joint != "elbow_flex"))
        with pytest.raises(ServoMissing, match="plug of elbow_flex itself, or its id"):
            setup(hands, path, only="gripper", wait_s=0.0)


def test_two_motors_with_one_id_are_found_at_the_end(path: Path) -> None:
    doubled = {**IDS, "shoulder_pan": 2}
    with bench(ids=doubled) as made, pytest.raises(ServoDuplicate, match="more than one servo answers to id 2"):
        setup(Hands(made), path, only="gripper", wait_s=0.0)


def test_words_for_what_is_missing() -> None:
    chain = chain_of(JOINTS, range(1, 7))
    assert next(link.joint for link in working_order(chain)) == "gripper"
    assert silent_text(chain, range(1, 7)) == ("", "")
    assert "power supply" in silent_text(chain, ())[1]
    what, likely = silent_text(chain, (1, 2, 3, 4, 5))
    assert "gripper (6)" in what and "between wrist_roll (5) and gripper (6)" in likely and "--only gripper" in likely
    assert "between the board" not in silent_text(chain, (2,))[1]  # the far end answers: not that cable
    what, likely = silent_text(chain, (1, 4))
    assert "first silent one is shoulder_lift (2)" in what and "shoulder_lift, elbow_flex" in likely


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"format": "other", "version": 1}', '{"format": "armside-motor-setup", "version": 2}'],
)
def test_a_progress_file_that_cannot_be_used(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UsageError, match="--restart"):
        Progress.load(path, "so101")


def test_a_progress_file_of_another_arm(path: Path) -> None:
    Progress(path, "so100").save()
    assert Progress.load(path, "so100").joints == {}
    with pytest.raises(UsageError, match="of a so100, not of a so101"):
        Progress.load(path, "so101")
