"""The bridge as real processes: virtual servos, the daemon and its clients, and what dies in between."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgpack
import numpy as np
import psutil
import pytest
import zmq

from firmware_bridge.client import (
    FRAME,
    UNITS,
    BridgeClient,
    BridgeConfig,
    BridgeGone,
    BridgeHandle,
    Chunk,
    CommandRefused,
    ProtocolMismatch,
    Status,
    start_bridge,
)
from firmware_bridge.errors import CalibrationMismatch, ConfigError, PortBusy, PortMissing, ServoMissing
from firmware_bridge.messages import PROTOCOL, unpack
from firmware_bridge.robots import find
from firmware_bridge.sts.registers import REGISTERS
from tests.firmware_bridge.conftest import ServoProcess

TORQUE = REGISTERS["Torque_Enable"].address
PARK = np.array(find("so101").park_pose)
ROOT = str(Path(__file__).resolve().parents[2])


def chunk_from(status: Status, lift: float = -1.2, seconds: float = 1.0) -> Chunk:
    """Raise the shoulder to `lift` rad and stay there."""
    goal = status.measured.astype(np.float32)
    goal[1] = lift
    actions = np.tile(goal, (max(2, int(30 * seconds)), 1))
    return Chunk(actions, "so101", UNITS, FRAME, status.seq, status.tick, 1 / 30)


def until(client: BridgeClient, wanted: Callable[[Status], bool], timeout_s: float = 10.0) -> Status:
    deadline = time.monotonic() + timeout_s
    while True:
        status = client.status()
        if wanted(status):
            return status
        assert time.monotonic() < deadline, status


def raise_arm(client: BridgeClient) -> Status:
    """Arm, send a chunk, wait until the shoulder is up."""
    client.arm()
    status = until(client, lambda s: s.torque == "on")
    assert client.send_chunk(chunk_from(status)).ok
    return until(client, lambda s: abs(s.measured[1] + 1.2) < 0.02)


def moving(client: BridgeClient) -> Status:
    """Some ticks into a chunk: a reading came after its first goals, so the servos have them."""
    first = until(client, lambda s: s.mode == "running")
    return until(client, lambda s: s.mode == "running" and s.seq > first.seq + 3)


def shoulder_at_torque_off(servos: ServoProcess) -> list[float]:
    """Distance of the shoulder from its park pose, ticks, at each torque-off that reached it."""
    parked = 910 + 3184 - (910 + 3184) / 2 + PARK[1] * 4095 / (2 * np.pi)
    journal = servos.order("report")["journal"]
    return [abs(row[4] - parked) for row in journal if row[1:4] == [2, TORQUE, [0]]]


# -- the road


def test_sim_moves_the_arm_and_parks() -> None:
    with start_bridge(BridgeConfig(robot="so101", port="sim", park_speed=3.0)) as bridge:
        client = bridge.client
        assert client.info.joints == find("so101").joints and client.info.live
        first = client.status()
        assert first.mode == "shadow" and first.torque == "off" and all(first.fresh)
        raised = raise_arm(client)
        assert raised.mode in ("running", "ready")
        recorded = client.statuses()
        assert [s.seq for s in recorded] == list(range(recorded[0].seq, recorded[-1].seq + 1))
        assert any("speed" in text for s in recorded for text in s.clamped)
        step = np.abs(np.diff([s.commanded for s in recorded], axis=0)).max()
        assert step <= 3.0 / 100 + 1e-9
        assert bridge.close() == "parked; torque off"
    assert not psutil.pid_exists(bridge.pid) or psutil.Process(bridge.pid).status() == "zombie"


def test_nothing_moves_without_arm(config: BridgeConfig, servos: ServoProcess) -> None:
    with start_bridge(config) as bridge:
        status = bridge.client.status()
        assert bridge.client.send_chunk(chunk_from(status)).ok
        shadow = until(bridge.client, lambda s: abs(s.commanded[1] + 1.2) < 0.01)
        assert "not sent" in shadow.note and abs(shadow.measured[1] - PARK[1]) < 0.01
        assert servos.goal_frames() == 0 and servos.torque() == [0] * 6
        raise_arm(bridge.client)  # negative control: the same chunk after arm
        assert servos.goal_frames() > 10 and servos.torque() == [1] * 6


def test_shadow_on_a_real_port_writes_nothing_at_all(config: BridgeConfig, servos: ServoProcess) -> None:
    servos.order("write", servo=2, name="P_Coefficient", value=32)
    with start_bridge(dataclasses.replace(config, live=False)) as bridge:
        status = bridge.client.status()
        with pytest.raises(CommandRefused, match="not live"):
            bridge.client.arm()
        assert bridge.client.send_chunk(chunk_from(status)).ok
        until(bridge.client, lambda s: abs(s.commanded[1] + 1.2) < 0.01)
        assert "neither goals nor torque" in bridge.close("limp")
    report = servos.order("report")
    assert report["journal"] == [] and not {"write", "sync_write", "goal"} & {
        name for name, count in report["frames"].items() if count
    }


def test_estop_stops_every_goal_frame(config: BridgeConfig, servos: ServoProcess) -> None:
    with start_bridge(config) as bridge, BridgeClient(bridge.endpoint) as other:
        client = bridge.client
        client.arm()
        assert client.send_chunk(chunk_from(client.status(), seconds=5.0)).ok
        moving(client)
        before = servos.goal_frames()
        assert before > 0
        other.estop()  # anybody may
        until(client, lambda s: s.mode == "estop")  # this tick's reading was answered after any goal before it
        stopped = servos.goal_frames()
        for _ in range(20):
            status = client.status()
            refused = client.send_chunk(chunk_from(status))
            assert not refused.ok and "rearm" in refused.text
        assert servos.goal_frames() == stopped and status.mode == "estop" and status.torque == "on"
        client.rearm()
        until(client, lambda s: s.mode == "ready")
        assert client.send_chunk(chunk_from(client.status())).ok
        moving(client)
        assert servos.goal_frames() > stopped  # negative control: the count does count


def test_chunks_that_must_not_move_the_arm_are_refused(config: BridgeConfig) -> None:
    with start_bridge(config) as bridge:
        client = bridge.client
        client.arm()
        good = chunk_from(client.status())
        rows = {"another arm": {"arm": "yam"}, "another units": {"units": "degrees"}, "stale": {"status_seq": 0}}
        for text, change in rows.items():
            reply = client.send_chunk(dataclasses.replace(good, **change))  # type: ignore[arg-type]
            assert not reply.ok and reply.error == "ChunkRefused" and text in reply.text
        actions = good.actions.copy()
        raw = msgpack.packb([PROTOCOL, *_nan_chunk(good, actions)])
        assert "finite" in _raw(bridge.endpoint, raw)
        assert client.send_chunk(good).ok


def _nan_chunk(good: Chunk, actions: np.ndarray) -> list[object]:
    """A chunk that no client of ours could build, as its parts on the wire."""
    from firmware_bridge.messages import SCHEMA

    actions[0, 0] = np.nan
    body = msgpack.packb(["<f4", actions.shape, actions.tobytes()])
    fields = [msgpack.ExtType(1, body), good.arm, good.units, good.frame, good.status_seq, good.start_tick, good.dt]
    return [SCHEMA, "Chunk", fields]


def _raw(endpoint: str, data: bytes) -> str:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(endpoint)
        socket.send(data)
        assert socket.poll(2000)
        reply = unpack(socket.recv())
    return str(getattr(reply, "text", ""))


def test_another_version_is_told_what_to_update(config: BridgeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    with start_bridge(config) as bridge:
        text = _raw(bridge.endpoint, msgpack.packb([PROTOCOL, "deadbeef", "Command", ["arm", ""]]))
        assert "schema deadbeef" in text and "install one version on both sides" in text
        monkeypatch.setattr("firmware_bridge.messages.SCHEMA", "deadbeef")
        with pytest.raises(ProtocolMismatch, match="install one version on both sides"):
            BridgeClient(bridge.endpoint)
        monkeypatch.undo()
        BridgeClient(bridge.endpoint).disconnect()


def test_the_client_needs_no_bus() -> None:
    code = "import sys; import firmware_bridge.client; print([m for m in sys.modules if m.split('.')[0] in sys.argv])"
    words = ["serial", "torch", "onnxruntime", "policy_spec", "edge"]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
    done = subprocess.run([sys.executable, "-c", code, "zmq"], cwd=ROOT, capture_output=True, text=True)
    assert "zmq" in done.stdout  # negative control: the list can be full


# -- what cannot start


def test_start_failures_arrive_as_the_same_error(config: BridgeConfig, servos: ServoProcess) -> None:
    with pytest.raises(PortMissing, match="ttyNOT_THERE"):
        start_bridge(dataclasses.replace(config, port="/dev/ttyNOT_THERE"))
    with pytest.raises(ConfigError, match="so101 or so100"):
        start_bridge(dataclasses.replace(config, robot="so102"))
    with pytest.raises(ConfigError, match=r"park_pose.*elbow"):
        start_bridge(dataclasses.replace(config, park_pose={"elbow": 0.0}))
    data = json.loads(Path(config.calibration).read_text())
    data["gripper"]["homing_offset"] += 1
    Path(config.calibration).write_text(json.dumps(data))
    with pytest.raises(CalibrationMismatch, match="gripper Homing_Offset: file 1421, servo 1420"):
        start_bridge(config)
    servos.order("fault", servo=5, silent=True)
    with pytest.raises(ServoMissing, match=r"5 \(wrist_roll\)"):
        start_bridge(config)


def test_a_second_bridge_on_the_port_is_refused(config: BridgeConfig) -> None:
    with start_bridge(config), pytest.raises(PortBusy, match="busy"):
        start_bridge(config)


def test_a_bridge_that_is_not_there_is_gone(tmp_path: Path) -> None:
    with pytest.raises(BridgeGone, match="did not answer"):
        BridgeClient(f"ipc://{tmp_path}/nobody", timeout_s=0.2)


# -- what dies


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
        until(client, lambda s: all(s.fresh))
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


CLIENT = """
import sys, time
sys.path.insert(0, {root!r})
from tests.firmware_bridge.test_bridge import *
{body}
while True:
    client.send_chunk(chunk_from(client.status(), seconds=2.0))
    time.sleep(0.05)
"""
ATTACH = "client = BridgeClient(sys.argv[1]); client.arm(); print('armed', flush=True)"
START = """
config = BridgeConfig.from_json(sys.argv[1])
bridge = start_bridge(config); client = bridge.client; client.arm(); print(bridge.endpoint, bridge.pid, flush=True)
"""


def run_client(body: str, argument: str) -> tuple[subprocess.Popen[str], str]:
    code = CLIENT.format(root=ROOT, body=body)
    process = subprocess.Popen([sys.executable, "-c", code, argument], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_park_then_torque_off(number: signal.Signals, config: BridgeConfig, servos: ServoProcess) -> None:
    bridge = start_bridge(config)
    raise_arm(bridge.client)
    assert shoulder_at_torque_off(servos) == []
    os.kill(bridge.pid, number)
    assert bridge.close() == "parked; torque off"
    assert servos.torque() == [0] * 6 and max(shoulder_at_torque_off(servos)) < 100


@pytest.mark.parametrize(("policy", "torque"), [("hold", [1] * 6), ("limp", [0] * 6)])
def test_hold_and_limp_leave_the_arm_where_it_is(
    policy: str, torque: list[int], config: BridgeConfig, servos: ServoProcess
) -> None:
    bridge = start_bridge(config)
    raise_arm(bridge.client)
    farewell = bridge.close(policy)
    assert servos.torque() == torque and ("torque on" in farewell) == (policy == "hold")
    far = [distance > 250 for distance in shoulder_at_torque_off(servos)]
    assert far == ([True] if policy == "limp" else [])  # also: the park tests' distance can be large


def test_a_second_signal_while_parking_leaves_the_arm_held(config: BridgeConfig, servos: ServoProcess) -> None:
    bridge = start_bridge(dataclasses.replace(config, park_speed=0.1))
    raise_arm(bridge.client)
    os.kill(bridge.pid, signal.SIGINT)
    until(bridge.client, lambda s: s.mode == "parking")
    os.kill(bridge.pid, signal.SIGINT)
    assert "parking was broken off; torque on" in bridge.close()
    assert servos.torque() == [1] * 6


def test_a_bridge_started_on_a_holding_arm_does_not_drop_it(config: BridgeConfig, servos: ServoProcess) -> None:
    bridge = start_bridge(config)
    raise_arm(bridge.client)
    bridge.close("hold")
    with start_bridge(config) as again:
        status = again.client.status()
        assert status.torque == "on" and abs(status.measured[1] + 1.2) < 0.02
        with pytest.raises(CommandRefused, match="arm, then park"):
            again.client.park()
        again.client.arm()
        again.client.park()
        until(again.client, lambda s: s.torque == "off")
    assert max(shoulder_at_torque_off(servos)) < 100


def test_kill_9_of_the_bridge_is_told_to_the_client(config: BridgeConfig, servos: ServoProcess) -> None:
    bridge: BridgeHandle = start_bridge(config)
    raise_arm(bridge.client)
    os.kill(bridge.pid, signal.SIGKILL)
    with pytest.raises(BridgeGone, match="no status"):
        while True:
            bridge.client.status(0.3)
    with pytest.raises(BridgeGone, match=r"without its farewell.*hold the arm"):
        bridge.close()
    assert servos.torque() == [1] * 6  # the servos hold by themselves


def test_a_pulled_cable_is_a_fault_that_is_still_told(config: BridgeConfig, servos: ServoProcess) -> None:
    bridge = start_bridge(config)
    bridge.client.arm()
    until(bridge.client, lambda s: s.torque == "on")
    servos.close()
    status = until(bridge.client, lambda s: s.mode == "fault")
    assert "went away" in status.fault and "torque: on" in status.fault and not any(status.fresh)
    assert "went away" in bridge.close()


def test_virtual_servos_die_with_their_bridge() -> None:
    bridge = start_bridge(BridgeConfig(robot="so101", port="sim"))
    (child,) = psutil.Process(bridge.pid).children()
    os.kill(bridge.pid, signal.SIGKILL)
    psutil.wait_procs([child], timeout=5.0)
    assert not child.is_running() or child.status() == "zombie"
    with pytest.raises(BridgeGone):
        bridge.close()
