"""YAM arms through the whole bridge as real processes: virtual motors, the daemon, a client, and what dies."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.client import (
    FRAME,
    UNITS,
    BridgeClient,
    BridgeConfig,
    BridgeGone,
    Chunk,
    Status,
    Timing,
    start_bridge,
)
from firmware_bridge.damiao import calibration as calibrations
from firmware_bridge.damiao import frames, nibbles
from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.errors import PortBusy, PortMissing, ServoMissing, ServoWrong
from firmware_bridge.robots import find
from tests.firmware_bridge.damiao.conftest import MotorProcess

Start = Callable[..., MotorProcess]
TIMING = Timing(reply_timeout_s=0.05, client_timeout_s=5.0, park_after_s=5.0, silent_fault_s=0.6)


def raised(robot: str) -> np.ndarray:
    return np.array(find(robot).home_pose) * 0.6


def chunk_to(status: Status, goal: np.ndarray, seconds: float = 4.0) -> Chunk:
    actions = np.tile(goal.astype(np.float32), (round(30 * seconds), 1))
    return Chunk(actions, status.arm, UNITS, FRAME, status.seq, status.tick, 1 / 30)


def until(client: BridgeClient, wanted: Callable[[Status], bool], timeout_s: float = 30.0) -> Status:
    deadline = time.monotonic() + timeout_s
    while True:
        status = client.status()
        if wanted(status):
            return status
        assert time.monotonic() < deadline, status


def raise_arm(client: BridgeClient) -> Status:
    """Arm, send chunks, wait until it is there."""
    client.arm()
    status = until(client, lambda s: s.torque == "on")
    goal = raised(status.arm)
    reply = client.send_chunk(chunk_to(status, goal))
    assert reply.ok, reply.text
    return until(client, lambda s: bool(np.abs(s.measured - goal).max() < 0.05))


@pytest.fixture
def config_of(motors: Start, tmp_path: Path) -> Callable[..., tuple[BridgeConfig, MotorProcess]]:
    """config_of("yam", "slcan"): a live bridge's configuration on motors of their own."""

    def make(robot: str, link: str, timeout_ms: str = "1000") -> tuple[BridgeConfig, MotorProcess]:
        process = motors("--robot", robot, "--link", link, "--timeout-ms", timeout_ms)
        path = tmp_path / f"{robot}.json"
        path.write_text(json.dumps(calibrations.shipped(find(robot)).to_dict()))
        config = BridgeConfig(
            robot=robot,
            port=process.port,
            calibration=str(path),
            live=True,
            park_speed=1.5,
            timing=TIMING,
            id=f"test-{robot}-{os.getpid()}",
        )
        return config, process

    return make


Make = Callable[..., tuple[BridgeConfig, MotorProcess]]


def mit_rows(process: MotorProcess, joint: str) -> list[frames.Mit]:
    kind = MOTORS["DM4340" if joint[-1] in "123" else "DM4310"]
    rows = process.order("report")["journal"]
    return [frames.parse_mit(bytes.fromhex(row[3]), kind.ranges) for row in rows if row[1:3] == [joint, "mit"]]


@pytest.mark.parametrize("robot", ["yam", "bi-yam"])
def test_sim_moves_the_arm_and_parks(robot: str) -> None:
    config = BridgeConfig(robot=robot, port="sim", park_speed=1.5, timing=TIMING, id=f"test-sim-{os.getpid()}")
    with start_bridge(config, timeout_s=60.0) as bridge:
        client = bridge.client
        assert client.info.rate_hz == 200.0 and client.info.joints == find(robot).joints and client.info.live
        first = client.status()
        assert first.mode == "shadow" and first.torque == "off"
        raise_arm(client)
        recorded = client.statuses()
        assert [s.seq for s in recorded] == list(range(recorded[0].seq, recorded[-1].seq + 1))
        answered = np.mean([all(s.fresh) for s in recorded])
        assert answered > 0.5  # on the busiest machine most ticks still have all answers
        assert bridge.close() == "parked; torque off"


@pytest.mark.parametrize(("robot", "link"), [("yam", "slcan"), ("bi-yam", "udp_multicast")])
def test_every_exit_ends_with_disable_frames(config_of: Make, robot: str, link: str) -> None:
    config, process = config_of(robot, link)
    with start_bridge(config, timeout_s=60.0) as bridge:
        assert process.order("report")["frames"].get("enable", 0) == 0
        raise_arm(bridge.client)
        assert set(process.nibbles()) == {nibbles.ENABLED}
        os.kill(bridge.pid, signal.SIGTERM)
        assert bridge.close() == "parked; torque off"
    report = process.order("report")
    for joint in find(robot).joints:
        last = [row[2] for row in report["journal"] if row[1] == joint][-1]
        assert last == "disable"
    assert set(process.nibbles()) == {nibbles.DISABLED}


@pytest.mark.parametrize("policy", ["limp", "hold"])
def test_leaving_otherwise_disables_too(config_of: Make, policy: str) -> None:
    config, process = config_of("yam", "slcan")
    with start_bridge(config, timeout_s=60.0) as bridge:
        raise_arm(bridge.client)
        mark = process.order("report")["now"]
        assert "torque off" in bridge.close(policy)
    rows = [row for row in process.order("report")["journal"] if row[0] > mark]
    assert {row[1] for row in rows if row[2] == "disable"} == set(find("yam").joints)
    assert set(process.nibbles()) == {nibbles.DISABLED}
    if policy == "hold":  # a YAM cannot be left holding: it was lowered first
        gains = [command.kp for command in mit_rows(process, "joint_2")]
        gains = gains[: gains.index(0.0)]  # the newest part of the journal, up to the damped stop at the end
        assert gains[0] > 30.0 > 5.0 > gains[-1] and max(np.diff(gains)) < 1.0


def test_estop_holds_on_with_the_same_goal(config_of: Make) -> None:
    config, process = config_of("yam", "slcan")
    with start_bridge(config, timeout_s=60.0) as bridge:
        client = bridge.client
        client.arm()
        status = until(client, lambda s: s.torque == "on")
        goal = np.array(client.info.home_pose)
        assert client.send_chunk(chunk_to(status, goal)).ok
        until(client, lambda s: s.measured[1] > 0.1)
        client.estop()
        stopped = until(client, lambda s: s.mode == "estop")
        held = stopped.measured.copy()
        count = process.order("report")["frames"]["mit"]
        status = until(client, lambda s: s.seq > stopped.seq + 300)  # longer than the motors' watchdog
        assert not client.send_chunk(chunk_to(status, goal)).ok
        assert process.order("report")["frames"]["mit"] > count + 500
        assert set(process.nibbles()) == {nibbles.ENABLED}
        targets = [command.position for command in mit_rows(process, "joint_2")][-100:]
        assert max(targets) - min(targets) < 1e-3 and abs(status.measured[1] - held[1]) < 0.15
        client.rearm()
        until(client, lambda s: s.mode == "ready")
        assert raise_again(client)


def raise_again(client: BridgeClient) -> bool:
    status = client.status()
    goal = raised(status.arm)
    assert client.send_chunk(chunk_to(status, goal)).ok
    return bool(until(client, lambda s: bool(np.abs(s.measured - goal).max() < 0.05)))


def test_a_killed_bridge_is_taken_over_before_the_motors_let_go(config_of: Make) -> None:
    config, process = config_of("bi-yam", "slcan")
    with start_bridge(config, timeout_s=60.0) as bridge:
        client = bridge.client
        before = raise_arm(client).measured
        process.order("report")
        os.kill(bridge.bridge_pid, signal.SIGKILL)
        killed = process.order("report")["now"]
        fault = until(client, lambda s: s.mode == "fault")
        assert fault.torque == "on" and np.abs(fault.measured - before).max() < 0.1
        assert process.nibbles() == [nibbles.ENABLED] * 14
        rows = [row for row in process.order("report")["journal"] if row[0] > killed]
        assert {row[2] for row in rows} == {"mit"}  # not one was enabled anew: none had let go
        client.rearm()
        until(client, lambda s: s.mode == "ready")
        assert raise_again(client)
        assert bridge.close() == "parked; torque off"


def test_with_its_supervisor_dead_too_the_motors_brake_after_their_watchdog(config_of: Make) -> None:
    config, process = config_of("bi-yam", "udp_multicast", "400")
    bridge = start_bridge(config, timeout_s=60.0)
    raise_arm(bridge.client)
    own = bridge.bridge_pid
    os.kill(bridge.pid, signal.SIGKILL)
    os.kill(own, signal.SIGKILL)
    killed = process.order("report")["now"]
    with pytest.raises(BridgeGone):
        bridge.close()
    deadline = time.monotonic() + 20.0
    while set(process.nibbles()) != {nibbles.COMMUNICATION_LOST}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    rows = [row for row in process.order("report")["journal"] if row[0] > killed]
    assert not [row for row in rows if row[2] in ("enable", "clear")]
    with start_bridge(config, timeout_s=60.0) as again:  # a new bridge finds them, and arms them when asked
        first = again.client.status()
        assert first.torque == "off" and set(process.nibbles()) == {nibbles.COMMUNICATION_LOST}
        again.client.arm()
        until(again.client, lambda s: s.torque == "on")
        assert set(process.nibbles()) == {nibbles.ENABLED}


def test_a_hot_motor_latches_a_fault_and_the_others_hold(config_of: Make) -> None:
    config, process = config_of("yam", "slcan")
    with start_bridge(config, timeout_s=60.0) as bridge:
        client = bridge.client
        raise_arm(client)
        process.order("set", motor="joint_5", nibble=0xE)
        fault = until(client, lambda s: s.mode == "fault")
        assert "joint_5" in fault.fault and "overload" in fault.fault
        until(client, lambda s: s.seq > fault.seq + 250)
        states = process.nibbles()
        assert states[:4] == [1, 1, 1, 1] and states[5:] == [1, 1] and states[4] != 1
        until(client, lambda s: not any(s.alarms))
        client.rearm()
        until(client, lambda s: s.mode == "ready")
        assert process.nibbles() == [1] * 7
        bridge.close()


def test_a_silent_motor_faults_and_comes_back(config_of: Make) -> None:
    config, process = config_of("yam", "udp_multicast")
    with start_bridge(config, timeout_s=60.0) as bridge:
        client = bridge.client
        raise_arm(client)
        process.order("fault", motor="joint_3", silent=True)
        held = until(client, lambda s: not s.fresh[2])
        assert held.measured[2] == pytest.approx(raised("yam")[2], abs=0.1)
        fault = until(client, lambda s: s.mode == "fault")
        assert "joint_3 has not answered" in fault.fault
        process.order("fault", motor="joint_3", silent=False)
        until(client, lambda s: all(s.fresh))
        client.rearm()
        assert raise_again_after(client)


def raise_again_after(client: BridgeClient) -> bool:
    until(client, lambda s: s.mode == "ready")
    return raise_again(client)


def test_pulled_adapters_are_a_fault_that_says_so(config_of: Make) -> None:
    config, process = config_of("yam", "slcan")
    with start_bridge(config, timeout_s=60.0) as bridge:
        raise_arm(bridge.client)
        process.close()
        fault = until(bridge.client, lambda s: s.mode == "fault")
        assert "slcan:/dev/pts" in fault.fault
        bridge.close()


def test_start_failures_arrive_as_the_same_error(config_of: Make) -> None:
    config, process = config_of("yam", "udp_multicast")
    process.order("write", motor="joint_2", name="TIMEOUT", value=0)
    with pytest.raises(ServoWrong, match=r"joint_2: TIMEOUT.*switched off"):
        start_bridge(config, timeout_s=60.0)
    process.order("write", motor="joint_2", name="TIMEOUT", value=8000)
    process.order("fault", motor="joint_6", deaf=True)
    with pytest.raises(ServoMissing, match=r"joint_6 \(id 6 on udp_multicast"):
        start_bridge(config, timeout_s=60.0)
    process.order("fault", motor="joint_6", deaf=False)
    with pytest.raises(PortMissing, match="sudo ip link set can99 up type can bitrate 1000000"):
        start_bridge(dataclasses.replace(config, port="can99"), timeout_s=60.0)
    assert process.order("report")["journal"] == []
    with (
        start_bridge(config, timeout_s=60.0) as bridge,
        pytest.raises(PortBusy, match="somebody else talks"),
    ):
        assert bridge.client.status().mode == "shadow"
        start_bridge(dataclasses.replace(config, id=f"{config.id}-two"), timeout_s=60.0)


def test_shadow_on_a_real_port_sends_reads_only(config_of: Make) -> None:
    config, process = config_of("yam", "slcan")
    with start_bridge(dataclasses.replace(config, live=False), timeout_s=60.0) as bridge:
        client = bridge.client
        assert client.send_chunk(chunk_to(client.status(), raised("yam"))).ok
        until(client, lambda s: s.commanded[1] > 0.2)
        bridge.close("limp")
    report = process.order("report")
    assert report["journal"] == [] and set(report["frames"]) <= {"read", "refresh", "strange"}
