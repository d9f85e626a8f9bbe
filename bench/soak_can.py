"""A YAM arm for the soak: the real driver on virtual Damiao motors, in one thread and on a clock of its own.

`SteppedCan` is a python-can bus whose other end is a virtual channel; waiting on it lets virtual time pass. The
feedback of each motor carries the number of its newest request in its temperatures (25..47 degrees): a fresh
reading that shows an older number is stale. Gives touches and faults as soak_sts.py does.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import heapq
import random
from collections.abc import Callable, Iterator

import can
import numpy as np
import numpy.typing as npt

from bench.soak_can_faults import FAULTS
from bench.soak_judge import Findings, Touch
from firmware_bridge.config import BridgeConfig
from firmware_bridge.damiao import calibration as calibrations
from firmware_bridge.damiao import can_port
from firmware_bridge.damiao.arm import DamiaoArm
from firmware_bridge.damiao.connect import open_arm
from firmware_bridge.damiao.frames import Frame
from firmware_bridge.damiao.robots import servos_of
from firmware_bridge.damiao.virtual_arm import VirtualArm
from firmware_bridge.damiao.virtual_can import VirtualChannel
from firmware_bridge.damiao.virtual_motor import VirtualMotor
from firmware_bridge.driver import ArmState
from firmware_bridge.robot import Robot
from firmware_bridge.sts.virtual_line import VirtualClock

Array = npt.NDArray[np.float64]
FRAME_S = 0.00013  # 130 bits at 1 Mbit/s
BASE, DISTINCT = 25, 23  # degrees that stand for numbers
HOT = 60
GRAIN = 25.0 / 65535 + 1e-9  # rad of a position in a MIT frame


class SteppedCan(can.BusABC):
    """One bus. Sending takes a frame's time; an answer arrives a frame's time later."""

    def __init__(self, channel: VirtualChannel, clock: VirtualClock, stamps: Stamps) -> None:
        super().__init__(channel="soak")
        self.channel = channel
        self.clock = clock
        self.gone = False
        self.full = 0  # sends that find the way out full
        self._stamps = stamps
        self._queue: list[tuple[float, int, can.Message]] = []
        self._count = 0

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        self._refuse_gone()
        if self.full:
            self.full -= 1
            self.clock.until(self.clock() + (timeout or 0.0))
            raise can.CanOperationError("full") from OSError(errno.ENOBUFS, "no buffer space available")
        self.clock.until(self.clock() + FRAME_S)
        frame = Frame(msg.arbitration_id, bytes(msg.data))
        motor = self._stamps.stamp(self.channel, frame)
        limp = motor is not None and not self.channel.arm.motors[motor].enabled
        for out in self.channel.feed(frame, self.clock()):
            self.inject(can.Message(arbitration_id=out.frame.id, data=out.frame.data, is_extended_id=False), out.at)
        if motor is not None:
            self._stamps.answered(motor)
        journal = self.channel.journal
        if limp and journal and journal[-1].motor == motor and journal[-1].what == "mit":
            journal.pop()  # a command to a motor without torque does nothing

    def recv(self, timeout: float | None = None) -> can.Message | None:
        self._refuse_gone()
        queue, until = self._queue, self.clock() + (timeout or 0.0)
        if not queue or queue[0][0] > until:
            self.clock.until(until)
            return None
        at, _, message = heapq.heappop(queue)
        self.clock.until(at)
        return message

    def inject(self, message: can.Message, at: float) -> None:
        """A frame that arrives after `at` and a frame's time."""
        self._count += 1
        heapq.heappush(self._queue, (at + FRAME_S, self._count, message))

    def _refuse_gone(self) -> None:
        if self.gone:
            raise can.CanOperationError("gone") from OSError(errno.ENODEV, "no such device")


class Stamps:
    """The number of each motor's newest request, written into what it will answer."""

    def __init__(self, arm: VirtualArm) -> None:
        self.hot: set[int] = set()
        self.nibbles = [0] * len(arm.motors)  # when each was asked last
        self._motors: list[VirtualMotor] = arm.motors
        self._numbers = [0] * len(arm.motors)

    def stamp(self, channel: VirtualChannel, frame: Frame) -> int | None:
        """Which motor `frame` asks; it has its number now."""
        number = frame.id
        if frame.id == 0x7FF:
            number = frame.data[0] | frame.data[1] << 8
        for index in channel.faults:
            motor = self._motors[index]
            if motor.id == number:
                self._numbers[index] += 1
                motor.rotor, mos = self.expected(index)
                motor.mos = HOT + 25 if index in self.hot else mos
                return index
        return None

    def answered(self, index: int) -> None:
        self.nibbles[index] = self._motors[index].nibble

    def expected(self, index: int) -> tuple[int, int]:
        """Rotor and power stage, degrees, of the newest request."""
        number = self._numbers[index]
        return BASE + number % DISTINCT, BASE + number // DISTINCT % DISTINCT


class CanRig:
    """Motors, their buses and clock; `open` gives a driver."""

    def __init__(self, robot: Robot, config: BridgeConfig, found: Findings, rng: random.Random) -> None:
        self.robot, self.config, self.found = robot, config, found
        self.clock = VirtualClock(1000.0)
        self.calibration = calibrations.shipped(robot)
        self.virtual = VirtualArm(robot, self.calibration)
        self.stamps = Stamps(self.virtual)
        self.channels = [VirtualChannel(self.virtual, bus) for bus in range(self.virtual.buses)]
        for channel in self.channels:
            channel.journal = collections.deque()
        self.buses: list[SteppedCan] = []
        self.arm: DamiaoArm
        self.kinds: tuple[str, ...] = tuple(FAULTS)
        self._ends: list[tuple[float, Callable[[], None]]] = []
        stroke = self.calibration.gripper.stroke
        grippers = np.array([name in robot.grippers for name in robot.joints])
        self._scale = np.where(grippers, -1.0 / stroke, 1.0)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Motors keep to nothing by themselves."""
        endless = np.full(len(self.robot.joints), np.inf)
        return -endless, endless

    def open(self, adopt: bool) -> DamiaoArm:
        """A connected driver, as damiao/connect.py makes it. Raises BridgeError."""
        self.close()
        sides = servos_of(self.robot).buses
        self.buses = [SteppedCan(channel, self.clock, self.stamps) for channel in self.channels]
        names = [f"soak{index}" for index in range(len(sides))]
        port = ",".join(
            f"{side}=virtual:{name}" if side else f"virtual:{name}" for side, name in zip(sides, names, strict=True)
        )
        with _opened_by(dict(zip(names, self.buses, strict=True))):
            self.arm = open_arm(self.robot, self.config, port, adopt)
        return self.arm

    def close(self) -> None:
        for bus in self.buses:
            bus.shutdown()

    # -- what is seen from outside

    def before_read(self) -> None:
        now = self.clock()
        for _, end in (item for item in self._ends if item[0] <= now):
            end()
        self._ends = [item for item in self._ends if item[0] > now]
        for channel in self.channels:
            channel.pass_time(now)

    def lost_torque(self, state: ArmState) -> bool:
        """Whether a motor that answered was not enabled when it was asked."""
        return any(
            nibble != 1 and fresh for nibble, fresh in zip(self.stamps.nibbles, state.fresh.tolist(), strict=True)
        )

    def check(self, state: ArmState) -> None:
        """What is fresh answers the newest request."""
        for index in np.flatnonzero(state.fresh).tolist():
            self.found.counts["stamps"] += 1
            seen = self.arm.chain.latest[index]
            assert seen is not None
            rotor, mos = self.stamps.expected(index)
            if seen.rotor != rotor or (seen.mos != mos and seen.mos < HOT):
                self.found.note("stale", f"motor {index} shows {(seen.rotor, seen.mos)}, was asked {(rotor, mos)}")

    def touches(self) -> list[Touch]:
        """What reached the motors since the last call."""
        found = []
        for channel in self.channels:
            for row in channel.journal:
                what = _NAMES.get(row.what, row.what)
                value = 0.0
                if what == "mit":
                    if row.data[:7] == b"\xff" * 7:
                        what = "strange"
                    motor = self.virtual.motors[row.motor]
                    raw = int.from_bytes(row.data[:2], "big")
                    value = (raw * 25.0 / 65535 - 12.5 + motor.shaft - motor.position) * self._scale[row.motor]
                grain = float(GRAIN * abs(self._scale[row.motor]))
                found.append(Touch(row.t, row.motor, what, float(value), row.joint, grain))
            channel.journal.clear()
        return found

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
        self.stamps.hot.clear()

    def lasting(self, rng: random.Random, longest_s: float, end: Callable[[], None]) -> None:
        self._ends.append((self.clock() + rng.uniform(0.005, longest_s), end))

    def unplugged(self) -> bool:
        return any(bus.gone for bus in self.buses)

    def motor(self, rng: random.Random) -> tuple[int, VirtualChannel]:
        channel = rng.choice(self.channels)
        return rng.choice(list(channel.faults)), channel


_NAMES = {"enable": "on", "disable": "off"}


@contextlib.contextmanager
def _opened_by(buses: dict[str, SteppedCan]) -> Iterator[None]:
    """virtual:NAME opens these."""
    before = can_port._OPENERS["virtual"]
    can_port._OPENERS["virtual"] = lambda channel: buses[channel]
    try:
        yield
    finally:
        can_port._OPENERS["virtual"] = before
