"""An SO arm for the soak: the real driver and bus on virtual STS3215 servos and a clock that nobody waits for.

Takes a robot's row and a random source; gives readings with a stamp on each request, what reached the servos as
touches, and faults of a real bus by name. The stamp is in bytes 50..53 of every servo, which the telemetry block
carries and nobody uses: an answer with an older stamp than its request is stale, whatever it says.
"""

from __future__ import annotations

import collections
import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from bench.soak_judge import Findings, Touch
from bench.soak_sts_faults import FAULTS
from firmware_bridge.config import BridgeConfig
from firmware_bridge.driver import ArmState
from firmware_bridge.robot import Robot
from firmware_bridge.sts.arm import StsArm
from firmware_bridge.sts.bus import Bus, Patience, SyncAnswer
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_arm import make_bus
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_line import VirtualClock, VirtualLine
from firmware_bridge.sts.virtual_world import FirstOrderWorld

Array = npt.NDArray[np.float64]
STAMP = slice(50, 54)
BLOCK, STAMP_IN_BLOCK = 40, slice(10, 14)
SEND_S = 2e-5  # what handing bytes to an adapter costs
TORQUE = REGISTERS["Torque_Enable"].address


class StampedBus(Bus):
    """The real bus; each request is stamped into the servos, each answer's stamp is looked at."""

    def __init__(self, line: VirtualLine, clock: VirtualClock, patience: Patience, found: Findings) -> None:
        super().__init__(line, patience, clock)
        self.newest: dict[int, bytes] = {}  # servo -> the block that it answered last
        self._servos = line.bus
        self._found = found
        self._count = 0

    def sync_read(self, address: int, length: int, servos: Sequence[int], retries: int | None = None) -> SyncAnswer:
        self._count += 1
        self._servos.advance(self.clock())  # a restart that is due would wipe the stamp
        stamp = self._count.to_bytes(4, "little")
        for servo in self._servos.servos:
            servo.memory[STAMP] = stamp
        answer = super().sync_read(address, length, servos, retries)
        if address == BLOCK and length > STAMP_IN_BLOCK.stop:
            for number, frame in answer.frames.items():
                self.newest[number] = frame.data
                self._found.counts["stamps"] += 1
                if frame.data[STAMP_IN_BLOCK] != stamp:
                    got = int.from_bytes(frame.data[STAMP_IN_BLOCK], "little")
                    self._found.note("stale", f"servo {number} answered request {got} to request {self._count}")
        return answer


class StsRig:
    """Servos, their wire and clock; `open` gives a driver."""

    def __init__(self, robot: Robot, config: BridgeConfig, found: Findings, rng: random.Random) -> None:
        self.robot, self.config, self.found = robot, config, found
        self.clock = VirtualClock(1000.0)
        self.calibration = shipped_calibration(robot)
        self.servos: VirtualBus = make_bus(robot, self.calibration)
        self.servos.baud = 1_000_000
        self.servos.wire_s = rng.choice((0.0, 0.0, 0.0005, 0.002))
        self.servos.echo = rng.random() < 0.1
        self.journal = self.servos.journal = collections.deque()
        self.line = VirtualLine(self.servos, self.clock, SEND_S)
        self.arm: StsArm
        self.kinds: tuple[str, ...] = tuple(FAULTS)
        self._ends: list[tuple[float, Callable[[], None]]] = []  # when a lasting fault ends
        rows = [joint for _, joint in self.calibration.joints]
        self._rows = [(row.range_min, row.range_max) for row in rows]
        self._offset = [row.homing_offset for row in rows]
        self._joint = {row.id: index for index, row in enumerate(rows)}
        self._gripper = [name in robot.grippers for name in robot.joints]
        half = [0.51 / (high - low) for low, high in self._rows]
        self._grain = [
            part if gripper else 0.51 * 2 * math.pi / 4095 for part, gripper in zip(half, self._gripper, strict=True)
        ]
        if self.servos.echo:
            found.counts["fault echo"] += 1

    @property
    def bounds(self) -> tuple[Array, Array]:
        """What the servos keep to, [D] in the joints' units, from their own EEPROM numbers."""
        ends = [[self._si(joint, row[end]) for joint, row in enumerate(self._rows)] for end in (0, 1)]
        return np.array(ends[0]), np.array(ends[1])

    def open(self, adopt: bool) -> StsArm:
        """A connected driver, as sts/connect.py makes it. Raises BridgeError."""
        self.line = VirtualLine(self.servos, self.clock, SEND_S)
        timing = self.config.timing
        bus = StampedBus(self.line, self.clock, Patience(timing.reply_timeout_s, timing.retries), self.found)
        arm = StsArm(bus, self.robot, self.calibration)
        if adopt:
            report = arm.adopt()
            arm.connect()
        else:
            arm.connect()
            report = arm.configure()
        arm.learn(report)
        self.arm, self._bus = arm, bus
        return arm

    def close(self) -> None:
        self.line.close()

    # -- what is seen from outside

    def before_read(self) -> None:
        """Time for what ends by itself; which servos have torque now."""
        now = self.clock()
        for _, end in (item for item in self._ends if item[0] <= now):
            end()
        self._ends = [item for item in self._ends if item[0] > now]
        self.servos.advance(now)
        self._torque = [servo.memory[TORQUE] == 1 for servo in self.servos.servos]

    def lost_torque(self, state: ArmState) -> bool:
        """Whether a servo that answered had no torque when it was asked."""
        return any(not on and fresh for on, fresh in zip(self._torque, state.fresh.tolist(), strict=True))

    def check(self, state: ArmState) -> None:
        """A fresh position is the one in the newest answer."""
        position, fresh = state.position.tolist(), state.fresh.tolist()
        for number, index in self._joint.items():
            if fresh[index]:
                raw = int.from_bytes(self._bus.newest[number][16:18], "little")
                if abs(self._si(index, _signed(raw)) - position[index]) > 1e-9:
                    self.found.note("stale", f"joint {index} is given as {position[index]}, its answer said {raw}")

    def touches(self) -> list[Touch]:
        """What reached the servos since the last call."""
        found = []
        for row in self.journal:
            joint = self._joint[row.servo]
            what, ticks = _meaning(row.address, row.data)
            if ticks is None:
                found.append(Touch(row.t, joint, what))
                continue
            value, here = self._si(joint, ticks), self._si(joint, row.position)
            found.append(Touch(row.t, joint, what, value, here, self._grain[joint]))
        self.journal.clear()
        return found

    def _si(self, joint: int, ticks: float) -> float:
        low, high = self._rows[joint]
        if self._gripper[joint]:
            return min(1.0, max(0.0, (ticks - low) / (high - low)))
        return (ticks - (low + high) / 2) * (2 * math.pi / 4095)

    # -- faults

    def fault(self, rng: random.Random) -> None:
        """One random thing goes wrong."""
        kind = rng.choice(self.kinds)
        self.found.counts[f"fault {kind}"] += 1
        FAULTS[kind](self, rng)

    def heal(self) -> None:
        """All lasting faults end, as by a technician: before a new bridge."""
        for _, end in self._ends:
            end()
        self._ends.clear()
        for servo in self.servos.servos:
            if servo.status:
                servo.power_on()
            servo.dark_until = self.clock()

    def lasting(self, rng: random.Random, longest_s: float, end: Callable[[], None]) -> None:
        self._ends.append((self.clock() + rng.uniform(0.01, longest_s), end))

    @property
    def world(self) -> FirstOrderWorld:
        assert isinstance(self.servos.world, FirstOrderWorld)
        return self.servos.world

    def unplugged(self) -> bool:
        return self.line.unplugged

    def somewhere(self, rng: random.Random, index: int) -> float:
        """Shaft ticks within the joint's range and a little beyond."""
        low, high = self._rows[index]
        return rng.uniform(low - 30, high + 30) + self._offset[index]


def _signed(raw: int) -> int:
    return -(raw & 0x7FFF) if raw & 0x8000 else raw


def _meaning(address: int, data: bytes) -> tuple[str, int | None]:
    """What a write was: its name, and the goal in ticks where it has one."""
    last = address + len(data)
    if address <= 42 and last >= 44:
        raw = int.from_bytes(data[42 - address : 44 - address], "little")
        return ("goal" if (address, last) == (42, 44) else "start"), _signed(raw)
    if address == TORQUE:
        return {0: "off", 1: "on"}.get(data[0], f"torque {data[0]}"), None
    return {48: "limit", 55: "lock"}.get(address, f"register {address}"), None
