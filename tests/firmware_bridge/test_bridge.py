"""The bridge as real processes: virtual servos, supervisor, daemon and clients; the road, refusals, leaving."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgpack
import numpy as np
import psutil
import pytest

from firmware_bridge.client import (
    BridgeClient,
    BridgeConfig,
    BridgeGone,
    Chunk,
    CommandRefused,
    ProtocolMismatch,
    start_bridge,
)
from firmware_bridge.errors import CalibrationMismatch, ConfigError, PortBusy, PortMissing, ServoMissing
from firmware_bridge.messages import FRAME, PROTOCOL, SCHEMA, UNITS
from firmware_bridge.robots import find
from tests.firmware_bridge.acts import PARK, ROOT, ask_raw, chunk_from, moving, raise_arm, shoulder_at_torque_off, until
from tests.firmware_bridge.conftest import ServoProcess
from tests.speeds import fastest

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
        assert fastest([s.commanded for s in recorded], [s.tick for s in recorded], 100.0) <= 3.0 + 1e-6
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
        assert "finite" in ask_raw(bridge.endpoint, raw)
        assert client.send_chunk(good).ok


def _nan_chunk(good: Chunk, actions: np.ndarray) -> list[object]:
    """A chunk that no client of ours could build, as its parts on the wire."""
    actions[0, 0] = np.nan
    body = msgpack.packb(["<f4", actions.shape, actions.tobytes()])
    names = (good.arm, good.units, good.frame)
    fields = [msgpack.ExtType(1, body), *names, good.status_seq, good.start_tick, good.dt, good.speed]
    return [SCHEMA, "Chunk", fields]


NOISE = {
    "a name that is a map": ["Command", [{}, ""]],
    "an argument that is a number": ["Command", ["shutdown", 5]],
    "a chunk of texts": ["Chunk", ["a", "so101", UNITS, FRAME, 1, 1, 0.1]],
    "an array of no shape": ["Chunk", [msgpack.ExtType(1, b""), "so101", UNITS, FRAME, 1, 1, 0.1]],
    "a status": ["Info", [0] * 19],
}


def test_messages_that_no_client_of_ours_sends_are_refused_and_the_bridge_lives(config: BridgeConfig) -> None:
    with start_bridge(config) as bridge:
        before = bridge.client.status()
        for name, parts in NOISE.items():
            text = ask_raw(bridge.endpoint, msgpack.packb([PROTOCOL, SCHEMA, *parts]))
            assert text, name
        for data in (b"", b"x" * 100_000, msgpack.packb(7)):
            assert "cannot be read" in ask_raw(bridge.endpoint, data)
        after = until(bridge.client, lambda s: s.seq > before.seq + 5)
        assert after.mode == "shadow" and bridge.takeovers() == []
        assert bridge.client.arm().ok


def test_another_version_is_told_what_to_update(config: BridgeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    with start_bridge(config) as bridge:
        text = ask_raw(bridge.endpoint, msgpack.packb([PROTOCOL, "deadbeef", "Command", ["arm", ""]]))
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
    with pytest.raises(ConfigError, match=r"pose.*elbow"):
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


# -- leaving


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
