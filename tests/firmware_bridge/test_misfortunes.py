"""Two misfortunes, one after the other: what a bridge relied on is gone or changed when it is needed again."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from firmware_bridge.client import BridgeConfig, start_bridge
from firmware_bridge.errors import PortLost
from firmware_bridge.sts.arm import EEPROM_OF_CALIBRATION
from firmware_bridge.sts.registers import REGISTERS
from tests.firmware_bridge.acts import raise_arm, until
from tests.firmware_bridge.conftest import ServoProcess
from tests.firmware_bridge.test_dies import Cable


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    cable = Cable(tmp_path / "ttyARM")
    yield cable
    cable.unplug()


def test_alone_without_a_supervisor_it_goes_on_for_as_long_as_a_client_drives(
    config: BridgeConfig, servos: ServoProcess
) -> None:
    bridge = start_bridge(config)
    client, pid = bridge.client, bridge.bridge_pid
    raise_arm(client)
    os.kill(bridge.pid, signal.SIGKILL)
    alone = until(client, lambda s: "supervisor died" in s.note)
    patience_s = config.timing.client_timeout_s + config.timing.park_after_s + 1.0
    held = until(client, lambda s: s.t > alone.t + 2 * patience_s or s.mode == "parking")
    assert held.mode in ("running", "ready") and held.torque == "on"
    client.disconnect()  # negative control: now nobody drives, and it parks and ends
    psutil.wait_procs([psutil.Process(pid)], timeout=20.0)
    assert servos.torque() == [0] * 6 and bridge.close() == "torque off"


def test_a_folder_for_the_black_box_that_is_gone_does_not_stop_a_takeover(
    config: BridgeConfig, servos: ServoProcess, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    with start_bridge(dataclasses.replace(config, black_box=str(stick / "box"))) as bridge:
        raise_arm(bridge.client)
        shutil.rmtree(stick)
        os.kill(bridge.bridge_pid, signal.SIGKILL)
        fault = until(bridge.client, lambda s: s.mode == "fault", patient=True)
        assert fault.torque == "on" and "the black box has ended" in fault.note and servos.torque() == [1] * 6


def test_a_calibration_file_that_is_gone_does_not_stop_a_takeover(config: BridgeConfig, servos: ServoProcess) -> None:
    with start_bridge(config) as bridge:
        raise_arm(bridge.client)
        Path(config.calibration).unlink()
        os.kill(bridge.bridge_pid, signal.SIGKILL)
        fault = until(bridge.client, lambda s: s.mode == "fault", patient=True)
        assert fault.torque == "on" and servos.torque() == [1] * 6


def recalibrate(config: BridgeConfig, cable: Cable) -> None:
    """The shoulder's zero 300 ticks away, in the servo and in the file: both agree with each other."""
    path = Path(config.calibration)
    rows = json.loads(path.read_text())
    row = rows["shoulder_lift"]
    row["homing_offset"] += 300
    row["range_min"], row["range_max"] = row["range_min"] + 100, row["range_max"] - 200
    path.write_text(json.dumps(rows))
    servo = cable.bus.servos[1]
    for name, field in EEPROM_OF_CALIBRATION:
        servo.write(REGISTERS[name].address, REGISTERS[name].encode(row[field]))


def test_an_arm_calibrated_again_while_unplugged_is_not_driven_by_the_old_limits(
    config: BridgeConfig, cable: Cable
) -> None:
    with start_bridge(dataclasses.replace(config, port=str(cable.path))) as bridge:
        client = bridge.client
        raise_arm(client)
        cable.unplug()
        until(client, lambda s: s.mode == "fault")
        recalibrate(config, cable)
        cable.plug()
        waiting = until(client, lambda s: all(s.fresh) or "calibration" in s.note)
        assert not any(waiting.fresh) and waiting.mode == "fault" and "is not the one in the servos" in waiting.note


def test_a_cut_that_no_servo_heard_is_not_said_to_be_done(config: BridgeConfig, cable: Cable) -> None:
    with start_bridge(dataclasses.replace(config, port=str(cable.path))) as bridge:
        client = bridge.client
        raise_arm(client)
        cable.unplug()
        until(client, lambda s: s.mode == "fault")
        with pytest.raises(PortLost, match=r"not one servo was told.*as soon as the port is back"):
            client.estop(cut=True)
        assert cable.torque() == [1] * 6
        cable.plug()
        back = until(client, lambda s: s.torque == "off")
        assert back.mode in ("estop", "fault") and cable.torque() == [0] * 6


def test_a_cut_that_is_heard_is_said_to_be_done(config: BridgeConfig, servos: ServoProcess) -> None:
    """Negative control of the test above."""
    with start_bridge(config) as bridge:
        raise_arm(bridge.client)
        assert "torque off" in bridge.client.estop(cut=True).text and servos.torque() == [0] * 6
