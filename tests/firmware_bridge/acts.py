"""What tests of real bridges do: send chunks, wait for a status, run clients as processes and kill them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zmq

from firmware_bridge.client import FRAME, UNITS, BridgeClient, Chunk, Status
from firmware_bridge.messages import unpack
from firmware_bridge.robots import find
from firmware_bridge.sts.registers import REGISTERS
from tests.firmware_bridge.conftest import ServoProcess

TORQUE = REGISTERS["Torque_Enable"].address
PARK = np.array(find("so101").park_pose)
ROOT = str(Path(__file__).resolve().parents[2])


def chunk_from(status: Status, lift: float = -1.2, seconds: float = 1.0) -> Chunk:
    """Raise the shoulder to `lift` rad and stay there; the elbow opens, or the gripper would meet the shoulder."""
    goal = status.measured.astype(np.float32)
    goal[1:3] = lift, 0.9
    actions = np.tile(goal, (max(2, int(30 * seconds)), 1))
    return Chunk(actions, "so101", UNITS, FRAME, status.seq, status.tick, 1 / 30)


def until(
    client: BridgeClient, wanted: Callable[[Status], bool], timeout_s: float = 15.0, patient: bool = False
) -> Status:
    """The first status that is `wanted`; `patient`: through a time without any, as in a takeover."""
    deadline = time.monotonic() + timeout_s
    while True:
        status = client.status(timeout_s if patient else 3.0)
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


def ask_raw(endpoint: str, data: bytes) -> str:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(endpoint)
        socket.send(data)
        assert socket.poll(2000)
        reply = unpack(socket.recv())
    return str(getattr(reply, "text", ""))


CLIENT = """
import sys, time
sys.path.insert(0, {root!r})
from tests.firmware_bridge.acts import *
from firmware_bridge.client import *
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
