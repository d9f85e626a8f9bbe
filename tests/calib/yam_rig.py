"""A virtual YAM on buses of this process, with whatever is wrong about it, and a person with hands at it."""

from __future__ import annotations

import dataclasses
import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from calib.damiao.guide import Pace
from calib.damiao.run import Job
from calib.damiao.stroke import Gentle
from calib.person import LiveView, Question, Scripted
from calib.provenance import Provenance
from firmware_bridge import robots
from firmware_bridge.damiao import calibration as calibrations
from firmware_bridge.damiao.calibration import Calibration, JointCalibration
from firmware_bridge.damiao.can_port import Spec, open_port
from firmware_bridge.damiao.frames import parse_mit
from firmware_bridge.damiao.virtual_arm import VirtualArm
from firmware_bridge.damiao.virtual_can import Row, VirtualCan, VirtualChannel
from firmware_bridge.damiao.virtual_motor import VirtualMotor
from firmware_bridge.robot import Robot

YAM, BI_YAM = robots.find("yam"), robots.find("bi-yam")
QUICK = Gentle(newtons=600.0, speed_m_s=0.6, still_s=0.05, back_rad=0.08)  # what takes seconds is not the point
NOW = Provenance("home pose", "yam", "can0", "0.1.0", "2026-01-01T00:00:00+00:00")
PACE = Pace(still_s=0.08, alone_s=4.0)
CRANK = "crank_4310"  # the shortest way: most tests take it
FREE = 0.01  # N m s/rad: as quick as the torque allows


def with_zeros(robot: Robot, gripper: str = CRANK, **zeros: float) -> Calibration:
    """A virtual arm's truth: motors that read these rad at joint 0."""
    base = calibrations.shipped(robot, gripper)
    rows = tuple((name, JointCalibration(zeros[name]) if name in zeros else row) for name, row in base.joints)
    return dataclasses.replace(base, joints=rows)


class YamRig:
    """A context manager."""

    def __init__(self, truth: Calibration, robot: Robot = YAM, reversed: Sequence[str] = ()) -> None:
        self.robot = robot
        self.arm = VirtualArm(robot, truth, reversed=reversed)
        for motor in self.arm.motors:
            motor.registers["TIMEOUT"] = motor.saved["TIMEOUT"] = 20000.0  # 1 s: tests run on busy machines
            motor.friction = FREE
        names = [f"armside-{uuid.uuid4().hex}" for _ in range(self.arm.buses)]
        self.ports = [f"virtual:{name}" for name in names]
        self.channels = [VirtualChannel(self.arm, bus) for bus in range(self.arm.buses)]
        self.servers = [
            VirtualCan(channel, open_port(Spec("virtual", name)))
            for channel, name in zip(self.channels, names, strict=True)
        ]

    @property
    def port(self) -> str:
        return ",".join(self.ports)

    def job(self, gripper: str = CRANK, old: Calibration | None = None) -> Job:
        return Job(self.robot, self.port, gripper, old, QUICK, PACE)

    def motor(self, joint: str) -> VirtualMotor:
        return self.arm.motors[self.robot.joints.index(joint)]

    def write(self, joint: str, **registers: float) -> None:
        """As the maker's tool does, saved."""
        with self.arm.lock:
            motor = self.motor(joint)
            motor.registers.update(registers)
            motor.saved.update(registers)

    def fault(self, joint: str, **fields: object) -> None:
        index = self.robot.joints.index(joint)
        with self.arm.lock:
            faults = next(channel.faults[index] for channel in self.channels if index in channel.faults)
            for name, value in fields.items():
                setattr(faults, name, value)

    def rows(self) -> list[Row]:
        """What reached the motors: everything but reads and refreshes."""
        with self.arm.lock:
            return sorted((row for channel in self.channels for row in channel.journal), key=lambda row: row.t)

    def said(self) -> list[tuple[str, str]]:
        """The same without commands: joint and word, once where repeated."""
        words = [(self.robot.joints[row.motor], row.what) for row in self.rows() if row.what != "mit"]
        return [word for index, word in enumerate(words) if index == 0 or words[index - 1] != word]

    def hardest(self) -> float:
        """N m that any command would have asked of a motor that stands, or that moves as it did; 0 without commands."""
        found = 0.0
        for row in self.rows():
            if row.what == "mit":
                command = parse_mit(row.data, self.arm.motors[row.motor].ranges)
                assert command.kp == 0.0
                found = max(found, abs(command.kd * command.velocity + command.torque))
        return found

    def nibbles(self) -> list[int]:
        with self.arm.lock:
            self.arm.advance(time.monotonic())
            return [motor.nibble for motor in self.arm.motors]

    def memory(self) -> list[dict[str, float]]:
        """What a power cycle would leave, and each motor's own zero."""
        with self.arm.lock:
            return [{**motor.saved, "zero": motor._zero} for motor in self.arm.motors]

    def __enter__(self) -> YamRig:
        for server in self.servers:
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.stop()


@dataclass(slots=True)
class Handy(Scripted):
    """A script that has hands: it turns the joint that is asked for on the live screen, there and back.

    `mistakes`: asked joint -> (joint that is turned instead, degrees). `moves`: what it moves when asked for a side.
    """

    rig: YamRig | None = None
    mistakes: dict[str, tuple[str, float]] = dataclasses.field(default_factory=dict)
    moves: str = "left_joint_1"
    held: str = ""  # the joint in its hands
    back: bool = False  # being turned back

    def ask(self, question: Question) -> str:
        self._put_back()
        return Scripted.ask(self, question)

    def show(self, view: LiveView) -> None:
        Scripted.show(self, view)
        assert self.rig is not None
        asked = next((row.name for row in view.rows if row.note == "this one"), "")
        if view.title == "which arm is which":
            asked = self.moves
        joint, degrees = self.mistakes.get(asked, (asked, 22.0))
        if not joint or joint != self.held:
            self._put_back()
        if not joint:
            return
        with self.rig.arm.lock:
            here = math.degrees(float(self.rig.arm.joints()[self.rig.robot.joints.index(joint)]))
            self.held, self.back = joint, self.back or abs(here) >= 0.9 * abs(degrees)
            self.rig.arm.hand({joint: 0.0 if self.back else math.radians(degrees)}, speed=10.0)

    def _put_back(self) -> None:
        assert self.rig is not None
        if self.held:
            with self.rig.arm.lock:
                self.rig.arm.hand({self.held: None})
                self.rig.arm.place(self.rig.robot.joints.index(self.held), 0.0)
        self.held, self.back = "", False
