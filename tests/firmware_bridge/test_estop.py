"""The emergency stop over the real socket: whoever sends it, whatever waits before it, from a thread or a signal."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import zmq

from firmware_bridge.client import BridgeClient, BridgeConfig, start_bridge
from firmware_bridge.messages import Command, Reply, pack, unpack
from firmware_bridge.sts.registers import REGISTERS
from tests.firmware_bridge.acts import chunk_from, moving, raise_arm, until
from tests.firmware_bridge.conftest import ServoProcess

TORQUE = REGISTERS["Torque_Enable"].address


def test_a_stop_behind_64_messages_is_obeyed_before_the_next_goal(config: BridgeConfig, servos: ServoProcess) -> None:
    with start_bridge(config) as bridge, zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        client = bridge.client
        client.arm()
        assert client.send_chunk(chunk_from(client.status(), seconds=10.0)).ok
        moving(client)
        socket.linger = 0
        socket.connect(bridge.endpoint)
        for _ in range(64):
            socket.send(pack(Command("hello")))
        socket.send(pack(Command("estop")))
        replies = []
        for _ in range(65):
            assert socket.poll(5000)
            replies.append(unpack(socket.recv()))
        stop = replies[-1]
        assert isinstance(stop, Reply) and stop.ok and stop.mode == "estop"
        until(client, lambda s: s.seq > stop.seq + 2)  # a reading that was answered after any goal before it
        frames = servos.goal_frames()
        until(client, lambda s: s.mode == "estop" and s.seq > stop.seq + 20)
        assert servos.goal_frames() == frames > 0


def test_cut_takes_the_torque_off_before_it_answers(config: BridgeConfig, servos: ServoProcess) -> None:
    with start_bridge(config) as bridge, BridgeClient(bridge.endpoint) as other:
        raise_arm(bridge.client)
        assert servos.torque() == [1] * 6  # negative control
        reply = other.estop(cut=True)
        answered = time.monotonic()
        offs = [row for row in servos.order("report")["journal"] if row[2] == TORQUE and row[3] == [0]]
        assert {row[1] for row in offs if row[0] < answered} == {1, 2, 3, 4, 5, 6}
        assert reply.mode == "estop" and servos.torque() == [0] * 6
        frames = servos.goal_frames()
        status = until(bridge.client, lambda s: s.torque == "off" and s.seq > reply.seq + 20)
        assert status.mode == "estop" and servos.goal_frames() == frames  # a goal would switch the torque on again
        bridge.client.rearm()
        assert until(bridge.client, lambda s: s.mode == "ready").torque == "on"


def test_a_stop_does_not_wait_for_another_thread_of_its_client(config: BridgeConfig) -> None:
    with start_bridge(config) as bridge:
        client = bridge.client
        client.arm()
        held, done = threading.Event(), threading.Event()

        def wait_long() -> None:
            with client._lock:  # as a call does that waits for a status or an answer
                held.set()
                done.wait(20.0)

        other = threading.Thread(target=wait_long)
        other.start()
        held.wait()
        assert client.estop().mode == "estop" and other.is_alive()
        done.set()
        other.join()


@pytest.mark.parametrize("whom", ["supervisor", "bridge"])
def test_a_signal_is_an_emergency_stop(whom: str, config: BridgeConfig) -> None:
    with start_bridge(config) as bridge:
        raise_arm(bridge.client)
        os.kill(bridge.pid if whom == "supervisor" else bridge.bridge_pid, signal.SIGUSR1)
        status = until(bridge.client, lambda s: s.mode == "estop")
        assert status.torque == "on"
        assert bridge.alive and bridge.takeovers() == []
