"""python-can itself talks to the virtual motors: in one process, over multicast, and through slcan on a pty."""

from __future__ import annotations

import time
from collections.abc import Callable

import can
import numpy as np
import pytest

from firmware_bridge.client import BridgeConfig, Timing
from firmware_bridge.damiao import frames
from firmware_bridge.damiao.can_port import Spec, parse_port
from firmware_bridge.damiao.connect import open_arm
from firmware_bridge.damiao.frames import Mit
from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.damiao.registers import REGISTERS
from firmware_bridge.damiao.virtual_process import comes_through, free_ports
from firmware_bridge.damiao.virtual_slcan import make_line, parse_line
from tests.firmware_bridge.damiao.conftest import PATIENCE_S, YAM, MotorProcess, Rig, go

RANGES = MOTORS["DM4340"].ranges


def ask(bus: can.BusABC, frame: frames.Frame, wanted: int) -> bytes:
    """Send one frame, wait for the answer under arbitration id `wanted`."""
    bus.send(can.Message(arbitration_id=frame.id, data=frame.data, is_extended_id=False))
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        message = bus.recv(1.0)
        if message is not None and message.arbitration_id == wanted:
            return bytes(message.data)
    raise AssertionError(f"no answer to {frame}")


def converse(bus: can.BusABC) -> None:
    """A whole conversation with motor 1, a DM4340, as any program would have it."""
    timeout = REGISTERS["TIMEOUT"].number
    answer = frames.parse_register(ask(bus, frames.make_register_read(1, timeout), 0x11))
    assert answer is not None and (answer.id, answer.action, answer.register) == (1, frames.READ, timeout)
    assert int.from_bytes(answer.data, "little") in (8000, 20000)
    seen = frames.parse_feedback(ask(bus, frames.make_refresh(1), 0x11), RANGES)
    assert seen is not None and (seen.id, seen.error) == (1, 0) and 20 < seen.mos < 60
    seen = frames.parse_feedback(ask(bus, frames.make_word(1, frames.ENABLE), 0x11), RANGES)
    assert seen is not None and seen.error == 1
    deadline = time.monotonic() + 20.0
    while seen.position < 0.15:  # it follows its commands
        frame = frames.make_mit(1, Mit(0.2, 0.0, 80.0, 5.0, 0.0), RANGES)
        seen = frames.parse_feedback(ask(bus, frame, 0x11), RANGES)
        assert seen is not None and seen.error == 1 and time.monotonic() < deadline
    seen = frames.parse_feedback(ask(bus, frames.make_word(1, frames.DISABLE), 0x11), RANGES)
    assert seen is not None and seen.error == 0


def test_virtual(rig: Rig) -> None:
    with rig.bus() as bus:
        converse(bus)
    assert [row.what for row in rig.rows() if row.what != "mit"] == ["enable", "disable"]


@pytest.mark.parametrize("link", ["udp_multicast", "slcan"])
def test_between_processes(link: str, motors: Callable[..., MotorProcess]) -> None:
    process = motors("--robot", "yam", "--link", link, "--timeout-ms", "1000")
    (spec,) = parse_port(process.port, ("",))
    assert spec.interface == link
    if link == "slcan":
        bus = can.Bus(interface="slcan", channel=spec.channel, bitrate=1_000_000, sleep_after_open=0.0)
    else:
        address, _, port = spec.channel.rpartition(":")
        bus = can.Bus(interface="udp_multicast", channel=address, port=int(port), hop_limit=0)
    with bus:
        converse(bus)
    report = process.order("report")
    assert [row[1:3] for row in report["journal"] if row[2] != "mit"] == [["joint_1", "enable"], ["joint_1", "disable"]]
    assert report["motors"]["joint_1"]["joint"] > 0.1


def test_two_arms_have_two_buses(motors: Callable[..., MotorProcess]) -> None:
    process = motors("--robot", "bi-yam", "--link", "slcan")
    left, right = parse_port(process.port, ("left", "right"))
    with can.Bus(interface="slcan", channel=right.channel, sleep_after_open=0.0) as bus:
        ask(bus, frames.make_word(3, frames.ENABLE), 0x13)
    states = {name: row["nibble"] for name, row in process.order("report")["motors"].items()}
    assert left != right and [name for name, nibble in states.items() if nibble] == ["right_joint_3"]


def test_orders_that_cannot_be_done_are_answered(motors: Callable[..., MotorProcess]) -> None:
    process = motors("--robot", "yam", "--link", "slcan")
    for order in (
        {"do": "dance"},
        {"do": "fault", "motor": "joint_9", "silent": True},
        {"do": "set", "motor": "gripper", "id": 3},
    ):
        with pytest.raises(AssertionError, match="error"):
            process.order(**order)  # type: ignore[arg-type]
    assert process.order("place", motor="joint_2", joint=0.1) == {"ok": True}


def test_hands_move_limp_joints_and_stop_at_what_is_in_the_way(motors: Callable[..., MotorProcess]) -> None:
    process = motors("--robot", "yam", "--link", "slcan", "--reversed", "joint_1")
    process.order("stop", motor="joint_2", low=0.0, high=0.2)
    process.order("hand", joints={"joint_1": 0.3, "joint_2": 0.5}, speed=20.0)
    deadline = time.monotonic() + 20.0
    while True:
        seen = {name: row["joint"] for name, row in process.order("report")["motors"].items()}
        if seen["joint_1"] == pytest.approx(0.3, abs=0.01) and seen["joint_2"] == pytest.approx(0.2, abs=0.01):
            break
        assert time.monotonic() < deadline, seen
    process.order("hand", joints={"joint_2": None})  # let go, it sinks; the base stays where it is held
    while process.order("report")["motors"]["joint_2"]["joint"] > 0.15:
        assert time.monotonic() < deadline
    assert process.order("report")["motors"]["joint_1"]["joint"] == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("gripper", ["linear_4310", "linear_3507", "crank_4310", "flexible_4310"])
def test_every_gripper_opens(gripper: str, motors: Callable[..., MotorProcess]) -> None:
    process = motors("--robot", "yam", "--link", "slcan", "--gripper", gripper, "--timeout-ms", "1000")
    timing = Timing(reply_timeout_s=PATIENCE_S)
    arm = open_arm(YAM, BridgeConfig(robot="yam", port="sim", gripper=gripper, timing=timing), process.port, False)
    try:
        arm.torque_on()
        go(arm, np.array([0.0, 0.3, 0.3, 0.0, 0.0, 0.0, 0.8]), 1.0)
        assert process.order("report")["motors"]["gripper"]["joint"] == pytest.approx(0.8, abs=0.05)
    finally:
        arm.close()
    assert set(process.nibbles()) == {0}


def test_what_does_not_come_through_is_noticed() -> None:
    (spec,) = free_ports(1)
    assert comes_through(spec)
    assert not comes_through(Spec("udp_multicast", "10.0.0.1:4711"))  # no multicast group


def test_lines_of_slcan() -> None:
    frame = frames.Frame(0x7FF, bytes.fromhex("0100330900000000"))
    assert make_line(frame) == b"t7FF80100330900000000\r"
    assert parse_line(make_line(frame)[:-1]) == frame
    for line in (b"", b"S8", b"O", b"V", b"t7FF8", b"tXYZ0", b"t001901", b"T000000010", b"\xff"):
        assert parse_line(line) is None
