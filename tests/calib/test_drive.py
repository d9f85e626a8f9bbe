"""Motors find the stops: where they are, never too hard, and every way out leaves a limp arm with its own registers."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from calib.sts.drive import drive
from calib.sts.plan import HIGH, LOW, PUSHES, Stop
from calib.sts.push import PUSH_DEG, Gentle, Push
from calib.sts.zero import POSE
from firmware_bridge.errors import CalibrationImplausible, NoAnswer, ServoWrong
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.travel import DEGREES_PER_TICK
from firmware_bridge.sts.virtual_bench import Bench, Plant
from policy_spec.errors import Cancelled
from tests.calib.on_bench import ROBOT, Table, right, table, to_pose

FAST = Gentle(speed_deg_s=600.0, stall_s=0.1, release_s=0.1)
SHOWN = ("Torque_Enable", "Torque_Limit", "Lock", "Homing_Offset", "Phase", "Min_Position_Limit", "Max_Position_Limit")
KEPT = (*SHOWN, "Goal_Velocity", "Acceleration", "Operating_Mode")
TITLE = "the motors find the stops"
STRANGE = {"Homing_Offset": -1200, "Phase": 28, "Min_Position_Limit": 1000, "Max_Position_Limit": 1500}
PLANT = Plant(
    horns={"shoulder_pan": 30.0, "shoulder_lift": 180.0}, pose=dict(POSE), eeprom={"wrist_flex": STRANGE}, gravity=0.8
)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calib.sts.drive.Gentle", lambda: FAST)
    monkeypatch.setattr("calib.sts.servos.LOST_S", 0.4)
    monkeypatch.setattr("calib.sts.push.LEAD_DEG", 40.0)  # a virtual servo is as fast as it is far behind


def registers(bench: Bench) -> list[dict[str, int]]:
    return [{name: servo.get(name) for name in KEPT} for servo in bench.bus.servos]


def still_there(arm: Table, before: list[dict[str, int]], memory: bytes) -> None:
    """Limp, every register as before, nothing in the EEPROM."""
    assert registers(arm.bench) == before and all(row["Torque_Enable"] == 0 for row in before)
    assert arm.bench.memory() == memory and arm.files == []


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Table]:
    """At the table, in its pose, the guide gone through quickly."""
    with table(tmp_path, PLANT, moves_on_ask={"pose": to_pose}) as found:
        found.job = dataclasses.replace(found.job, driven=True)
        yield found


def only(monkeypatch: pytest.MonkeyPatch, *stops: Stop) -> None:
    monkeypatch.setattr("calib.sts.drive.STOPS", stops)
    monkeypatch.setattr("calib.sts.drive.REST", ())


def run_drive(arm: Table) -> dict[str, object]:
    """The motors alone."""
    from calib.sts.live import Live
    from calib.sts.servos import Servos

    servos = Servos(arm.bus, ROBOT)
    servos.connect()
    return dict(drive(arm.person, Live(servos, arm.job.pace)))


@pytest.mark.slow
def test_a_whole_calibration_by_motors(arm: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    for joint in PUSHES:  # a virtual servo's speed goes with its torque
        monkeypatch.setitem(PUSHES, joint, (0.6, 0.7))
    right(arm, arm.run())
    assert arm.person.asked == ["pose", "drive", "write"]
    limit = REGISTERS["Torque_Limit"].address
    written = [int.from_bytes(row.data, "little") for row in arm.bench.bus.journal if row.address == limit]
    assert {600, 700} <= set(written) <= {*range(701), 1000}  # 1000: as it was, when it is limp
    assert all(row["Torque_Enable"] == 0 and row["Goal_Velocity"] == 0 for row in registers(arm.bench))


def test_weight_is_no_stop(arm: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gentle push is too weak to lift it; the harder one finds out."""
    only(monkeypatch, Stop("wrist_flex", LOW))
    monkeypatch.setitem(PUSHES, "wrist_flex", (0.1, 0.4))
    found = run_drive(arm)["wrist_flex"]
    assert (found.high - found.low) * DEGREES_PER_TICK == pytest.approx(95.0, abs=1.5)  # type: ignore[attr-defined]


def test_stopped_by_a_key(arm: Table) -> None:
    before, memory = registers(arm.bench), arm.bench.memory()
    arm.person.at, arm.person.after = TITLE, 30
    arm.person.acts = lambda: arm.person.heard.append("quit")
    with pytest.raises(Cancelled):
        run_drive(arm)
    still_there(arm, before, memory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_by_a_signal(arm: Table, number: int) -> None:
    before, memory = registers(arm.bench), arm.bench.memory()
    handlers = [signal.getsignal(row) for row in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    arm.person.at, arm.person.after = TITLE, 20
    arm.person.acts = lambda: os.kill(os.getpid(), number)
    with pytest.raises(Cancelled, match="by a signal"):
        run_drive(arm)
    still_there(arm, before, memory)
    assert [signal.getsignal(row) for row in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers


def test_a_no_moves_nothing(arm: Table) -> None:
    arm.person.answers = {"drive": "no"}
    journal = len(arm.bench.bus.journal)
    with pytest.raises(Cancelled, match="nothing was moved"):
        run_drive(arm)
    assert len(arm.bench.bus.journal) == journal


def test_a_servo_lost_while_it_is_driven(arm: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are let go softly and put back; the lost one is named."""
    only(monkeypatch, Stop("wrist_flex", HIGH), Stop("wrist_flex", LOW))
    before, memory = registers(arm.bench), arm.bench.memory()
    arm.person.at, arm.person.after, arm.person.acts = TITLE, 10, lambda: arm.bench.lose("elbow_flex")
    with pytest.raises(NoAnswer, match="elbow_flex"):
        run_drive(arm)
    index = ROBOT.joints.index("elbow_flex")
    after = registers(arm.bench)
    assert [row for at, row in enumerate(after) if at != index] == [row for at, row in enumerate(before) if at != index]
    assert any("elbow_flex: could not be let go" in line for line in arm.person.told)
    assert arm.bench.memory() == memory
    arm.bench.power_cycle()
    assert registers(arm.bench)[index] == before[index]


def test_a_servo_that_cannot_be_prepared(arm: Table) -> None:
    """It restarts while registers are changed: those before it are put back, and nothing has moved."""
    before, memory = registers(arm.bench), arm.bench.memory()
    servo = arm.bench.servo("elbow_flex")
    write = servo.write

    def refuses(address: int, data: bytes) -> None:
        if address != REGISTERS["Max_Position_Limit"].address:
            write(address, data)

    servo.write = refuses  # type: ignore[method-assign]
    write(REGISTERS["Max_Position_Limit"].address, (3000).to_bytes(2, "little"))
    before[ROBOT.joints.index("elbow_flex")]["Max_Position_Limit"] = 3000
    with pytest.raises(ServoWrong, match="did not keep Max_Position_Limit"):
        run_drive(arm)
    still_there(arm, before, memory)


def test_a_hot_servo_ends_it(arm: Table) -> None:
    before, memory = registers(arm.bench), arm.bench.memory()
    arm.bench.servo("shoulder_lift").temperature = 64
    with pytest.raises(ServoWrong, match="shoulder_lift is hot"):
        run_drive(arm)
    still_there(arm, before, memory)


def test_something_in_the_way_is_a_way_too_short(arm: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Stop("wrist_flex", HIGH), Stop("wrist_flex", LOW))
    arm.person.answers = {**arm.person.answers, "sweep.refused": "stop"}
    arm.person.at, arm.person.acts = TITLE, lambda: arm.bench.block("wrist_flex", 20.0)
    with pytest.raises(CalibrationImplausible, match="wrist_flex: its way is 115 degrees"):
        arm.run()


def test_a_joint_without_a_stop_is_not_turned_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Stop("gripper", HIGH))
    with table(tmp_path, Plant(pose=dict(POSE), stops={"gripper": (0.0, 300.0)})) as arm:
        before, memory = registers(arm.bench), arm.bench.memory()
        with pytest.raises(ServoWrong, match=r"gripper turned 16\d degrees from the pose and met no stop"):
            run_drive(arm)
        still_there(arm, before, memory)


# -- the pure part


def push(**changes: object) -> Push:
    return dataclasses.replace(Push("elbow_flex", HIGH, 2000.0, 0.0, 1500.0, 0.4, Gentle()), **changes)  # type: ignore[arg-type]


def test_the_goal_runs_ahead_by_a_few_degrees_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    one, position = push(), 2000.0
    for beat in range(1, 100):
        goal = one.step(beat * 0.02, position, 0.1)
        assert goal is not None and 0 <= goal - position <= 4.01 / DEGREES_PER_TICK
        position += min(7.0, goal - position)


def test_a_stop_needs_no_progress_a_leading_goal_and_load() -> None:
    one = push()
    seen = [one.step(beat * 0.02, 2000.0, 0.3) for beat in range(1, 60)]
    assert None in seen and (seen[seen.index(None) - 1] or 0) - 2000 <= PUSH_DEG / DEGREES_PER_TICK + 1
    idle = push()
    with pytest.raises(ServoWrong, match="its motor does not pull"):
        for beat in range(1, 200):
            idle.step(beat * 0.02, 2000.0, 0.0)


def test_time_is_limited() -> None:
    one = push()
    with pytest.raises(ServoWrong, match="still moves after 25 s"):
        for beat in range(1, 2000):
            one.step(beat * 0.02, 2000.0 + 5 * (beat % 3) + beat * 0.1, 0.0)
