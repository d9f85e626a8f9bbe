"""File, servo memory and mechanics compared on the bench: what agrees passes, each planted difference is named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from calib.sts import eeprom
from calib.sts.compare import Comparison, Files, compare, look
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.registers import MULTI_TURN_BIT
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.calib.arm_files import BLUE, GREEN, PROVENANCE, ROBOT, bus_to, hurry, registers_of

FINGERPRINT = eeprom.fingerprint({name: (BLUE[name].id, row) for name, row in registers_of(BLUE).items()})
SIDE = dataclasses.replace(PROVENANCE, eeprom=FINGERPRINT)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@contextmanager
def arm(plant: Plant) -> Iterator[Bench]:
    with Bench(ROBOT, plant) as bench:
        yield bench


def compared(bench: Bench, files: Files | None = None, *, mechanics: bool = True) -> Comparison:
    files = files or Files(BLUE, SIDE)
    bus = bus_to(bench.path)
    try:
        return compare(ROBOT, files, look(bus, files.calibration), mechanics=mechanics)
    finally:
        bus.close()


def problems(result: Comparison) -> dict[str, tuple[str, ...]]:
    return {row.joint: row.problems for row in result.rows if row.problems}


def test_an_arm_that_agrees() -> None:
    with arm(Plant(calibration=BLUE)) as bench:
        before = bench.memory()
        result = compared(bench)
        assert result.ok and problems(result) == {} and result.problems == ()
        assert bench.memory() == before and not bench.bus.journal
    assert "calibrated 2026-01-02T03:04:05+00:00, pose" in result.notes[0]
    assert json.loads(json.dumps(result.data()))["joints"]["gripper"]["registers"]["Homing_Offset"] == {
        "file": 1420,
        "servo": 1420,
    }


def test_another_arms_memory_is_shown_register_by_register() -> None:
    with arm(Plant(calibration=GREEN)) as bench:
        result = compared(bench)
    assert problems(result)["shoulder_pan"] == (
        "Homing_Offset: file 1554, servo -2047",
        "Min_Position_Limit: file 864, servo 700",
        "Max_Position_Limit: file 3399, servo 3300",
    )
    assert "wrist_roll" not in problems(result)
    assert "shoulder_pan, elbow_flex differ: a servo was exchanged" in result.problems[0]


def test_a_factory_new_arm_is_another_arm_altogether() -> None:
    with arm(Plant(horns={"gripper": 4})) as bench:
        result = compared(bench)
    assert not result.ok and "every joint differs" in result.problems[0]


def test_a_silent_servo_is_a_row_of_its_own() -> None:
    with arm(Plant(calibration=BLUE)) as bench:
        bench.lose("wrist_flex")
        result = compared(bench)
    assert problems(result) == {"wrist_flex": ("does not answer",)}
    assert result.problems == ("no answer from wrist_flex: check power and cables",)
    assert result.rows[3].position is None


PLANTED = [
    (Plant(calibration=BLUE, eeprom={"gripper": {"Operating_Mode": 3}}), "gripper", "Operating_Mode 3, expected 0"),
    (
        Plant(calibration=BLUE, eeprom={"elbow_flex": {"Phase": 12 | MULTI_TURN_BIT}}),
        "elbow_flex",
        "counts on beyond a turn",
    ),
    (Plant(calibration=BLUE, eeprom={"elbow_flex": {"Model_Number": 2825}}), "elbow_flex", "model 2825, expected 777"),
    (
        Plant(calibration=BLUE, horns={"elbow_flex": 30}, pose={"elbow_flex": 90}),
        "elbow_flex",
        "degrees outside its range",
    ),
]


@pytest.mark.parametrize(("plant", "joint", "words"), PLANTED)
def test_a_planted_difference_is_named(plant: Plant, joint: str, words: str) -> None:
    with arm(plant) as bench:
        found = problems(compared(bench))
    assert list(found) == [joint]
    assert words in "; ".join(found[joint])


def test_servos_of_different_firmware_are_noted() -> None:
    with arm(Plant(calibration=BLUE, eeprom={"elbow_flex": {"Firmware_Minor_Version": 9}})) as bench:
        result = compared(bench)
    assert result.ok and "different firmware (3.6, 3.9)" in result.notes[-1]


def test_ranges_that_no_arm_has_and_the_switch_for_a_modified_one() -> None:
    rows = tuple(
        (name, dataclasses.replace(row, range_min=1500, range_max=2500) if name == "elbow_flex" else row)
        for name, row in BLUE.joints
    )
    short = Calibration(rows, "short.json")
    with arm(Plant(calibration=short)) as bench:
        assert "swept too little" in problems(compared(bench, Files(short)))["elbow_flex"][0]
        assert compared(bench, Files(short), mechanics=False).ok


def test_a_side_file_of_other_numbers_is_found() -> None:
    with arm(Plant(calibration=BLUE)) as bench:
        result = compared(bench, Files(BLUE, dataclasses.replace(SIDE, eeprom="000000000000")))
    assert not result.ok
    assert f"it says 000000000000 of 2026-01-02T03:04:05+00:00 (pose), the servos hold {FINGERPRINT}" in str(
        result.problems
    )


def test_a_spoilt_side_file_and_none_are_notes_only() -> None:
    with arm(Plant(calibration=BLUE)) as bench:
        spoilt = compared(bench, Files(BLUE, None, "the side file is spoilt"))
        none = compared(bench, Files(BLUE))
    assert spoilt.ok and spoilt.notes == ("the side file is spoilt",)
    assert none.ok and "no side file" in none.notes[0]


def test_lerobots_copy_that_disagrees_is_a_problem() -> None:
    with arm(Plant(calibration=BLUE)) as bench:
        result = compared(bench, Files(BLUE, SIDE, lerobot=("x.json: elbow_flex id: 3, there 4",)))
    assert result.problems == ("LeRobot's copy disagrees: x.json: elbow_flex id: 3, there 4",)
