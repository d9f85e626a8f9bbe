"""Real ptys, real protocol, real processes: what the tests of the bridge stand on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge import robots
from firmware_bridge.client import BridgeConfig, Timing
from firmware_bridge.processes import Lines, spawn
from firmware_bridge.sts.bus import Bus, Patience
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_arm import make_servos, shaft_ticks
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_port import VirtualPort
from firmware_bridge.sts.virtual_world import Drive, FirstOrderWorld, Motion

ROBOT = robots.find("so101")
CALIBRATION = shipped_calibration(ROBOT)


class StillWorld(FirstOrderWorld):
    """Shafts stay where they are put: a test can tell one reading from the next."""

    def advance(self, now: float, drives: Sequence[Drive]) -> Sequence[Motion]:
        return list(self._motions)


@pytest.fixture
def still_bus() -> VirtualBus:
    """Six servos that do not move by themselves."""
    return VirtualBus(make_servos(ROBOT, CALIBRATION), StillWorld(shaft_ticks(ROBOT, CALIBRATION, ROBOT.park_pose)))


@pytest.fixture
def port(still_bus: VirtualBus) -> Iterator[VirtualPort]:
    with VirtualPort(still_bus) as port:
        yield port


@pytest.fixture
def bus(port: VirtualPort) -> Iterator[Bus]:
    bus = Bus(SerialLine(port.path), Patience(reply_timeout_s=0.1, retries=1))
    yield bus
    bus.close()


@pytest.fixture
def place(port: VirtualPort) -> Callable[[int, int], None]:
    """place(servo, ticks): put a shaft where a host will read `ticks`."""

    def move(servo: int, ticks: int) -> None:
        with port.lock:
            index = [item.servo for item in port.bus.servos].index(servo)
            world = port.bus.world
            assert isinstance(world, FirstOrderWorld)
            world.place(index, ticks + port.bus.servos[index].get("Homing_Offset"))

    return move


class VirtualProcess:
    """Virtual servos or motors in a process of their own, and orders to them."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.process = spawn(module, *arguments)
        self._lines = Lines(self.process)
        word = self._lines.read(30.0)
        assert word is not None
        self.port = str(word["port"])

    def order(self, do: str, **fields: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        self.process.stdin.flush()
        answer = self._lines.read(20.0)
        assert answer is not None and "error" not in answer, answer
        return answer

    def close(self) -> None:
        self._lines.close()
        self.process.terminate()
        self.process.wait()


class ServoProcess(VirtualProcess):
    """Six STS3215."""

    def __init__(self, *arguments: str) -> None:
        super().__init__("firmware_bridge.sts.virtual_process", "--robot", "so101", *arguments)

    def goal_frames(self) -> int:
        return int(self.order("report")["frames"].get("goal", 0))

    def torque(self) -> list[int]:
        return [row["Torque_Enable"] for row in self.order("report")["servos"].values()]


@pytest.fixture
def servos() -> Iterator[ServoProcess]:
    process = ServoProcess()
    yield process
    process.close()


@pytest.fixture
def calibration_file(tmp_path: Path) -> Path:
    """The shipped calibration as a LeRobot file."""
    path = tmp_path / "arm.json"
    path.write_text(json.dumps({name: dataclasses.asdict(joint) for name, joint in CALIBRATION.joints}))
    return path


@pytest.fixture
def config(servos: ServoProcess, calibration_file: Path) -> BridgeConfig:
    """A live bridge on the servo process, with short patience."""
    timing = Timing(
        client_timeout_s=0.4, park_after_s=0.4, silent_fault_s=0.4, park_timeout_s=1.0, reply_timeout_s=0.05
    )
    return BridgeConfig(
        robot="so101",
        port=servos.port,
        calibration=str(calibration_file),
        live=True,
        park_speed=3.0,
        timing=timing,
    )
