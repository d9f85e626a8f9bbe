"""Calibrating a virtual arm by hand, from let go to written: right whatever was planted, or refused with the cause."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from calib.person import AGAIN
from calib.sts import judge
from calib.sts.zero import POSE
from firmware_bridge.errors import CalibrationImplausible, NoAnswer, PortLost
from firmware_bridge.sts.travel import TRAVEL
from firmware_bridge.sts.virtual_bench import Bench, Plant
from policy_spec.errors import Cancelled
from tests.calib.hands import QUICK, Moves
from tests.calib.on_bench import LIMITED, right, table, to_pose

WORST = Plant(  # horns off by 30 and by 180 degrees, old offsets of any value, limits, readings beyond a turn
    horns={"shoulder_pan": 30.0, "shoulder_lift": 180.0, "elbow_flex": -178.0, "wrist_roll": 90.0, "gripper": 120.0},
    pose={"gripper": 0.0},
    eeprom={
        "shoulder_pan": {"Homing_Offset": 2047, "Phase": 28},
        "shoulder_lift": {"Homing_Offset": -2047},
        "elbow_flex": {"Homing_Offset": 1023, "Min_Position_Limit": 2000, "Max_Position_Limit": 2100},
        "wrist_flex": {"Homing_Offset": -777, "Phase": 28, "Min_Position_Limit": 0, "Max_Position_Limit": 0},
    },
)


@pytest.mark.parametrize("plant", [Plant(pose={"gripper": 0.0}), WORST], ids=["factory-fresh", "worst"])
def test_calibration_comes_out_right(plant: Plant, tmp_path: Path) -> None:
    with table(tmp_path, plant) as arm:
        right(arm, arm.run())
        assert arm.person.asked == ["roll", "write"]
        assert "blue.json" in arm.files and "journal.json" not in arm.files


@pytest.mark.parametrize("mode", ["half-turn", "pose"])
def test_modes_with_a_pose(mode: str, tmp_path: Path) -> None:
    plant = Plant(horns={"shoulder_pan": 180.0, "wrist_flex": 30.0}, pose={**POSE})
    with table(tmp_path, plant, mode, moves_on_ask={"pose": to_pose}) as arm:
        outcome = arm.run()
        right(arm, outcome)
        assert arm.person.asked == ["pose", "write"]
        assert any("shoulder_pan: its horn sits half a turn off" in line for line in arm.person.told)
        if mode == "half-turn":  # LeRobot's rule: the pose reads 2047
            row = outcome.calibration["shoulder_lift"]
            assert row.middle == pytest.approx(2047, abs=2)


def test_an_arm_beside_its_pose_is_named(tmp_path: Path) -> None:
    off = 20.0

    def askew(bench: Bench) -> Moves:
        return [{**POSE, "shoulder_lift": off}]

    with table(tmp_path, Plant(), "pose", moves_on_ask={"pose": askew}, answers={"sweep.refused": "stop"}) as arm:
        before = arm.bench.memory()
        with pytest.raises(CalibrationImplausible, match=rf"shoulder_lift: the pose is {off:.0f} degrees above"):
            arm.run()
        assert arm.bench.memory() == before and arm.files == []


def test_a_joint_swept_too_little_is_swept_again(tmp_path: Path) -> None:
    def sweep(bench: Bench) -> Moves:
        part = 1.0 if "sweep.refused" in arm.person.asked else 0.6
        low, high = ({name: getattr(TRAVEL[name], end) for name in LIMITED} for end in ("lower", "upper"))
        high["elbow_flex"] = low["elbow_flex"] + part * TRAVEL["elbow_flex"].width
        return [low, high, {"gripper": 10.0}]

    with table(tmp_path, None, does={"from stop to stop": sweep}, answers={"sweep.refused": [AGAIN]}) as arm:
        arm.person.press_when("from stop to stop", lambda: arm.person.done_but("elbow_flex"))
        outcome = arm.run()
        right(arm, outcome)
        assert arm.person.asked == ["roll", "sweep.refused", "roll", "write"]
        assert any("elbow_flex: its way is 116 degrees" in line for line in arm.person.told)


def test_nobody_to_press_enter_and_a_joint_that_is_missing(tmp_path: Path) -> None:
    def sweep(bench: Bench) -> Moves:
        names = [name for name in LIMITED if name != "wrist_flex"]
        return [dict.fromkeys(names, -300.0), dict.fromkeys(names, 300.0)]

    with table(tmp_path, None, does={"from stop to stop": sweep}) as arm:
        arm.job = dataclasses.replace(arm.job, pace=dataclasses.replace(QUICK, patience_s=0.1))
        arm.person.leaves = lambda: arm.person.swept("wrist_flex", judge.SHORT)
        with pytest.raises(CalibrationImplausible, match="wrist_flex: its way is 0 degrees, expected 162 to 230"):
            arm.run()


def test_nobody_to_press_enter_and_a_joint_that_turns_too_far(tmp_path: Path) -> None:
    with table(tmp_path, Plant(stops={"elbow_flex": (-165.0, 165.0)}, pose={"gripper": 0.0})) as arm:
        arm.job = dataclasses.replace(arm.job, pace=dataclasses.replace(QUICK, patience_s=0.1))
        arm.person.leaves = lambda: arm.person.swept("elbow_flex", judge.WIDE)
        with pytest.raises(CalibrationImplausible, match=r"elbow_flex: its way is 330 degrees.*the horn"):
            arm.run()


def test_a_gripper_that_closes_at_its_high_end(tmp_path: Path) -> None:
    """Somebody who opens it when asked to close it, or a servo the other way round that the guide was lied to about."""
    with table(
        tmp_path, None, does={"closed": lambda bench: [{"gripper": 300.0}]}, answers={"sweep.refused": "stop"}
    ) as arm:
        arm.person.press_when("closed", lambda: bool(arm.bench.angle("gripper") > 100.0))
        with pytest.raises(CalibrationImplausible, match="open and closed would be exchanged"):
            arm.run()


def test_a_modified_arm_is_told_and_written(tmp_path: Path) -> None:
    plant = Plant(stops={"wrist_flex": (-40.0, 40.0)}, pose={"gripper": 0.0})
    with table(tmp_path, plant) as arm:
        arm.job = dataclasses.replace(arm.job, mechanics=False)
        arm.person.press_when("from stop to stop", lambda: arm.person.done_but("wrist_flex"))
        right(arm, arm.run())
        assert any("wrist_flex: its way is 80 degrees" in line for line in arm.person.told)


def test_of_a_modified_arm_every_joint_is_moved(tmp_path: Path) -> None:
    """A file without one of them would be refused by everybody who reads it."""
    still = "wrist_flex"

    def sweep(bench: Bench) -> Moves:
        names = [name for name in LIMITED if name != still]
        return [dict.fromkeys(names, -300.0), dict.fromkeys(names, 300.0)]

    with table(tmp_path, None, does={"from stop to stop": sweep}, answers={"sweep.refused": "stop"}) as arm:
        arm.job = dataclasses.replace(arm.job, mechanics=False)
        arm.person.press_when("from stop to stop", lambda: arm.person.done_but(still))
        before = arm.bench.memory()
        with pytest.raises(CalibrationImplausible, match=r"wrist_flex: its way is [0-3] degrees"):
            arm.run()
        assert arm.bench.memory() == before and arm.files == []


def test_a_servo_lost_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calib.sts.servos.LATE_S", 0.1)
    monkeypatch.setattr("calib.sts.servos.LOST_S", 0.6)
    with table(tmp_path) as arm:
        arm.person.at, arm.person.after, arm.person.acts = "from stop to stop", 3, lambda: arm.bench.lose("wrist_flex")
        before = arm.bench.memory()
        with pytest.raises(NoAnswer, match=r"wrist_flex \(servo 4\)") as lost:
            arm.run()
        assert "nothing was written" in str(lost.value)
        assert arm.bench.memory() == before and arm.files == []
        lost_rows = [row for view in arm.person.views for row in view.rows if row.state == "lost"]
        assert {row.name for row in lost_rows} == {"wrist_flex"}


def test_one_wrong_reading_widens_nothing(tmp_path: Path) -> None:
    with table(tmp_path) as arm:
        arm.person.at, arm.person.after = "from stop to stop", 20
        arm.person.acts = lambda: arm.bench.glitch("elbow_flex", 100)
        outcome = arm.run()
        right(arm, outcome)
        assert arm.bench.servo("elbow_flex").glitch is None  # it was read
        assert outcome.provenance.sweep["elbow_flex"].width_deg < TRAVEL["elbow_flex"].width + 1


def test_a_holding_arm_is_asked_for_and_let_go_softly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calib.sts.servos.RELEASE_S", 0.2)
    with table(tmp_path) as arm:
        servo = arm.bench.servo("shoulder_lift")
        for name, value in (("Goal_Position", 2048), ("Torque_Enable", 1)):
            arm.bus.write(2, name, value)
        right(arm, arm.run())
        assert arm.person.asked == ["release", "roll", "write"]
        limits = [row.data for row in arm.bench.bus.journal if row.address == 48 and row.servo == 2]
        assert len(limits) > 15 and servo.get("Torque_Limit") == 1000 and servo.get("Torque_Enable") == 0


def test_a_cable_that_is_pulled(tmp_path: Path) -> None:
    with table(tmp_path) as arm:
        arm.person.at, arm.person.after, arm.person.acts = "from stop to stop", 5, arm.bench.port.unplug
        before = arm.bench.memory()
        with pytest.raises(PortLost):
            arm.run()
        assert arm.bench.memory() == before and arm.files == []


def test_no_means_no(tmp_path: Path) -> None:
    with table(tmp_path, None, answers={"write": "no"}) as arm:
        before = arm.bench.memory()
        with pytest.raises(Cancelled, match="nothing was written"):
            arm.run()
        assert arm.bench.memory() == before and arm.files == []
