"""What may happen to a servo while motors drive an arm: it restarts, misses an order, or keeps what it was given."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from calib.sts.plan import HIGH, LOW, Stop
from calib.sts.zero import POSE
from firmware_bridge.errors import ServoWrong
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.virtual_bench import Plant
from policy_spec.errors import Cancelled
from tests.calib.on_bench import Table, table, to_pose
from tests.calib.test_drive import FAST, STRANGE, TITLE, only, registers, run_drive, still_there

GOAL, OFFSET = REGISTERS["Goal_Position"].address, REGISTERS["Homing_Offset"].address
WRIST = 4  # id of wrist_flex


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calib.sts.drive.Gentle", lambda: FAST)
    monkeypatch.setattr("calib.sts.push.LEAD_DEG", 12.0)
    only(monkeypatch, Stop("wrist_flex", HIGH), Stop("wrist_flex", LOW))


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Table]:
    with table(
        tmp_path, Plant(pose=dict(POSE), eeprom={"wrist_flex": STRANGE}), moves_on_ask={"pose": to_pose}
    ) as found:
        found.job = dataclasses.replace(found.job, driven=True)
        found.person.at, found.person.after = TITLE, 8
        yield found


@pytest.mark.parametrize("silent_s", [0.05, 0.3])  # to begin with it hears nothing
def test_a_servo_that_restarts_is_given_no_goal(arm: Table, silent_s: float) -> None:
    """It is back with its old offset, its full torque and its full speed; a goal would turn it on."""
    before, memory = registers(arm.bench), arm.bench.memory()
    since: list[int] = []

    def dip() -> None:
        with arm.bench.port.lock:
            arm.bench.servo("wrist_flex").restart(arm.bench._now(), silent_s)
            since.append(len(arm.bench.bus.journal))

    arm.person.acts = dip
    with pytest.raises(ServoWrong, match="wrist_flex restarted"):
        run_drive(arm)
    later = list(arm.bench.bus.journal)[since[0] :]
    assert later and not [row for row in later if (row.servo, row.address) == (WRIST, GOAL)]
    still_there(arm, before, memory)


def test_the_offset_of_a_servo_that_still_holds_is_left_alone(arm: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its zero would move under its goal: it would jump."""
    real, tries = arm.bus.write, 0

    def write(servo: int, name: str, value: int) -> None:
        """Its order to let go is lost, and everything after that is heard."""
        nonlocal tries
        if (servo, name, value) == (WRIST, "Torque_Enable", 0):
            tries += 1
            arm.bench.bus.faults_of(arm.bench.servo("wrist_flex")).deaf = 2 if tries == 1 else 0
        real(servo, name, value)

    arm.person.acts = lambda: arm.person.heard.append("quit")
    monkeypatch.setattr(arm.bus, "write", write)
    with pytest.raises(Cancelled):
        run_drive(arm)
    held = 0
    for row in arm.bench.bus.journal:
        if row.servo == WRIST and row.address == REGISTERS["Torque_Enable"].address:
            held = row.data[0]
        assert not (row.servo == WRIST and row.address == OFFSET and held), "its zero moved while it held"
    assert tries == 2
    assert registers(arm.bench)[WRIST - 1]["Torque_Enable"] == 0
