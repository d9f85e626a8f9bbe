"""Cancelled at every prompt and at every live step, in every mode: servo memory and files stay byte for byte."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from calib.person import AGAIN, CANCEL
from calib.sts.zero import MODES, POSE
from firmware_bridge.sts.travel import TRAVEL
from firmware_bridge.sts.virtual_bench import Bench, Plant
from policy_spec.errors import Cancelled
from tests.calib.hands import Moves
from tests.calib.on_bench import LIMITED, Table, table, to_pose

OLD = b'{"an old": "calibration"}'


@dataclasses.dataclass
class Troubled:
    """An arm that holds, a hand at the wrong joint, a joint swept too little: every question is asked once."""

    wrong: list[Moves] = dataclasses.field(default_factory=lambda: [[{"wrist_flex": 30.0}], [{"elbow_flex": -25.0}]])
    asked: list[str] = dataclasses.field(default_factory=list)  # questions so far

    def guide(self, bench: Bench) -> Moves:
        return self.wrong.pop(0)

    def sweep(self, bench: Bench) -> Moves:
        low, high = ({name: getattr(TRAVEL[name], end) for name in LIMITED} for end in ("lower", "upper"))
        part = 1.0 if "sweep.refused" in self.asked else 0.5
        high["elbow_flex"] = low["elbow_flex"] + part * TRAVEL["elbow_flex"].width
        return [low, high]


def run(folder: Path, mode: str, troubled: bool, before: Callable[[Table], None]) -> Table:
    """A whole run; `before` it may prepare. Raises Cancelled when anything has changed, too."""
    folder.mkdir()
    (folder / "blue.json").write_bytes(OLD)
    trouble = Troubled()
    does = {"which motor is which: elbow_flex": trouble.guide, "from stop to stop": trouble.sweep} if troubled else {}
    answers = {"sweep.refused": AGAIN, "guide.elbow_flex": AGAIN} if troubled else {}
    plant = Plant(pose=dict(POSE), eeprom={"elbow_flex": {"Homing_Offset": 1900}})
    with table(folder, plant, mode, does=does, answers=answers, moves_on_ask={"pose": to_pose}) as arm:
        trouble.asked = arm.person.asked
        if troubled:
            arm.person.press_when("from stop to stop", lambda: arm.person.done_but("elbow_flex"))
            arm.bus.write(2, "Torque_Enable", 1)
        before(arm)
        memory = arm.bench.memory()
        try:
            arm.run()
        except Cancelled:
            assert arm.bench.memory() == memory
            assert arm.files == ["blue.json"] and (folder / "blue.json").read_bytes() == OLD
            raise
        assert arm.bench.memory() != memory  # the control: a run that is not cancelled does change it
        assert (folder / "blue.json").read_bytes() != OLD
        return arm


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calib.sts.servos.RELEASE_S", 0.1)


@pytest.mark.parametrize("mode", sorted(MODES))
def test_cancelled_at_every_prompt(mode: str, tmp_path: Path) -> None:
    troubled = mode == "mechanical"
    asked = run(tmp_path / "whole", mode, troubled, lambda arm: None).person.asked
    assert len(asked) >= (6 if troubled else 2)
    walked = 0
    for index, key in enumerate(asked):
        earlier = asked[:index].count(key)

        def cancel(arm: Table, key: str = key, earlier: int = earlier) -> None:
            answer = arm.person.answers.get(key, "yes")
            assert isinstance(answer, str)
            arm.person.answers = {**arm.person.answers, key: [answer] * earlier + [CANCEL]}

        with pytest.raises(Cancelled):
            run(tmp_path / f"{index}", mode, troubled, cancel)
        walked += 1
    assert walked == len(asked)


@pytest.mark.parametrize("key", ["pose", "drive"])  # then "write": as above; while it moves: test_drive.py
def test_cancelled_before_the_motors_start(key: str, tmp_path: Path) -> None:
    def cancel(arm: Table) -> None:
        arm.job = dataclasses.replace(arm.job, driven=True)
        arm.person.answers = {**arm.person.answers, key: CANCEL}

    with pytest.raises(Cancelled):
        run(tmp_path / key, "mechanical", False, cancel)


def test_cancelled_at_every_live_step(tmp_path: Path) -> None:
    titles = dict.fromkeys(
        view.title for view in run(tmp_path / "whole", "mechanical", False, lambda arm: None).person.views
    )
    assert len(titles) == 8  # six joints, the sweep, the gripper closed
    for index, title in enumerate(titles):

        def out(arm: Table, title: str = title) -> None:
            arm.person.at = title  # at its first view: on a busy machine a second one may never come
            arm.person.acts = lambda: arm.person.heard.append("quit")

        with pytest.raises(Cancelled):
            run(tmp_path / f"{index}", "mechanical", False, out)
