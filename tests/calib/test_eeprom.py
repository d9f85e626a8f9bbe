"""The servos' memory as one: all of it or nothing, on real serial lines, the plug pulled after every single write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from calib.sts import eeprom
from calib.sts.eeprom import Transaction
from firmware_bridge.errors import BridgeError, EepromError
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.registers import MULTI_TURN_BIT, REGISTERS
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.calib.arm_files import BLUE, ROBOT, SHIPPED, bus_to, hurry, registers_of

WRITES = len(eeprom.CHANGED) * len(ROBOT.joints)
FACTORY = {"Homing_Offset": 0, "Min_Position_Limit": 0, "Max_Position_Limit": 4095}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@contextmanager
def arm(plant: Plant | None = None) -> Iterator[tuple[Bench, Bus]]:
    with Bench(ROBOT, plant or Plant(calibration=SHIPPED)) as bench:
        bus = bus_to(bench.path)
        try:
            yield bench, bus
        finally:
            bus.close()


def stored(bench: Bench, joint: str) -> dict[str, int]:
    registers = bench.stored(joint)
    return {name: registers[name] for name in eeprom.CALIBRATED}


def locks(bench: Bench) -> set[int]:
    return {bench.servo(joint).get("Lock") for joint in ROBOT.joints}


def test_all_servos_hold_it_and_keep_it_over_a_power_cycle() -> None:
    with arm(Plant()) as (bench, bus):
        transaction = Transaction(bus, eeprom.plan(bus, BLUE))
        transaction.write()
        bench.power_cycle()
        assert {joint: stored(bench, joint) for joint in ROBOT.joints} == registers_of(BLUE)
        assert locks(bench) == {1}


def test_a_servo_is_put_into_position_mode_and_one_turn() -> None:
    plant = Plant(calibration=SHIPPED, eeprom={"gripper": {"Operating_Mode": 3, "Phase": 12 | MULTI_TURN_BIT}})
    with arm(plant) as (bench, bus):
        before = bench.memory()
        changes = eeprom.plan(bus, SHIPPED)
        assert [change.differing for change in changes if change.differing] == [
            ("Operating_Mode 3 -> 0", f"Phase {12 | MULTI_TURN_BIT} -> 12")
        ]
        transaction = Transaction(bus, changes)
        transaction.write()
        assert (bench.stored("gripper")["Operating_Mode"], bench.stored("gripper")["Phase"]) == (0, 12)
        assert transaction.undo() == ()
        assert bench.memory() == before


def test_numbers_that_read_right_but_would_vanish_are_written_to_stay() -> None:
    """LeRobot #1342: written while Lock was 1, so right until the next power-off."""
    with arm(Plant()) as (bench, bus):
        for name, row in BLUE.joints:
            for register, value in registers_of(BLUE)[name].items():
                bus.write(row.id, register, value)
        assert stored(bench, "elbow_flex") == FACTORY
        Transaction(bus, eeprom.plan(bus, BLUE)).write()
        assert {joint: stored(bench, joint) for joint in ROBOT.joints} == registers_of(BLUE)


def test_an_arm_that_holds_is_refused_with_its_joints() -> None:
    with arm() as (bench, bus):
        before = bench.memory()
        bus.write(3, "Torque_Enable", 1)
        bus.write(6, "Torque_Enable", 1)
        with pytest.raises(EepromError, match="torque is on in elbow_flex, gripper"):
            eeprom.plan(bus, BLUE)
        assert bench.memory() == before


def test_a_locked_eeprom_is_named_and_the_rest_undone() -> None:
    with arm(Plant(calibration=SHIPPED, locked=("wrist_flex",))) as (bench, bus):
        before = bench.memory()
        transaction = Transaction(bus, eeprom.plan(bus, BLUE))
        with pytest.raises(EepromError, match=r"locked EEPROM: the memory of wrist_flex \(servo 4\)"):
            transaction.write()
        assert bench.memory() != before  # three servos had it already
        assert transaction.undo() == ()
        assert bench.memory() == before


def test_power_lost_between_any_two_writes_and_back_at_once() -> None:
    """Lock is 1 again after a restart: what is written afterwards would vanish, and is written again instead."""
    for count in range(1, WRITES + 1):
        with arm() as (bench, bus):
            transaction = Transaction(bus, eeprom.plan(bus, BLUE))
            bench.after_writes(count, bench.power_cycle)
            transaction.write()
            bench.power_cycle()
            assert {joint: stored(bench, joint) for joint in ROBOT.joints} == registers_of(BLUE), count
            assert locks(bench) == {1}


def test_what_happens_to_the_first_while_the_last_is_written_is_seen() -> None:
    with arm() as (bench, bus):

        def meddle() -> None:
            bench.servo("shoulder_pan").write(REGISTERS["Homing_Offset"].address, REGISTERS["Homing_Offset"].encode(7))

        transaction = Transaction(bus, eeprom.plan(bus, BLUE))
        bench.after_writes(WRITES, meddle)
        with pytest.raises(EepromError, match=r"shoulder_pan .* did not keep .*Homing_Offset 7 instead of 1554"):
            transaction.write()


def test_a_servo_lost_after_any_write_leaves_the_others_as_they_were_and_is_named() -> None:
    for count in (1, 12, WRITES):
        with arm() as (bench, bus):
            lost = ROBOT.joints[(count - 1) // len(eeprom.CHANGED)]
            was = {joint: stored(bench, joint) for joint in ROBOT.joints}
            transaction = Transaction(bus, eeprom.plan(bus, BLUE))
            bench.after_writes(count, lambda lost=lost: bench.lose(lost))
            with pytest.raises(BridgeError):
                transaction.write()
            (left,) = transaction.undo()
            assert left.startswith(f"{lost} (servo {BLUE[lost].id}) holds ")
            holds = stored(bench, lost)
            for name, (old, new) in _both(lost).items():
                assert any(f"{name} = {words}" in left for words in _honest(holds[name], old, new)), (left, holds)
            assert {joint: stored(bench, joint) for joint in ROBOT.joints if joint != lost} == {
                joint: row for joint, row in was.items() if joint != lost
            }


def _both(joint: str) -> dict[str, tuple[int, int]]:
    old, new = registers_of(SHIPPED)[joint], registers_of(BLUE)[joint]
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def _honest(held: int, old: int, new: int) -> tuple[str, ...]:
    """What may be said of a register that holds `held`."""
    return (str(held), f"{old} or {new}", f"{new} or {old}")


def test_a_servo_that_comes_back_while_it_is_undone_is_undone() -> None:
    with arm() as (bench, bus):
        before = bench.memory()
        transaction = Transaction(bus, eeprom.plan(bus, BLUE))
        bench.after_writes(12, lambda: bench.lose("elbow_flex"))
        with pytest.raises(BridgeError):
            transaction.write()
        bench.lose("elbow_flex", lost=False)
        assert transaction.undo() == ()
        assert bench.memory() == before
        assert locks(bench) == {1}


def test_a_pulled_cable_says_what_is_left() -> None:
    with arm() as (bench, bus):
        transaction = Transaction(bus, eeprom.plan(bus, BLUE))
        bench.after_writes(8, lambda: None)
        for change in transaction.changes[:2]:
            transaction._touched.append(change)
            transaction._put(change, change.new)
        bench.port.unplug()
        left = transaction.undo()
        assert [line.split(" ")[0] for line in left] == ["shoulder_pan", "shoulder_lift"]


def test_the_whole_change_takes_few_requests() -> None:
    """Signals are held meanwhile: at 3 ms a request over USB, 100 requests are 0.3 s."""
    with arm() as (_, bus):
        changes = eeprom.plan(bus, BLUE)
        before = bus.counters.requests
        Transaction(bus, changes).write()
        assert bus.counters.requests - before < 100


def test_the_fingerprint_changes_with_every_register() -> None:
    def rows(**changes: int) -> dict[str, tuple[int, dict[str, int]]]:
        found = {name: (BLUE[name].id, dict(row)) for name, row in registers_of(BLUE).items()}
        found["gripper"][1].update(changes)
        return found

    seen = {eeprom.fingerprint(rows(**{name: 7})) for name in eeprom.CALIBRATED} | {eeprom.fingerprint(rows())}
    assert len(seen) == len(eeprom.CALIBRATED) + 1
    assert REGISTERS["Homing_Offset"].sign_bit == 11
