"""New motors get their ids, on virtual servos behind a real pseudo-terminal, with hands that plug them in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calib.person import CANCEL, LiveView, Question, Scripted
from calib.setup.any_baud import USUAL, AnyBaud
from calib.setup.assign import assign
from calib.setup.chain import chain_of, silent_text, working_order
from calib.setup.flow import Plan, Result, run
from calib.setup.progress import FOUND, UNCHECKED, VERIFIED, WRITTEN, Progress
from calib.setup.servos import Found, find_servos
from firmware_bridge.errors import (
    EepromError,
    NoAnswer,
    PortError,
    PortLost,
    ServoDuplicate,
    ServoMissing,
    ServoWrong,
)
from firmware_bridge.robots import find
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.virtual_bench import Bench, Plant
from firmware_bridge.sts.virtual_servo import ODD_BAUDS
from policy_spec.errors import Cancelled, UsageError

SO101 = find("so101")
JOINTS = SO101.joints
IDS = dict(zip(JOINTS, range(1, 7), strict=True))
NEW = dict.fromkeys(JOINTS, 1)  # out of the bag
POSE = {joint: 3.0 * number for number, joint in enumerate(JOINTS, 1)}  # no two shafts alike


class Hands(Scripted):
    """Does with the bench what it is asked to, then answers."""

    def __init__(self, bench: Bench, **answers: str) -> None:
        super().__init__({key.replace("__", "."): value for key, value in answers.items()}, yes=True)
        self.bench = bench
        self.instead: dict[str, Callable[[], None]] = {}  # key -> what they do there

    def ask(self, question: Question) -> str:
        kind, _, joint = question.key.partition(".")
        if question.key in self.instead:
            self.instead[question.key]()
        elif kind == "motor" and "." not in joint:
            self.bench.attach(joint)
        elif kind == "cycle":
            self.bench.attach()
            self.bench.attach(joint)
        elif kind == "chain":
            self.bench.attach(*JOINTS)
        return super().ask(question)


@contextmanager
def bench(**plant: object) -> Iterator[Bench]:
    with Bench(SO101, Plant(**{"ids": NEW, "pose": POSE, **plant})) as made:  # type: ignore[arg-type]
        made.attach()
        yield made


def setup(hands: Hands, path: Path, **plan: object) -> Result:
    with AnyBaud(hands.bench.path, (USUAL, 115_200)) as port:  # silence takes its time at each
        return run(hands, port, Plan(SO101, **{"wait_s": 1.0, **plan}), Progress.load(path, "so101"))  # type: ignore[arg-type]


def ids(made: Bench) -> dict[str, int]:
    return {joint: made.stored(joint)["ID"] for joint in JOINTS}


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


# -- memory that fails, power that goes, people who leave


def test_a_locked_memory(path: Path) -> None:
    with bench(locked=("gripper",)) as made:
        before = made.memory()
        with pytest.raises(EepromError, match=r"memory stays locked.*it has id 1 at 1000000"):
            setup(Hands(made), path, only="gripper", wait_s=0.0)
        assert made.memory() == before
    assert not Progress.load(path, "so101").joints["gripper"].settled  # written down as begun


def test_a_memory_that_forgets(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything reads back as written, and is gone with the power."""
    monkeypatch.setattr("calib.setup.cycle.LOST_S", 0.2)
    with bench() as made:
        servo = made.servo("gripper")
        hands = Hands(made)

        def forgetful() -> None:
            servo.eeprom[5] = 1
            made.attach()
            made.attach("gripper")

        hands.instead["cycle.gripper"] = forgetful
        with pytest.raises(EepromError, match=r"forgot.*expected: id 6.*got: servo id 1"):
            setup(hands, path, only="gripper", wait_s=20.0)
        assert not Progress.load(path, "so101").joints["gripper"].settled


@pytest.mark.parametrize("count", range(1, 5))
def test_power_is_lost_after_each_write(path: Path, count: int) -> None:
    """The motor restarts between two writes: it is unlocked and written again, or found again by the next run."""
    with bench(eeprom={"gripper": {"Baud_Rate": 4, "Return_Delay_Time": 250}}) as made:
        made.after_writes(count, made.power_cycle)
        setup(Hands(made, chain="skip"), path, only="gripper", cycle=False)
        stored = made.stored("gripper")
        assert (stored["ID"], stored["Baud_Rate"], stored["Return_Delay_Time"]) == (6, 0, 0)
        assert made.servo("gripper").get("Lock") == 1


@pytest.mark.parametrize("count", [3])  # status level, delay, ID; then its baud rate would come
def test_a_motor_is_lost_after_each_write_and_found_by_the_next_run(path: Path, count: int) -> None:
    with bench(eeprom={"gripper": {"Baud_Rate": 4}}) as made:
        made.after_writes(count, lambda: made.lose("gripper"))
        with pytest.raises(EepromError, match="it does not answer now; it has id 1 or 6"):
            setup(Hands(made), path, only="gripper", wait_s=0.0)
        made.lose("gripper", False)
        made.power_cycle()
        with AnyBaud(made.path) as port:
            (left,) = find_servos(port).servos
        assert left.id in (1, 6) and left.baud in (115_200, USUAL)
        result = setup(Hands(made, chain="skip"), path, only="gripper")
        assert (made.stored("gripper")["ID"], made.stored("gripper")["Baud_Rate"]) == (6, 0)
        assert result.joints["gripper"].how == VERIFIED  # begun before: checked although it was set already


def test_no_power_off_is_no_proof(path: Path) -> None:
    with bench() as made:
        hands = Hands(made, chain="skip")
        hands.instead["cycle.gripper"] = lambda: None
        with pytest.raises(NoAnswer, match=r"not seen without power.*--no-cycle"):
            setup(hands, path, only="gripper", wait_s=0.3)
        assert Progress.load(path, "so101").joints["gripper"].how == WRITTEN
        result = setup(Hands(made, chain="skip", cycle__gripper="skip"), path, only="gripper")
        assert result.joints["gripper"].how == UNCHECKED


def test_power_off_is_seen_while_it_happens(path: Path) -> None:
    """Without the number in SRAM, which a firmware may keep: silence, then an answer."""
    with bench() as made:
        servo = made.servo("gripper")
        hands = Hands(made, chain="skip")
        hands.instead["cycle.gripper"] = lambda: None
        shown = iter(range(1000))

        def show(view: LiveView) -> None:
            number = next(shown)
            if number == 2:
                made.attach()
            if "waiting for it" in view.message and not servo.plugged:
                made.attach("gripper")
                servo.write(41, bytes((254,)))

        hands.show = show  # type: ignore[method-assign]
        result = setup(hands, path, only="gripper", wait_s=20.0)
        assert result.joints["gripper"].how == VERIFIED


def test_the_adapter_loses_its_power_too(path: Path, tmp_path: Path) -> None:
    with Bench(SO101, Plant(ids=NEW, pose=POSE), link=str(tmp_path / "ttyACM0")) as made:
        hands = Hands(made, chain="skip")

        def pulled() -> None:
            made.port.unplug()
            made.attach()
            made.attach("gripper")

        hands.instead["cycle.gripper"] = pulled
        looks = iter(range(1000))
        hands.show = lambda view: made.port.replug() if next(looks) == 1 else None  # type: ignore[method-assign]
        assert setup(hands, path, only="gripper", wait_s=20.0).joints["gripper"].how == VERIFIED


def test_cancel_at_every_prompt(path: Path) -> None:
    """What was done stays done, the motor at hand is old or new, and the next run goes on there."""
    prompts = [f"{kind}.{joint}" for joint in reversed(JOINTS) for kind in ("motor", "cycle")] + ["chain"]
    with bench(eeprom={"shoulder_pan": {"Return_Delay_Time": 250}}) as made:  # else it is set out of the bag
        for at, key in enumerate(prompts):
            hands = Hands(made, **{key.replace(".", "__"): CANCEL})
            with pytest.raises(Cancelled):
                setup(hands, path, wait_s=20.0)
            assert hands.asked[-1] == key
            assert set(ids(made).values()) <= set(range(1, 7))
            assert all(servo.get("Lock") == 1 for servo in made.bus.servos)
            written = {joint for joint in JOINTS if prompts.index(f"cycle.{joint}") <= at} - {"shoulder_pan"}
            assert {joint for joint, number in ids(made).items() if number != 1} == written
        assert setup(Hands(made), path).seen == (1, 2, 3, 4, 5, 6)


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
