"""A LeRobot file taken over on the bench: equal, different, refused, cancelled; nothing is written before the yes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calib import provenance as provenances
from calib.person import CANCEL, Scripted
from calib.sts import eeprom
from calib.sts.save import Where, save
from calib.sts.take_over import Take, take_over
from firmware_bridge.errors import CalibrationImplausible, CalibrationMismatch, EepromError
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.virtual_bench import Bench, Plant
from policy_spec.errors import Cancelled, UsageError
from tests.calib.arm_files import BLUE, GREEN, PROVENANCE, ROBOT, bus_to, files_in, hurry, registers_of, where_in

TAKEN = dataclasses.replace(PROVENANCE, mode="taken over", source="blue.json")
TAKE = Take(BLUE, TAKEN)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def where(tmp_path: Path) -> Where:
    return where_in(tmp_path)


@contextmanager
def arm(plant: Plant) -> Iterator[tuple[Bench, Bus]]:
    with Bench(ROBOT, plant) as bench:
        bus = bus_to(bench.path)
        try:
            yield bench, bus
        finally:
            bus.close()


def held(bench: Bench) -> dict[str, dict[str, int]]:
    return {joint: {name: bench.stored(joint)[name] for name in eeprom.CALIBRATED} for joint in ROBOT.joints}


def test_an_arm_calibrated_by_lerobot_needs_files_only(where: Where) -> None:
    with arm(Plant(calibration=BLUE)) as (bench, bus):
        before = bench.memory()
        person = Scripted()
        said = take_over(person, bus, ROBOT, TAKE, where)
        assert bench.memory() == before and not bench.bus.journal
        assert person.asked == []
    assert "the servos hold the file's numbers already" in person.told
    assert str(where.calibration) in said[0] and where.provenance.is_file() and where.lerobot[0].is_file()
    known = provenances.load(where.provenance)
    assert known is not None and (known.mode, known.source, known.model) == ("taken over", "blue.json", "777")


def test_another_arms_file_is_shown_asked_and_written(where: Where) -> None:
    with arm(Plant(calibration=GREEN)) as (bench, bus):
        person = Scripted({"from.write": "yes"})
        take_over(person, bus, ROBOT, TAKE, where)
        assert held(bench) == registers_of(BLUE)
    said = "\n".join(person.told)
    assert "shoulder_pan: Homing_Offset -2047 -> 1554" in said and "only some joints differ" in said
    assert person.asked == ["from.write"]


def test_a_factory_new_arm_is_told_what_it_means(where: Where) -> None:
    with arm(Plant()) as (_, bus):
        person = Scripted({"from.write": "no"})
        with pytest.raises(Cancelled):
            take_over(person, bus, ROBOT, dataclasses.replace(TAKE, mechanics=False), where)
    assert "never calibrated" in "\n".join(person.told)


@pytest.mark.parametrize("answer", ["no", CANCEL])
def test_without_a_yes_nothing_is_written(where: Where, tmp_path: Path, answer: str) -> None:
    with arm(Plant(calibration=GREEN)) as (bench, bus):
        before = bench.memory()
        with pytest.raises(Cancelled):
            take_over(Scripted({"from.write": answer}), bus, ROBOT, TAKE, where)
        assert bench.memory() == before
    assert files_in(tmp_path) == {}


def test_a_script_that_does_not_answer_writes_nothing(where: Where, tmp_path: Path) -> None:
    with arm(Plant(calibration=GREEN)) as (bench, bus):
        before = bench.memory()
        with pytest.raises(UsageError, match=r"from\.write"):
            take_over(Scripted(), bus, ROBOT, TAKE, where)
        assert bench.memory() == before
    assert files_in(tmp_path) == {}


def with_joint(name: str, **fields: int) -> Take:
    rows = tuple((joint, dataclasses.replace(row, **fields) if joint == name else row) for joint, row in BLUE.joints)
    return dataclasses.replace(TAKE, calibration=Calibration(rows, "other.json"))


REFUSED = [
    (with_joint("elbow_flex", range_min=1500, range_max=2500), CalibrationImplausible, "elbow_flex: range 1500"),
    (with_joint("gripper", drive_mode=1), CalibrationImplausible, "the wrong way round"),
    (with_joint("elbow_flex", id=9), CalibrationMismatch, "got: elbow_flex 9"),
    # another robot's file: its elbow's zero is half a turn away, so this arm would stand outside its own range
    (with_joint("elbow_flex", homing_offset=-871), CalibrationImplausible, r"elbow_flex: stands at .* outside its"),
]


@pytest.mark.parametrize(("take", "error", "words"), REFUSED)
def test_a_file_that_cannot_be_this_arms_is_refused(
    where: Where, tmp_path: Path, take: Take, error: type[Exception], words: str
) -> None:
    with arm(Plant(calibration=BLUE)) as (bench, bus):
        before = bench.memory()
        person = Scripted(yes=True)
        with pytest.raises(error, match=words):
            take_over(person, bus, ROBOT, take, where)
        assert bench.memory() == before
        assert person.asked == []
    assert files_in(tmp_path) == {}


def test_a_holding_arm_is_let_go_first_or_left_alone(where: Where) -> None:
    with arm(Plant(calibration=GREEN)) as (bench, bus):
        before = bench.memory()
        bus.write(3, "Torque_Enable", 1)
        with pytest.raises(Cancelled):
            take_over(Scripted({"release": "no"}), bus, ROBOT, TAKE, where)
        assert bench.memory() == before
        assert bus.read(3, "Torque_Enable") == 1


def test_what_broke_off_before_is_undone_first(where: Where) -> None:
    with arm(Plant(calibration=GREEN)) as (bench, bus):
        bench.after_writes(3, lambda: bench.lose("shoulder_pan"))
        with pytest.raises(EepromError):
            save(bus, ROBOT, BLUE, TAKEN, where)
        bench.lose("shoulder_pan", lost=False)
        person = Scripted({"from.write": "yes"})
        take_over(person, bus, ROBOT, TAKE, where)
        assert held(bench) == registers_of(BLUE)
    assert "was undone" in person.told[0]
