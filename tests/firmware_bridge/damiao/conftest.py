"""Virtual motors on real python-can buses, in this process or in one of their own."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import can
import numpy as np
import pytest

from firmware_bridge import robots
from firmware_bridge.client import BridgeConfig, Timing
from firmware_bridge.damiao import calibration as calibrations
from firmware_bridge.damiao.arm import DamiaoArm
from firmware_bridge.damiao.can_port import Spec, open_port
from firmware_bridge.damiao.connect import open_arm
from firmware_bridge.damiao.virtual_arm import VirtualArm
from firmware_bridge.damiao.virtual_can import Row, VirtualCan, VirtualChannel
from firmware_bridge.driver import ArmState
from firmware_bridge.robot import Robot
from tests.firmware_bridge.conftest import VirtualProcess

PATIENCE_S = 0.1  # of a busy machine
YAM, BI_YAM = robots.find("yam"), robots.find("bi-yam")


class Rig:
    """A virtual robot on `virtual` buses with names of their own, and the driver's view of it."""

    def __init__(self, robot: Robot, tmp_path: Path) -> None:
        self.robot = robot
        self.arm = VirtualArm(robot, calibrations.shipped(robot))
        for motor in self.arm.motors:
            motor.registers["TIMEOUT"] = motor.saved["TIMEOUT"] = 20000.0  # 1 s: tests run on busy machines
        names = [f"armside-{uuid.uuid4().hex}" for _ in range(self.arm.buses)]
        self.port = ",".join(f"virtual:{name}" for name in names)
        self.channels = [VirtualChannel(self.arm, bus) for bus in range(self.arm.buses)]
        self.servers = [
            VirtualCan(channel, open_port(Spec("virtual", name)))
            for channel, name in zip(self.channels, names, strict=True)
        ]
        self.file = tmp_path / f"{robot.name}.json"
        self.file.write_text(json.dumps(calibrations.shipped(robot).to_dict()))
        self._opened: list[DamiaoArm] = []

    def config(self, live: bool = True, **changes: Any) -> BridgeConfig:
        timing = Timing(reply_timeout_s=PATIENCE_S)
        base = BridgeConfig(robot=self.robot.name, port=self.port, calibration=str(self.file), live=live, timing=timing)
        return dataclasses.replace(base, **changes)

    def open(self, live: bool = True, adopt: bool = False, **changes: Any) -> DamiaoArm:
        arm = open_arm(self.robot, self.config(live, **changes), self.port, adopt)
        self._opened.append(arm)
        return arm

    def bus(self, index: int = 0) -> can.BusABC:
        """Another participant on one of the buses."""
        return open_port(Spec("virtual", self.port.split(",")[index].partition(":")[2]))

    def rows(self, what: str = "") -> list[Row]:
        """What reached the motors, of one kind or of all."""
        with self.arm.lock:
            rows = sorted((row for channel in self.channels for row in channel.journal), key=lambda row: row.t)
        return [row for row in rows if not what or row.what == what]

    def count(self, what: str) -> int:
        with self.arm.lock:
            return sum(channel.frames[what] for channel in self.channels)

    def fault(self, index: int, **fields: Any) -> None:
        with self.arm.lock:
            faults = next(channel.faults[index] for channel in self.channels if index in channel.faults)
            for name, value in fields.items():
                setattr(faults, name, value)

    def place(self, joint: str, value: float) -> None:
        with self.arm.lock:
            self.arm.place(self.robot.joints.index(joint), value)

    def nibbles(self) -> list[int]:
        with self.arm.lock:
            self.arm.advance(time.monotonic())
            return [motor.nibble for motor in self.arm.motors]

    def __enter__(self) -> Rig:
        for server in self.servers:
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for arm in self._opened:
            arm.close()
        for server in self.servers:
            server.stop()


def read_until(arm: DamiaoArm, wanted: Callable[[ArmState], bool], timeout_s: float = 10.0) -> ArmState:
    """Read and hold, as a bridge ticks, until a reading is as wanted."""
    deadline = time.monotonic() + timeout_s
    while True:
        state = arm.read()
        if wanted(state):
            return state
        assert time.monotonic() < deadline, state
        if arm.on:
            arm.hold()
        time.sleep(0.005)


def all_fresh(arm: DamiaoArm) -> ArmState:
    return read_until(arm, lambda state: bool(state.fresh.all()))


def go(arm: DamiaoArm, goal: np.ndarray, seconds: float) -> ArmState:
    """Drive to `goal` along a straight line of small steps, as the bridge would."""
    start = all_fresh(arm).position
    began = time.monotonic()
    while (part := (time.monotonic() - began) / seconds) < 1.0:
        arm.read()
        arm.send(start + (goal - start) * part)
        time.sleep(0.005)
    arm.read()
    arm.send(goal)
    return read_until(arm, lambda state: bool(np.abs(state.position - goal).max() < 0.03))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(YAM, tmp_path) as rig:
        yield rig


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Rig]:
    with Rig(BI_YAM, tmp_path) as rig:
        yield rig


class MotorProcess(VirtualProcess):
    """Damiao motors."""

    def __init__(self, *arguments: str) -> None:
        super().__init__("firmware_bridge.damiao.virtual_process", *arguments)

    def nibbles(self) -> list[int]:
        return [row["nibble"] for row in self.order("report")["motors"].values()]


@pytest.fixture
def motors() -> Iterator[Callable[..., MotorProcess]]:
    """motors("--robot", "yam"): a process that ends with the test."""
    opened: list[MotorProcess] = []

    def start(*arguments: str) -> MotorProcess:
        opened.append(MotorProcess(*arguments))
        return opened[-1]

    yield start
    for process in opened:
        process.close()
