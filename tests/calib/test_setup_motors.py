"""New motors get their ids, on virtual servos behind a real pseudo-terminal, with hands that plug them in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calib.person import CANCEL, Question, Scripted
from calib.setup.any_baud import USUAL, AnyBaud
from calib.setup.assign import assign
from calib.setup.chain import chain_of, silent_text, working_order
from calib.setup.flow import Plan, Result, run
from calib.setup.progress import FOUND, UNCHECKED, VERIFIED, WRITTEN, Progress
from calib.setup.servos import find_servos
from firmware_bridge.errors import EepromError, NoAnswer, ServoDuplicate, ServoMissing, ServoWrong
from firmware_bridge.robots import find
from firmware_bridge.sts.virtual_bench import Bench, Plant
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
    with AnyBaud(hands.bench.path) as port:
        return run(hands, port, Plan(SO101, **{"wait_s": 1.0, **plan}), Progress.load(path, "so101"))  # type: ignore[arg-type]


def ids(made: Bench) -> dict[str, int]:
    return {joint: made.stored(joint)["ID"] for joint in JOINTS}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "setup" / "blue.json"


def test_a_bag_of_new_motors(path: Path) -> None:
    with bench(eeprom=dict.fromkeys(JOINTS, {"Return_Delay_Time": 250})) as made:
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
