"""A virtual SO arm on a bench: on a real pseudo-terminal, with hands that move it and mistakes built in.

Takes a robot's row and a Plant (virtual_plant.py), serves the port from a thread of this process. For tests and
demonstrations of whatever sets up, calibrates or examines an arm: `with Bench(robot, Plant(...)) as bench`. Knows
nothing of calibration.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from firmware_bridge.robot import Robot
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_joints import JointedWorld
from firmware_bridge.sts.virtual_plant import Plant, load_plant, make_joints, make_servos
from firmware_bridge.sts.virtual_port import VirtualPort
from firmware_bridge.sts.virtual_servo import VirtualServo

__all__ = ["Bench", "Plant", "load_plant"]
GLANCE_S = 0.002  # between two looks of whoever waits
HAND_SPEED = 600.0  # degrees/s


class Bench:
    """That arm; a context manager. Its methods may be called from any thread, and by what `after_writes` runs."""

    def __init__(self, robot: Robot, plant: Plant | None = None, link: str = "") -> None:
        """`link`: a symbolic link that always leads to the present pty; it is then the `path`."""
        plant = plant or Plant()
        joints = make_joints(robot, plant)
        self.robot = robot
        self.world = JointedWorld(joints)
        self.bus = VirtualBus(make_servos(robot, plant, joints), self.world)
        self.bus.sag_v = plant.sag_v
        self.port = VirtualPort(self.bus, link)
        self.port.minds_speed = True
        self._link = link

    @property
    def path(self) -> str:
        """The port's name for a host."""
        return self._link or self.port.path

    def servo(self, joint: str) -> VirtualServo:
        """The servo that is mounted there, whatever its id."""
        return self.bus.servos[self.world.index(joint)]

    # -- hands

    def hand(self, speed_deg_s: float = HAND_SPEED, **joints: float) -> None:
        """Hands move limp joints towards these degrees and stay there, or at the stop; returns at once."""
        with self.port.lock:
            self._now()
            self.world.hand(joints, speed_deg_s)

    def wait(self) -> None:
        """Until no hand moves any more."""
        while self._moving():
            time.sleep(GLANCE_S)

    def _moving(self) -> bool:
        with self.port.lock:
            self._now()
            return self.world.handled

    def angle(self, joint: str) -> float:
        """Degrees of the link now."""
        with self.port.lock:
            self._now()
            return self.world.angle(joint)

    def block(self, joint: str, degrees: float | None) -> None:
        """An obstacle at `degrees`, which the joint cannot pass from where it is; None: gone."""
        index = self.world.index(joint)
        with self.port.lock:
            self._now()
            self.world.block(index, None if degrees is None else self.world.joints[index].shaft(degrees))

    # -- what stays

    def stored(self, joint: str) -> dict[str, int]:
        """EEPROM registers as they would be after a power cycle."""
        with self.port.lock:
            return self.servo(joint).stored()

    def memory(self) -> bytes:
        """All that is persisted, of all servos in the order of the joints."""
        with self.port.lock:
            return b"".join(bytes(servo.eeprom) for servo in self.bus.servos)

    # -- what goes wrong

    def attach(self, *joints: str) -> None:
        """Only these servos are on the cable; those that come are powered on anew."""
        with self.port.lock:
            self.bus.attach([self.servo(joint) for joint in joints], self._now())

    def power_cycle(self, silent_s: float = 0.0) -> None:
        """What was not persisted is gone, every joint is limp, and for a while nobody answers."""
        with self.port.lock:
            self.bus.power_cycle(self._now(), silent_s)

    def lose(self, joint: str, lost: bool = True) -> None:
        """It answers nothing any more; its torque stays as it is."""
        with self.port.lock:
            self.bus.faults_of(self.servo(joint)).silent = lost

    def glitch(self, joint: str, ticks: int) -> None:
        """The next reading of its position gives `ticks`, in an intact frame."""
        with self.port.lock:
            self.servo(joint).glitch = ticks

    def after_writes(self, count: int, what: Callable[[], None]) -> None:
        """`what` runs once, when `count` more EEPROM writes have been stored and before the last one's answer leaves.

        It runs in the port's thread and may call anything of this bench.
        """
        with self.port.lock:
            self.bus.after_writes(count, what)

    def _now(self) -> float:
        """Let time pass until now, s; the caller has the port's lock."""
        self.bus.advance(max(time.monotonic(), self.bus.now))
        return self.bus.now

    def __enter__(self) -> Bench:
        self.port.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.port.stop()
