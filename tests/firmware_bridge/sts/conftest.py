"""An arm of virtual servos twice over: behind a real pty, and on a line with a clock of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from firmware_bridge.driver import ArmState
from firmware_bridge.robots import find
from firmware_bridge.sts.arm import StsArm
from firmware_bridge.sts.bus import Bus, Patience
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_arm import make_bus
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_line import VirtualClock, VirtualLine
from firmware_bridge.sts.virtual_port import VirtualPort
from firmware_bridge.sts.virtual_servo import VirtualServo
from firmware_bridge.sts.virtual_world import FirstOrderWorld

ROBOT = find("so101")
CALIBRATION = shipped_calibration(ROBOT)
IDS = (1, 2, 3, 4, 5, 6)
TICK_S = 0.01


@dataclass
class Rig:
    """An arm, the servos behind it, and a way to let time pass; the same words on a pty and on a line."""

    arm: StsArm
    servos: VirtualBus
    wait: Callable[[float], None]
    do: Callable[[Callable[[], None]], None]  # something to the servos, while nobody is served
    states: list[ArmState] = field(default_factory=list)

    @property
    def bus(self) -> Bus:
        return self.arm.bus

    def servo(self, number: int) -> VirtualServo:
        return next(item for item in self.servos.servos if item.servo == number)

    def fault(self, number: int, **fields: float) -> None:
        def apply() -> None:
            for name, value in fields.items():
                assert hasattr(self.servos.faults[number], name)
                setattr(self.servos.faults[number], name, value)

        self.do(apply)

    def write(self, number: int, name: str, value: int) -> None:
        """As another program would."""
        register = REGISTERS[name]
        self.do(lambda: self.servo(number).write(register.address, register.encode(value)))

    def place(self, number: int, ticks: int) -> None:
        world = self.servos.world
        assert isinstance(world, FirstOrderWorld)
        index = [item.servo for item in self.servos.servos].index(number)
        self.do(lambda: world.place(index, ticks + self.servos.servos[index].get("Homing_Offset")))

    def still(self) -> None:
        """Shafts stay where they are put from now on: a test can tell one reading from the next."""
        world = self.servos.world
        assert isinstance(world, FirstOrderWorld)
        world.advance = lambda now, drives: list(world._motions)  # type: ignore[method-assign]

    def block(self, number: int, ticks: int) -> None:
        world = self.servos.world
        assert isinstance(world, FirstOrderWorld)
        index = [item.servo for item in self.servos.servos].index(number)
        self.do(lambda: world.block(index, ticks + self.servos.servos[index].get("Homing_Offset")))

    def ticks(self, count: int) -> list[ArmState]:
        """Readings one tick apart."""
        states = []
        for _ in range(count):
            states.append(self.arm.read())
            self.wait(TICK_S)
        return states

    def until(self, holds: Callable[[ArmState], bool], ticks: int = 500) -> ArmState:
        """The first reading of which it is true; one that never comes is an error."""
        for _ in range(ticks):
            state = self.arm.read()
            if holds(state):
                return state
            self.wait(TICK_S)
        raise AssertionError(f"not in {ticks} ticks")


def virtual_rig(servos: VirtualBus | None = None) -> Rig:
    """On a clock of its own, at 1 Mbaud."""
    clock = VirtualClock()
    servos = servos or make_bus(ROBOT, CALIBRATION)
    servos.baud = 1_000_000
    arm = StsArm(Bus(VirtualLine(servos, clock), clock=clock), ROBOT, CALIBRATION)
    return Rig(arm, servos, lambda seconds: clock.until(clock.now + seconds), lambda act: act())


def pty_rig(port: VirtualPort) -> Rig:
    """Behind a pty, in real time; patient, for a busy machine."""

    def do(act: Callable[[], None]) -> None:
        with port.lock:
            act()

    bus = Bus(SerialLine(port.path), Patience(reply_timeout_s=0.1, unicast_timeout_s=0.2))
    return Rig(StsArm(bus, ROBOT, CALIBRATION), port.bus, time.sleep, do)


@pytest.fixture(params=["pty", "line"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Connected, torque off; each test runs on both."""
    if request.param == "line":
        rig = virtual_rig()
        rig.arm.connect()
        rig.arm.learn(())
        yield rig
        return
    with VirtualPort(make_bus(ROBOT, CALIBRATION)) as port:
        rig = pty_rig(port)
        rig.arm.connect()
        rig.arm.learn(())
        yield rig
        rig.arm.close()
