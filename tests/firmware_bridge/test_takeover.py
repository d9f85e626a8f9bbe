"""The bridge dies, hangs, or its supervisor dies: the arm is frozen where it is, and waits for a person."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from typing import Any

import numpy as np
import psutil
import pytest

from firmware_bridge.client import BridgeClient, BridgeConfig, BridgeGone, BridgeHandle, CommandRefused, start_bridge
from firmware_bridge.sts.registers import REGISTERS
from tests.firmware_bridge.acts import chunk_from, moving, raise_arm, shoulder_at_torque_off, until
from tests.firmware_bridge.conftest import ServoProcess

GOAL = REGISTERS["Goal_Position"].address
TORQUE = REGISTERS["Torque_Enable"].address


def journal(servos: ServoProcess) -> list[list[Any]]:
    """Rows of [t, servo, address, data, position] of every write."""
    return list(servos.order("report")["journal"])


def in_motion(bridge: BridgeHandle) -> None:
    """On the way up, far from where the chunk ends."""
    bridge.client.arm()
    assert bridge.client.send_chunk(chunk_from(bridge.client.status(), seconds=10.0)).ok
    moving(bridge.client)


DEATHS = {
    "killed": (signal.SIGKILL, "was killed by SIGKILL"),
    "hangs": (signal.SIGSTOP, "did not tick for 0.5 s"),
    "crashed": (signal.SIGSEGV, "was killed by SIGSEGV"),
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_dead_bridge_is_taken_over_from_and_the_arm_is_frozen(
    death: str, config: BridgeConfig, servos: ServoProcess
) -> None:
    number, said = DEATHS[death]
    with start_bridge(config) as bridge:
        client = bridge.client
        in_motion(bridge)
        before = client.status()
        died = time.monotonic()
        os.kill(bridge.bridge_pid, number)
        fault = until(client, lambda s: s.mode == "fault", patient=True)
        assert fault.torque == "on" and said in fault.fault and "rearm" in fault.fault and fault.seq > before.seq
        writes = [row for row in journal(servos) if row[0] > died]
        goals = [row for row in writes if row[2] == GOAL]
        ticks = {row[1]: row[3][0] | row[3][1] << 8 for row in goals}
        assert sorted(ticks) == [1, 2, 3, 4, 5, 6]  # goal = present, in every servo
        later = until(client, lambda s: s.seq > fault.seq + 40)
        assert np.abs(later.measured - fault.measured).max() < 0.02 and servos.torque() == [1] * 6
        assert len([row for row in journal(servos) if row[0] > died and row[2] == GOAL]) == len(goals)
        assert not [row for row in writes if row[2] == TORQUE and row[3] == [0]]
        [told] = bridge.takeovers()
        assert said in told and client.refresh().pid == bridge.bridge_pid and psutil.pid_exists(bridge.bridge_pid)
        refused = client.send_chunk(chunk_from(client.status()))
        assert not refused.ok and refused.error == "CommandRefused"
        client.rearm()
        until(client, lambda s: s.mode == "ready")
        assert client.send_chunk(chunk_from(client.status())).ok  # negative control: now it moves again
        until(client, lambda s: abs(s.measured[1] + 1.2) < 0.02)
        assert bridge.close() == "parked; torque off"
    assert max(shoulder_at_torque_off(servos)) < 100


def test_a_limp_arm_stays_limp_over_a_takeover(config: BridgeConfig, servos: ServoProcess) -> None:
    with start_bridge(config) as bridge:
        bridge.client.status()
        os.kill(bridge.bridge_pid, signal.SIGKILL)
        fault = until(bridge.client, lambda s: s.mode == "fault", patient=True)
        assert fault.torque == "off" and servos.torque() == [0] * 6
        assert [row for row in journal(servos) if row[2] == TORQUE and row[3] == [1]] == []


def test_virtual_servos_survive_their_bridge_and_end_with_its_supervisor() -> None:
    with start_bridge(BridgeConfig(robot="so101", port="sim", park_speed=3.0)) as bridge:
        client = bridge.client
        raise_arm(client)
        [servos] = [p for p in psutil.Process(bridge.pid).children() if "virtual_process" in " ".join(p.cmdline())]
        os.kill(bridge.bridge_pid, signal.SIGKILL)
        held = until(client, lambda s: s.mode == "fault", patient=True)
        assert held.torque == "on" and abs(held.measured[1] + 1.2) < 0.05 and servos.is_running()
    psutil.wait_procs([servos], timeout=10.0)
    assert not servos.is_running()


def test_a_bridge_that_keeps_dying_is_given_up(config: BridgeConfig, servos: ServoProcess) -> None:
    bridge = start_bridge(config)
    raise_arm(bridge.client)
    for number in range(3):
        os.kill(bridge.bridge_pid, signal.SIGKILL)
        deadline = time.monotonic() + 20.0
        while len(bridge.takeovers()) == number:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    os.kill(bridge.bridge_pid, signal.SIGKILL)
    with pytest.raises(BridgeGone, match=r"more than 3 takeovers within a minute.*hold the arm by hand"):
        bridge.close()
    assert servos.torque() == [1] * 6 and not bridge.alive


def test_a_bridge_killed_while_parking_leaves_the_arm_held(config: BridgeConfig, servos: ServoProcess) -> None:
    bridge = start_bridge(dataclasses.replace(config, park_speed=0.1))
    raise_arm(bridge.client)
    bridge.client.shutdown()
    until(bridge.client, lambda s: s.mode == "parking")
    os.kill(bridge.bridge_pid, signal.SIGKILL)
    assert "was killed by SIGKILL" in bridge.close() and servos.torque() == [1] * 6


def test_a_supervisor_killed_is_said_and_the_bridge_parks_once_nobody_drives(
    config: BridgeConfig, servos: ServoProcess
) -> None:
    bridge = start_bridge(config)
    client, pid = bridge.client, bridge.bridge_pid
    raise_arm(client)
    os.kill(bridge.pid, signal.SIGKILL)
    alone = until(client, lambda s: "supervisor died" in s.note)
    assert alone.mode in ("running", "ready") and alone.torque == "on"
    held = until(client, lambda s: s.seq > alone.seq + 20)  # these calls are the driver's heartbeat
    assert held.torque == "on" and psutil.pid_exists(pid)
    client.disconnect()
    psutil.wait_procs([psutil.Process(pid)], timeout=20.0)
    assert servos.torque() == [0] * 6 and max(shoulder_at_torque_off(servos)) < 100
    assert bridge.close() == "torque off"  # its last words came all the same


def test_both_killed_leaves_the_servos_holding(config: BridgeConfig, servos: ServoProcess) -> None:
    bridge = start_bridge(config)
    raise_arm(bridge.client)
    pid = bridge.bridge_pid
    os.kill(bridge.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(BridgeGone, match="no status"):
        while True:
            bridge.client.status(0.3)
    with pytest.raises(BridgeGone, match=r"without its farewell.*hold the arm"):
        bridge.close()
    assert servos.torque() == [1] * 6  # they hold by themselves


def test_a_second_client_lives_through_a_takeover(config: BridgeConfig) -> None:
    with start_bridge(config) as bridge, BridgeClient(bridge.endpoint) as watcher:
        bridge.client.arm()
        before = until(watcher, lambda s: s.torque == "on")
        os.kill(bridge.bridge_pid, signal.SIGKILL)
        fault = until(watcher, lambda s: s.mode == "fault", patient=True)
        seqs = [s.seq for s in watcher.statuses()]
        assert seqs == sorted(set(seqs)) and fault.seq > before.seq and fault.tick > before.tick
        with pytest.raises(CommandRefused):
            watcher.park()


def test_ctrl_c_in_a_terminal_asks_once_and_not_twice(config: BridgeConfig, servos: ServoProcess) -> None:
    bridge = start_bridge(config)
    raise_arm(bridge.client)
    os.killpg(bridge.pid, signal.SIGINT)  # as a terminal does to all that run in it; twice would mean "hold now"
    assert bridge.close() == "parked; torque off" and servos.torque() == [0] * 6


def test_a_machine_that_slept_is_no_dead_bridge(config: BridgeConfig) -> None:
    with start_bridge(config) as bridge:
        raise_arm(bridge.client)
        pids = (bridge.bridge_pid, bridge.pid)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(1.5)  # three times what a hung bridge is given
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
        before = bridge.client.status(15.0)
        status = until(bridge.client, lambda s: s.seq > before.seq + 20)
        assert bridge.takeovers() == [] and bridge.bridge_pid == pids[0] and status.fault == ""
        assert status.late_ticks > 100 and status.torque == "on"
