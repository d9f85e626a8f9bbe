"""What dies around a bridge, each with the real process killed or the virtual bus broken, and the arm's state after.

The bridge's own death is in test_takeover.py.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from firmware_bridge.client import BridgeClient, BridgeConfig, CommandRefused, Status, start_bridge
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.virtual_arm import make_bus
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_port import VirtualPort
from tests.firmware_bridge.acts import (
    ATTACH,
    PARK,
    START,
    chunk_from,
    kill,
    moving,
    raise_arm,
    run_client,
    shoulder_at_torque_off,
    until,
)
from tests.firmware_bridge.conftest import CALIBRATION, ROBOT, ServoProcess

GOAL = REGISTERS["Goal_Position"].address
TORQUE = REGISTERS["Torque_Enable"].address


# -- one servo, some answers


def test_a_servo_falls_silent_hold_then_fault_then_rearm(config: BridgeConfig, servos: ServoProcess) -> None:
    with start_bridge(config) as bridge:
        client = bridge.client
        client.arm()
        assert client.send_chunk(chunk_from(client.status(), seconds=5.0)).ok
        until(client, lambda s: s.mode == "running")
        servos.order("fault", servo=3, silent=True)
        held = until(client, lambda s: not s.fresh[2])
        assert held.mode == "running" and "elbow_flex" in held.note and all(held.fresh[:2])
        fault = until(client, lambda s: s.mode == "fault")
        assert "elbow_flex has not answered for 0.4 s" in fault.fault and "torque: on" in fault.fault
        frames = servos.goal_frames()
        until(client, lambda s: s.seq > fault.seq + 20)
        assert servos.goal_frames() == frames and 1 in servos.torque()
        servos.order("fault", servo=3, silent=False)
        back = until(client, lambda s: all(s.fresh))
        until(client, lambda s: all(s.fresh) and s.seq > back.seq + 50)  # what it owes has run out: stale.py
        client.rearm()
        assert until(client, lambda s: s.mode == "ready").fault == ""


def test_lost_and_corrupt_answers_do_not_stop_the_arm(config: BridgeConfig, servos: ServoProcess) -> None:
    with start_bridge(config) as bridge:
        client = bridge.client
        client.arm()
        assert client.send_chunk(chunk_from(client.status(), seconds=3.0)).ok
        for servo in (1, 4, 6):
            servos.order("fault", servo=servo, drop=1, corrupt=1, late=1, late_s=0.05)
        raised = until(client, lambda s: abs(s.measured[1] + 1.2) < 0.02)
        assert raised.fault == "" and raised.mode in ("running", "ready")


def holding(client: BridgeClient) -> Status:
    """Some ticks after the last goal: one on its way when a servo restarts switches it on again (lerobot #3585)."""
    ready = until(client, lambda s: s.mode == "ready")
    return until(client, lambda s: s.mode == "ready" and s.seq > ready.seq + 5)


@pytest.mark.parametrize("what", ["restarted", "switched off"])
def test_a_servo_that_changed_by_itself_is_a_fault_and_not_driven_on(
    what: str, config: BridgeConfig, servos: ServoProcess
) -> None:
    with start_bridge(config) as bridge:
        client = bridge.client
        raise_arm(client)
        assert holding(client).fault == ""
        if what == "restarted":  # a loose plug, a brown-out of one servo
            servos.order("reboot", servo=3)
        else:
            servos.order("write", servo=3, name="Torque_Enable", value=0)
        fault = until(client, lambda s: s.mode == "fault")
        assert "elbow_flex" in fault.fault and "rearm" in fault.fault
        goals = servos.goal_frames()
        until(client, lambda s: s.seq > fault.seq + 20)
        torque = servos.torque()
        assert servos.goal_frames() == goals and torque[2] == 0 and torque[:2] + torque[3:] == [1] * 5


def test_a_brown_out_of_every_servo_is_a_fault_and_nobody_switches_them_on(
    config: BridgeConfig, servos: ServoProcess
) -> None:
    with start_bridge(config) as bridge:
        raise_arm(bridge.client)
        holding(bridge.client)
        for servo in range(1, 7):
            servos.order("reboot", servo=servo)
        fault = until(bridge.client, lambda s: s.mode == "fault")
        until(bridge.client, lambda s: s.seq > fault.seq + 20)
        assert servos.torque() == [0] * 6 and "rearm" in fault.fault


# -- clients


def test_kill_9_of_the_client_holds_then_parks(config: BridgeConfig, servos: ServoProcess) -> None:
    with start_bridge(config) as bridge:
        client = bridge.client
        process, _ = run_client(ATTACH, bridge.endpoint)
        up = until(client, lambda s: abs(s.measured[1] + 1.2) < 0.02)
        alive = until(client, lambda s: s.t > up.t + 0.6)  # longer than the patience: its word counts
        assert alive.mode == "running"
        kill(process)
        held = until(client, lambda s: "client is silent" in s.note)
        assert held.mode == "ready" and held.torque == "on" and abs(held.measured[1] + 1.2) < 0.02
        until(client, lambda s: s.mode == "parking")
        parked = until(client, lambda s: s.mode == "shadow")
        assert parked.torque == "off" and np.abs(parked.measured - PARK)[:5].max() < 0.15
    assert max(shoulder_at_torque_off(servos)) < 100


def test_kill_9_of_the_starter_parks_and_ends_the_bridge(config: BridgeConfig, servos: ServoProcess) -> None:
    process, line = run_client(START, config.to_json())
    endpoint, pid = line.split()
    with BridgeClient(endpoint) as watcher:
        until(watcher, lambda s: abs(s.measured[1] + 1.2) < 0.02)
        kill(process)
        until(watcher, lambda s: s.mode == "parking")
    psutil.Process(int(pid)).wait(10.0)
    assert servos.torque() == [0] * 6 and max(shoulder_at_torque_off(servos)) < 100


CLOCK = """
import random, time
real = time.monotonic, time.time
def jumping(clock):
    return lambda: clock() + random.choice((-3600.0, 0.0, 3600.0))
time.monotonic, time.time = map(jumping, real)
assert max(abs(time.monotonic() - time.monotonic()) for _ in range(50)) > 1800.0
client = BridgeClient(sys.argv[1])
client._command('arm')
print('armed', flush=True)
seen = 0
while True:
    for status in client.statuses():
        if status.seq > seen + 5:
            seen = status.seq
            assert client.send_chunk(chunk_from(status, seconds=2.0)).ok
"""


def test_a_client_whose_clock_jumps_by_an_hour_still_drives(config: BridgeConfig) -> None:
    """Age is counted in the bridge's own statuses: no client's clock is believed, not even for a heartbeat."""
    with start_bridge(config) as bridge:
        process, line = run_client(CLOCK, bridge.endpoint)
        assert line == "armed\n"
        up = until(bridge.client, lambda s: abs(s.measured[1] + 1.2) < 0.02)
        later = until(bridge.client, lambda s: s.t > up.t + 0.8)
        assert process.poll() is None and later.mode == "running" and later.fault == ""
        kill(process)
        until(bridge.client, lambda s: "client is silent" in s.note)  # negative control: patience is short


# -- the cable


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    cable = Cable(tmp_path / "ttyARM")
    yield cable
    cable.unplug()


class Cable:
    """Powered servos behind a device that comes and goes, always under one name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bus: VirtualBus = make_bus(ROBOT, CALIBRATION)
        self._port: VirtualPort | None = None
        self.plug()

    def plug(self) -> None:
        self._port = VirtualPort(self.bus).start()
        self.path.symlink_to(self._port.path)

    def unplug(self) -> None:
        if self._port is not None:
            self.path.unlink()
            self._port.stop()
            self._port = None

    def torque(self) -> list[int]:
        return [servo.get("Torque_Enable") for servo in self.bus.servos]

    def writes(self, address: int) -> int:
        return sum(row.address == address for row in self.bus.journal)


def test_a_pulled_cable_is_a_fault_and_replugged_it_waits_for_a_person(config: BridgeConfig, cable: Cable) -> None:
    with start_bridge(dataclasses.replace(config, port=str(cable.path))) as bridge:
        client = bridge.client
        client.arm()
        assert client.send_chunk(chunk_from(client.status(), seconds=5.0)).ok
        moving(client)
        cable.unplug()
        lost = until(client, lambda s: s.mode == "fault")
        assert "went away" in lost.fault and "torque: on" in lost.fault and "plug it in again, then rearm" in lost.fault
        assert not any(lost.fresh)
        waiting = until(client, lambda s: "is not there" in s.note)
        assert not any(waiting.fresh) and cable.torque() == [1] * 6  # they hold by themselves
        with pytest.raises(CommandRefused, match="every servo"):
            client.rearm()
        cable.plug()
        back = until(client, lambda s: all(s.fresh))
        assert back.mode == "fault" and back.torque == "on" and "is back" in back.note and "rearm" in back.note
        goals = cable.writes(GOAL)
        still = until(client, lambda s: s.seq > back.seq + 30)
        assert cable.writes(GOAL) == goals and np.abs(still.measured - back.measured).max() < 0.01
        client.rearm()
        ready = until(client, lambda s: s.mode == "ready")
        assert ready.fault == "" and "is back" not in ready.note
        assert client.send_chunk(chunk_from(client.status())).ok
        until(client, lambda s: abs(s.measured[1] + 1.2) < 0.02)
        assert cable.writes(GOAL) > goals  # negative control: the count counts
    assert cable.torque() == [0] * 6


def test_a_bridge_left_with_its_cable_pulled_says_so(config: BridgeConfig, cable: Cable) -> None:
    bridge = start_bridge(dataclasses.replace(config, port=str(cable.path)))
    bridge.client.arm()
    until(bridge.client, lambda s: s.torque == "on")
    cable.unplug()
    until(bridge.client, lambda s: s.mode == "fault")
    farewell = bridge.close()
    assert "went away" in farewell and cable.torque() == [1] * 6


def test_power_lost_and_back_is_found_limp_and_not_switched_on(config: BridgeConfig, cable: Cable) -> None:
    with start_bridge(dataclasses.replace(config, port=str(cable.path))) as bridge:
        client = bridge.client
        raise_arm(client)
        cable.unplug()
        until(client, lambda s: s.mode == "fault")
        for servo in cable.bus.servos:
            servo.power_on()
        cable.plug()
        back = until(client, lambda s: all(s.fresh))
        assert back.mode == "fault" and back.torque == "off" and cable.torque() == [0] * 6


# -- the disk, the terminal


def test_a_full_disk_under_stderr_stdout_and_the_black_box_stops_nothing(config: BridgeConfig) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    endpoint = f"ipc://{config.calibration}.sock"
    text = dataclasses.replace(config, black_box="/dev/full", endpoint=endpoint).to_json()
    process = subprocess.Popen(
        [sys.executable, "-m", "firmware_bridge.supervisor", "--config", "-"],
        stdin=subprocess.PIPE,
        stdout=full,
        stderr=full,
    )
    os.close(full)
    assert process.stdin is not None
    process.stdin.write(text.encode() + b"\n")
    process.stdin.close()
    with BridgeClient(endpoint, timeout_s=15.0) as client:
        status = raise_arm(client)
        assert "the black box has ended" in status.note and "No space left" in status.note
        late = status.seq + 50
        assert until(client, lambda s: s.seq > late).fault == ""
        client.shutdown()
    assert process.wait(20.0) == 0


def test_standard_files_that_are_closed_are_not_reused_for_the_bus(config: BridgeConfig, servos: ServoProcess) -> None:
    path = Path(config.calibration).with_name("config.json")
    endpoint = f"ipc://{config.calibration}.sock"
    path.write_text(dataclasses.replace(config, endpoint=endpoint).to_json())
    command = f"exec {sys.executable} -m firmware_bridge.supervisor --config {path} <&- >&- 2>&-"
    process = subprocess.Popen(["sh", "-c", command])
    with BridgeClient(endpoint, timeout_s=15.0) as client:
        pid = client.info.pid
        targets = [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)]
        assert targets == ["/dev/null"] * 3
        assert servos.port in {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
        client.shutdown()
    assert process.wait(20.0) == 0
