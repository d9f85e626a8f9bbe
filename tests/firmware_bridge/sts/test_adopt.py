"""An arm found again after a dead host or a pulled cable: frozen where it holds, never switched on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge import drivers
from firmware_bridge.config import BridgeConfig
from firmware_bridge.errors import PortLost, ServoMissing
from firmware_bridge.sts.arm import StsArm
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.virtual_arm import make_bus
from firmware_bridge.sts.virtual_port import VirtualPort
from firmware_bridge.sts.virtual_servo import touches_goal
from tests.firmware_bridge.sts.conftest import CALIBRATION, IDS, ROBOT, Rig, pty_rig, virtual_rig

SIM = BridgeConfig(robot="so101", port="sim")  # moves without live, on whatever port it is opened


@pytest.fixture
def port() -> Iterator[VirtualPort]:
    with VirtualPort(make_bus(ROBOT, CALIBRATION)) as port:
        yield port


def raised(rig: Rig) -> None:
    """Armed, and on its way up with goals far ahead."""
    rig.arm.connect()
    goal = rig.arm.torque_on()
    goal[1] += 1.0
    rig.arm.send(goal)
    rig.wait(0.2)
    rig.arm.read()
    rig.bus.ping(1)  # all that was sent has arrived


def again(rig: Rig) -> StsArm:
    """Another host on the same bus."""
    return StsArm(rig.bus, ROBOT, CALIBRATION)


def test_a_moving_arm_is_stopped_where_it_is() -> None:
    rig = virtual_rig()
    raised(rig)
    far = rig.servo(2).get("Goal_Position")
    journal = len(rig.servos.journal)
    arm = again(rig)
    (line,) = arm.adopt()
    assert "frozen where they are: shoulder_pan, shoulder_lift" in line
    rows = list(rig.servos.journal)[journal:]
    assert [row.servo for row in rows] == list(IDS) and all(touches_goal(row.address, len(row.data)) for row in rows)
    frozen = rig.servo(2).get("Goal_Position")
    assert 0 <= rows[1].position - frozen < 12 and far - frozen > 100  # it moves on between reading and writing
    rig.wait(1.0)
    arm.connect()
    arm.learn(())
    assert arm.facts.torque == "on" and abs(arm.read().position[1] - arm.codec.to_si(np.full(6, frozen))[1]) < 0.02
    assert arm.read().changed == ()


def test_without_adopting_it_goes_on_to_where_the_dead_host_sent_it() -> None:
    """Negative control of the test above."""
    rig = virtual_rig()
    raised(rig)
    far = rig.servo(2).get("Goal_Position")
    arm = again(rig)
    arm.connect()
    rig.wait(1.0)
    rig.ticks(40)
    assert abs(rig.servo(2).position - far) < 5


def test_a_limp_arm_stays_limp() -> None:
    rig = virtual_rig()
    arm = again(rig)
    assert arm.adopt() == () and not rig.servos.journal
    arm.connect()
    arm.learn(())
    assert arm.facts.torque == "off" and arm.read().changed == () and not rig.servos.journal


def test_an_arm_that_holds_in_part_is_said_and_nothing_limp_is_switched_on() -> None:
    rig = virtual_rig()
    raised(rig)
    rig.write(3, "Torque_Enable", 0)
    rig.write(5, "Torque_Enable", 2)  # damping: a goal would switch it on
    arm = again(rig)
    report = arm.adopt()
    assert "left limp: elbow_flex, wrist_roll; the arm holds only in part" in report[1]
    arm.connect()
    arm.learn(report)
    assert arm.facts.torque == "on" and arm.facts.report[:2] == report
    state = arm.read()
    assert [text.split(":")[0] for text in state.changed] == ["elbow_flex", "wrist_roll"]
    assert [servo.get("Torque_Enable") for servo in rig.servos.servos] == [1, 1, 0, 1, 2, 1]
    arm.torque_on()
    assert arm.read().changed == ()


def test_a_mixed_arm_without_adopting_is_only_reported() -> None:
    rig = virtual_rig()
    raised(rig)
    rig.write(3, "Torque_Enable", 0)
    arm = again(rig)
    arm.connect()
    arm.learn(())
    assert "off in elbow_flex: the arm holds only in part" in arm.facts.report[0]
    assert arm.read().changed == ()


def test_a_host_that_died_within_its_ramp_leaves_no_weak_arm() -> None:
    rig = virtual_rig()
    rig.arm.connect()
    rig.arm.torque_on()
    assert rig.servo(2).get("Torque_Limit") == 300
    arm = again(rig)
    arm.adopt()
    arm.connect()
    for _ in range(3):
        assert arm.read().changed == ()
    assert [servo.get("Torque_Limit") for servo in rig.servos.servos] == [1000] * 5 + [500]


def test_a_late_answer_to_the_dead_host_is_not_taken_for_the_present() -> None:
    rig = virtual_rig()
    raised(rig)
    rig.fault(2, late=1, late_s=0.1)
    rig.bus.patience = type(rig.bus.patience)(retries=0)
    assert not rig.arm.read().fresh[1]
    rig.wait(0.079)  # the answer arrives within the next request
    journal = len(rig.servos.journal)
    bus = type(rig.bus)(rig.bus.line, clock=rig.bus.clock)
    StsArm(bus, ROBOT, CALIBRATION).adopt()
    (row,) = [row for row in list(rig.servos.journal)[journal:] if row.servo == 2]
    assert abs(int.from_bytes(row.data, "little") - row.position) < 12  # it moves on between reading and writing


def test_opening_to_adopt_freezes_first_and_configures_nothing(port: VirtualPort) -> None:
    rig = pty_rig(port)
    raised(rig)
    rig.arm.close()
    port.bus.servos[0].memory[REGISTERS["P_Coefficient"].address] = 32  # what configure would write
    journal, frames = len(port.bus.journal), port.bus.frames.copy()
    opened = time.monotonic()
    arm = drivers.open_arm(ROBOT, SIM, port.path, adopt=True)
    rows = list(port.bus.journal)[journal:]
    assert {row.address for row in rows} == {REGISTERS["Goal_Position"].address}
    assert rows[0].t - opened < 5.0 and arm.facts.torque == "on" and "frozen" in arm.facts.report[0]
    assert (port.bus.frames - frames)["write"] == 0
    arm.close()
    arm = drivers.open_arm(ROBOT, SIM, port.path)  # negative control
    assert "settings left as they are: P_Coefficient" in arm.facts.report[0]
    arm.close()


def test_a_bridge_that_may_not_move_the_arm_freezes_nothing(port: VirtualPort, calibration_file: Path) -> None:
    rig = pty_rig(port)
    raised(rig)
    rig.arm.close()
    journal = len(port.bus.journal)
    config = BridgeConfig(robot="so101", port=port.path, calibration=str(calibration_file))
    arm = drivers.open_arm(ROBOT, config, port.path, adopt=True)
    assert arm.facts.torque == "on" and len(port.bus.journal) == journal
    arm.close()


def test_a_silent_servo_is_said_and_then_missing() -> None:
    rig = virtual_rig()
    raised(rig)
    rig.fault(4, silent=True)
    arm = again(rig)
    report = arm.adopt()
    assert report[1] == "silent when looked for a held arm: wrist_flex"
    with pytest.raises(ServoMissing, match="wrist_flex"):
        arm.connect()
    assert {servo.get("Torque_Enable") for servo in rig.servos.servos} == {1}


def test_unplug_and_replug_finds_the_arm_holding(port: VirtualPort) -> None:
    rig = pty_rig(port)
    raised(rig)
    port.unplug()
    with pytest.raises(PortLost, match="went away"):
        rig.arm.read()
    with pytest.raises(PortLost, match="went away"):
        rig.arm.send(np.zeros(6))
    rig.arm.close()
    path = port.replug()
    arm = drivers.open_arm(ROBOT, SIM, path, adopt=True)
    assert arm.facts.torque == "on" and arm.read().fresh.all()
    arm.close()
