"""Virtual servos as a process: its orders, and a cable that is pulled and put back."""

from __future__ import annotations

import os
import pty
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge import drivers
from firmware_bridge.config import BridgeConfig
from firmware_bridge.errors import PortLost, PortMissing
from firmware_bridge.sts.bus import Bus, Patience
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.scan import scan
from tests.firmware_bridge.conftest import ServoProcess
from tests.firmware_bridge.sts.conftest import IDS, ROBOT

SIM = BridgeConfig(robot="so101", port="sim")


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[ServoProcess]:
    process = ServoProcess("--link", str(tmp_path / "arm"))
    yield process
    process.close()


@pytest.fixture
def host(linked: ServoProcess) -> Iterator[Bus]:
    bus = Bus(SerialLine(linked.port), Patience(reply_timeout_s=0.2))
    yield bus
    bus.close()


def eventually(holds: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "never became true"
        time.sleep(0.01)


def registers(process: ServoProcess, servo: int) -> dict[str, int]:
    found: dict[str, int] = process.order("report")["servos"][str(servo)]
    return found


def test_the_link_leads_to_the_present_pty(linked: ServoProcess, tmp_path: Path) -> None:
    assert linked.port == str(tmp_path / "arm")
    first = os.path.realpath(linked.port)
    linked.order("unplug")
    assert not os.path.lexists(linked.port)
    with pytest.raises(PortMissing):
        SerialLine(linked.port)
    answer = linked.order("replug")
    assert os.path.realpath(linked.port) == answer["port"] and first.startswith("/dev/pts/")
    assert linked.order("replug") == answer  # in already: nothing happens
    line = SerialLine(linked.port)
    assert scan(Bus(line), IDS) == IDS
    line.close()


def test_an_unplugged_port_is_lost_at_once_for_readers_and_writers(linked: ServoProcess, host: Bus) -> None:
    assert host.ping(1)
    linked.order("unplug")
    start = time.monotonic()
    with pytest.raises(PortLost, match=r"went away.*USB cable"):
        host.line.receive(start + 60.0)
    with pytest.raises(PortLost, match="went away"):
        host.line.send(b"x")
    with pytest.raises(PortLost):
        host.sync_read(40, 31, IDS)
    with pytest.raises(PortLost):
        host.sync_write("Goal_Position", {1: 2047})
    assert time.monotonic() - start < 30.0  # not at the deadline of the reading


def test_a_waiting_reader_is_woken_by_the_pulled_cable(linked: ServoProcess, host: Bus) -> None:
    """The cable goes while the host waits, not before."""
    timer = threading.Timer(0.2, lambda: linked.order("unplug"))
    timer.start()
    start = time.monotonic()
    with pytest.raises(PortLost):
        host.line.receive(start + 60.0)
    timer.join()
    assert time.monotonic() - start < 30.0


def test_servos_hold_on_over_a_pulled_cable_and_are_adopted_after_it(linked: ServoProcess) -> None:
    arm = drivers.open_arm(ROBOT, SIM, linked.port)
    goal = arm.torque_on()
    goal[0] += 0.3
    arm.send(goal)
    linked.order("unplug")
    with pytest.raises(PortLost):
        for _ in range(100):
            arm.read()
    arm.close()
    linked.order("replug")
    again = drivers.open_arm(ROBOT, SIM, linked.port, adopt=True)
    assert again.facts.torque == "on" and "frozen" in again.facts.report[0]
    assert again.read().changed == ()
    again.close()


def test_a_full_wire_is_lost_not_waited_for() -> None:
    """Nobody reads the other end, as behind a dead adapter: sending ends with an error."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    line = SerialLine(os.ttyname(slave))
    with pytest.raises(PortLost, match="takes no more bytes"):
        for _ in range(100_000):
            line.send(bytes(1000))
    os.read(master, 1 << 20)
    line.close()
    os.close(master)
    os.close(slave)


def test_reboot_power_cycle_and_brownout(linked: ServoProcess, host: Bus) -> None:
    accelerate = REGISTERS["Acceleration"]
    host.write(3, accelerate.name, 254)
    linked.order("reboot", servo=3)
    assert host.read(3, accelerate.name) == 0
    linked.order("set", servo=4, status=32)
    frame = host.ping(4)
    assert frame is not None and frame.error == 32
    host.write(1, accelerate.name, 254)
    linked.order("power_cycle", silent_s=0.3)
    host.patience = Patience(reply_timeout_s=0.02, unicast_timeout_s=0.02, retries=0)
    eventually(lambda: (frame := host.ping(4)) is not None and frame.error == 0)
    eventually(lambda: host.ping(1))
    host.patience = Patience(reply_timeout_s=0.2)
    assert host.read(1, accelerate.name) == 0
    host.write(1, accelerate.name, 254)
    linked.order("brownout", volts=3.5, sag_s=2.0, silent_s=0.1)
    assert host.read(1, "Present_Voltage") == 35
    host.patience = Patience(unicast_timeout_s=0.1, retries=5)  # longer than they are silent
    eventually(lambda: host.ping(1) and host.read(1, "Present_Voltage") == 74)
    assert host.read(1, accelerate.name) == 0


def test_a_blocked_joint_stalls_and_is_freed(linked: ServoProcess, host: Bus) -> None:
    at = host.read(1, "Present_Position")
    linked.order("block", servo=1, ticks=at + 30)
    host.sync_write("Goal_Position", {1: at + 300})
    load = REGISTERS["Present_Load"]
    eventually(lambda: host.read(1, load.name) > 900)
    assert abs(host.read(1, "Present_Position") - (at + 30)) <= 1
    linked.order("block", servo=1)
    eventually(lambda: abs(host.read(1, "Present_Position") - (at + 300)) <= 1)


def test_an_order_that_cannot_be_done_says_which_can(linked: ServoProcess) -> None:
    assert linked.process.stdin is not None
    for order in (b'{"do": "dance"}', b'{"do": "block"}', b'{"do": "set", "servo": 99, "voltage": 1}'):
        linked.process.stdin.write(order + b"\n")
        linked.process.stdin.flush()
        answer = linked._lines.read(5.0)
        assert answer is not None and "error" in answer and {"unplug", "brownout"} <= set(answer["orders"])
