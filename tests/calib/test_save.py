"""Servos and files change as one: servos lost, folders refused, disks full, renames failing, power lost."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calib import provenance as provenances
from calib import store
from calib.sts import eeprom, save
from calib.sts.save import Where
from firmware_bridge.errors import CalibrationError, EepromError, NoAnswer
from firmware_bridge.sts import calibration as calibrations
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.calib.arm_files import (
    BLUE,
    GREEN,
    PROVENANCE,
    ROBOT,
    SHIPPED,
    bus_to,
    files_in,
    hurry,
    registers_of,
    where_in,
    write_file,
)

WRITES = len(eeprom.CHANGED) * len(ROBOT.joints)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@contextmanager
def arm(calibration: Calibration | None = SHIPPED, **plant: object) -> Iterator[tuple[Bench, Bus]]:
    with Bench(ROBOT, Plant(calibration=calibration, **plant)) as bench:  # type: ignore[arg-type]
        bus = bus_to(bench.path)
        try:
            yield bench, bus
        finally:
            bus.close()


def calibrated(folder: Path) -> Where:
    """An arm's files as SHIPPED left them."""
    where = where_in(folder)
    for path in (where.calibration, *where.lerobot):
        write_file(path, SHIPPED)
    where.provenance.write_text(PROVENANCE.to_json())
    return where


def held(bench: Bench) -> dict[str, dict[str, int]]:
    return {joint: {name: bench.stored(joint)[name] for name in eeprom.CALIBRATED} for joint in ROBOT.joints}


def in_file(path: Path) -> Calibration:
    return Calibration(calibrations.load(path, ROBOT.joints).joints, "")


def assert_all_of(bench: Bench, where: Where, wanted: Calibration) -> None:
    """Servos and files hold this one, and nothing else lies around."""
    assert held(bench) == registers_of(wanted)
    for path in (where.calibration, *where.lerobot):
        assert in_file(path) == Calibration(wanted.joints, "")
    assert not where.journal.exists()
    root = where.calibration.parents[1]
    assert not [path for path in root.rglob(".*") if path.is_file()]


def test_a_new_arm_gets_servos_files_and_side_file(tmp_path: Path) -> None:
    where = where_in(tmp_path)
    with arm(None) as (bench, bus):
        said = save.save(bus, ROBOT, BLUE, PROVENANCE, where)
        bench.power_cycle()
        assert_all_of(bench, where, BLUE)
        known = provenances.load(where.provenance)
        assert known is not None
        assert known.firmware["gripper"] == "3.6" and known.model == "777"
        assert known.eeprom == eeprom.fingerprint({name: (BLUE[name].id, row) for name, row in held(bench).items()})
    text = "\n".join(said)
    assert "elbow_flex: Homing_Offset 0 -> 1177" in text and str(where.calibration) in text and "for LeRobot" in text
    assert ".bak" not in text
    assert (where.calibration).read_bytes() == (Path(__file__).parent / "data" / "blue.json").read_bytes()


def test_calibrating_again_keeps_what_was_there(tmp_path: Path) -> None:
    where = calibrated(tmp_path)
    with arm() as (bench, bus):
        said = "\n".join(save.save(bus, ROBOT, GREEN, PROVENANCE, where))
        assert_all_of(bench, where, GREEN)
    assert in_file(where.calibration.with_name("blue.json.bak")) == Calibration(SHIPPED.joints, "")
    assert "what was there: blue.json.bak" in said


def test_the_same_again_says_so(tmp_path: Path) -> None:
    where = calibrated(tmp_path)
    with arm() as (bench, bus):
        said = "\n".join(save.save(bus, ROBOT, SHIPPED, PROVENANCE, where))
        assert_all_of(bench, where, SHIPPED)
    assert "held these numbers already" in said


# -- refused before any servo is written


def assert_refused(tmp_path: Path, match: str, spoil: object, error: type[Exception] = CalibrationError) -> None:
    where = calibrated(tmp_path)
    if callable(spoil):
        spoil(where)
    before = files_in(tmp_path)
    with arm() as (bench, bus):
        memory, written = bench.memory(), len(bench.bus.journal)
        with pytest.raises(error, match=match):
            save.save(bus, ROBOT, BLUE, PROVENANCE, where)
        assert bench.memory() == memory
        assert len(bench.bus.journal) == written
    assert files_in(tmp_path) == before


def test_a_lerobot_folder_that_cannot_be_written_is_found_first(tmp_path: Path) -> None:
    def spoil(where: Where) -> None:
        where.lerobot[0].unlink()
        where.lerobot[0].mkdir()

    assert_refused(tmp_path, r"lerobot/blue\.json cannot be written.*nothing was changed", spoil)


def test_a_journal_that_cannot_be_written_is_found_first(tmp_path: Path) -> None:
    assert_refused(tmp_path, r"journal .* cannot be", lambda where: where.journal.parent.write_text(""), Exception)


def test_a_full_disk_is_found_first(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    where = calibrated(tmp_path)
    before = files_in(tmp_path)
    with arm() as (bench, bus):
        memory = bench.memory()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # no file may grow beyond: the kernel says no, as a disk
        try:
            with pytest.raises(CalibrationError, match="cannot be written"):
                save.save(bus, ROBOT, BLUE, PROVENANCE, where)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert bench.memory() == memory
    assert files_in(tmp_path) == before


def test_a_holding_arm_is_refused_first(tmp_path: Path) -> None:
    where = calibrated(tmp_path)
    before = files_in(tmp_path)
    with arm() as (bench, bus):
        memory = bench.memory()
        bus.write(2, "Torque_Enable", 1)
        with pytest.raises(EepromError, match="torque is on in shoulder_lift"):
            save.save(bus, ROBOT, BLUE, PROVENANCE, where)
        assert bench.memory() == memory
    assert files_in(tmp_path) == before


# -- undone


def test_a_locked_eeprom_leaves_servos_and_files_as_they_were(tmp_path: Path) -> None:
    where = calibrated(tmp_path)
    before = files_in(tmp_path)
    with arm(locked=("gripper",)) as (bench, bus):
        memory = bench.memory()
        with pytest.raises(EepromError, match=r"locked EEPROM.*gripper \(servo 6\).*are as they were"):
            save.save(bus, ROBOT, BLUE, PROVENANCE, where)
        assert bench.memory() == memory
    assert files_in(tmp_path) == before


def test_a_rename_that_fails_takes_the_servos_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = calibrated(tmp_path)
    before = files_in(tmp_path)
    real, calls = os.replace, []

    def failing(source: object, target: object) -> None:
        if Path(str(source)).name.endswith(".new"):
            calls.append(source)
            if len(calls) == 3:
                raise OSError(5, "Input/output error")
        real(source, target)  # type: ignore[call-overload]

    with arm() as (bench, bus):
        memory = bench.memory()
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", failing)
            with pytest.raises(CalibrationError, match="all is as it was"):
                save.save(bus, ROBOT, BLUE, PROVENANCE, where)
        assert bench.memory() == memory
    after = files_in(tmp_path)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if "/." in name or name.startswith("state")]


def test_a_servo_lost_in_the_middle_is_named_and_the_next_start_undoes_it(tmp_path: Path) -> None:
    where = calibrated(tmp_path)
    before = files_in(tmp_path)
    with arm() as (bench, bus):
        memory = bench.memory()
        bench.after_writes(15, lambda: bench.lose("elbow_flex"))
        with pytest.raises(EepromError, match=r"could not be undone; got: elbow_flex \(servo 3\) holds .*Min_Position"):
            save.save(bus, ROBOT, BLUE, PROVENANCE, where)
        assert bench.memory() != memory and where.journal.exists()
        with pytest.raises(EepromError, match=r"cannot be undone yet; got: no answer from elbow_flex \(servo 3\)"):
            save.recover(bus, where)
        bench.power_cycle()
        bench.lose("elbow_flex", lost=False)
        assert "was undone" in save.recover(bus, where)
        assert bench.memory() == memory
        assert save.recover(bus, where) == ""
    assert files_in(tmp_path) == before


def test_a_holding_arm_is_not_recovered(tmp_path: Path) -> None:
    where = calibrated(tmp_path)
    with arm() as (bench, bus):
        bench.after_writes(15, lambda: bench.lose("elbow_flex"))
        with pytest.raises(EepromError):
            save.save(bus, ROBOT, BLUE, PROVENANCE, where)
        bench.lose("elbow_flex", lost=False)
        bus.write(2, "Torque_Enable", 1)
        memory = bench.memory()
        with pytest.raises(EepromError, match="torque is on in shoulder_lift"):
            save.recover(bus, where)
        assert bench.memory() == memory and where.journal.exists()


def test_saving_begins_by_undoing(tmp_path: Path) -> None:
    where = calibrated(tmp_path)
    with arm() as (bench, bus):
        bench.after_writes(15, lambda: bench.lose("elbow_flex"))
        with pytest.raises(EepromError):
            save.save(bus, ROBOT, BLUE, PROVENANCE, where)
        bench.lose("elbow_flex", lost=False)
        said = save.save(bus, ROBOT, GREEN, PROVENANCE, where)
        assert "was undone" in said[0]
        assert_all_of(bench, where, GREEN)
    assert in_file(where.calibration.with_name("blue.json.bak")) == Calibration(SHIPPED.joints, "")


def test_the_journal_of_another_arm_is_not_acted_upon(tmp_path: Path) -> None:
    where = calibrated(tmp_path)
    with arm() as (bench, bus):
        bench.after_writes(15, lambda: bench.lose("elbow_flex"))
        with pytest.raises(EepromError):
            save.save(bus, ROBOT, BLUE, PROVENANCE, where)
    journal = where.journal.read_bytes()
    with arm(GREEN) as (bench, bus):
        memory = bench.memory()
        with pytest.raises(
            EepromError, match=r"these are other numbers; .*shoulder_pan Homing_Offset: 1290 or 1554, servo -2047"
        ):
            save.recover(bus, where)
        assert bench.memory() == memory
    assert where.journal.read_bytes() == journal


def test_a_spoilt_journal_says_what_to_do(tmp_path: Path) -> None:
    where = calibrated(tmp_path)
    where.journal.parent.mkdir()
    for text in ("", "{", "[]", '{"format": "armside-eeprom-journal", "version": 99}'):
        where.journal.write_text(text)
        with arm() as (_, bus), pytest.raises(EepromError, match=r"journal .* says nothing.*then delete"):
            save.recover(bus, where)


# -- broken off


def test_power_lost_after_any_write_and_back_much_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every servo is gone from write k on; the next start finds the arm back, and takes all of it back."""
    monkeypatch.setattr(eeprom, "TRIES", 1)
    for count in (*range(1, WRITES, 4), WRITES):
        where = calibrated(tmp_path / str(count))
        with arm() as (bench, bus):
            memory = bench.memory()

            def cut(bench: Bench = bench) -> None:
                for joint in ROBOT.joints:
                    bench.lose(joint)

            bench.after_writes(count, cut)
            with pytest.raises(EepromError, match="could not be undone"):
                save.save(bus, ROBOT, BLUE, PROVENANCE, where)
            bench.power_cycle()
            for joint in ROBOT.joints:
                bench.lose(joint, lost=False)
            assert "was undone" in save.recover(bus, where)
            assert bench.memory() == memory, count
            assert_all_of(bench, where, SHIPPED)


@pytest.mark.parametrize("step", range(8))
def test_killed_between_two_renames_it_is_finished(tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """Nothing runs after this."""

    where = calibrated(tmp_path)
    real, left = os.replace, [step + 1]  # the journal is the first rename

    def dying(source: object, target: object) -> None:
        if left[0] <= 0:
            raise Killed
        left[0] -= 1
        real(source, target)  # type: ignore[call-overload]

    with arm() as (bench, bus):
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying)
            patch.setattr(eeprom.Transaction, "undo", lambda self: (_ for _ in ()).throw(Killed()))
            try:
                save.save(bus, ROBOT, BLUE, PROVENANCE, where)
            except Killed:
                assert "was complete in the servos" in save_again(bus, where, patch)
        assert_all_of(bench, where, BLUE)
        assert in_file(where.calibration.with_name("blue.json.bak")) == Calibration(SHIPPED.joints, "")


def save_again(bus: Bus, where: Where, patch: pytest.MonkeyPatch) -> str:
    patch.undo()
    return save.recover(bus, where)


def test_silence_at_the_start_changes_nothing(tmp_path: Path) -> None:
    where = calibrated(tmp_path)
    before = files_in(tmp_path)
    with arm() as (bench, bus):
        memory = bench.memory()
        bench.lose("wrist_roll")
        with pytest.raises(NoAnswer):
            save.save(bus, ROBOT, BLUE, PROVENANCE, where)
        assert bench.memory() == memory
    assert files_in(tmp_path) == before
    assert store.hash_of(tmp_path / "nothing") == store.NOTHING
