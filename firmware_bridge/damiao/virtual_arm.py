"""All virtual motors of a robot, and the arm between them: weight by the model of kinematics/, stops, rest, hands.

Takes a Robot row and a calibration; `advance` moves every shaft. Its lock is held while anything works on
the motors. Knows nothing of frames or buses.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from firmware_bridge.damiao.calibration import Calibration
from firmware_bridge.damiao.codec import Codec
from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.damiao.robots import motors_of, servos_of, stops_of
from firmware_bridge.damiao.virtual_motor import Load, VirtualMotor
from firmware_bridge.damiao.weight import weight_of
from firmware_bridge.robot import Robot

Array = npt.NDArray[np.float64]
MIN_S = 0.0005  # shorter whiles are not worth moving fourteen shafts
WEIGH_S = 0.002  # the weight changes slowly against the motors' steps


class VirtualArm:
    """Motors in joint order."""

    def __init__(
        self, robot: Robot, calibration: Calibration, pose: Array | None = None, reversed: Sequence[str] = ()
    ) -> None:
        """`pose` [D] joints at the start; default: parked. `reversed`: joints whose motor turns the other way."""
        self.robot = robot
        self.lock = threading.RLock()
        self.rows = tuple(
            dataclasses.replace(row, direction=-row.direction) if name in reversed else row
            for name, row in zip(robot.joints, motors_of(robot, calibration.gripper), strict=True)
        )
        self.codec = Codec.of(robot, calibration, self.rows)
        self.weight = weight_of(robot, self.rows)
        self.motors = [
            VirtualMotor(row.id, MOTORS[row.type], calibration[name].serial or 1000 + index)
            for index, (name, row) in enumerate(zip(robot.joints, self.rows, strict=True))
        ]
        self._rest = self.codec.to_motor(np.array(robot.park_pose))
        self._stops = np.array(stops_of(robot))
        self._low, self._high = self._ends()
        self._hands: dict[int, tuple[float, float]] = {}  # joint, where to, how fast
        start = self._rest if pose is None else self.codec.to_motor(pose)
        for motor, position in zip(self.motors, start.tolist(), strict=True):
            motor.place(position)
        self._loads = self._weigh()
        self._weighed_at = self._advanced_at = -np.inf
        self._handled_at: float | None = None

    @property
    def buses(self) -> int:
        return len(servos_of(self.robot).buses)

    def on_bus(self, bus: int) -> list[tuple[int, VirtualMotor]]:
        """Motors of one bus, with their place in joint order."""
        return [(i, self.motors[i]) for i, row in enumerate(self.rows) if row.bus == bus]

    def advance(self, now: float) -> None:
        """Let time pass for every motor until `now`."""
        if now - self._advanced_at < MIN_S:
            return
        self._advanced_at = now
        if now - self._weighed_at > WEIGH_S:
            self._loads, self._weighed_at = self._weigh(), now
        for motor, load in zip(self.motors, self._loads, strict=True):
            motor.advance(now, load)
        self._handle(now)

    def joints(self) -> Array:
        """Where the arm stands, [D]."""
        return self.codec.to_joint(np.array([motor.shaft for motor in self.motors]))

    def place(self, index: int, joint: float) -> None:
        """Put one joint somewhere by hand."""
        pose = self.joints()
        pose[index] = joint
        self.motors[index].place(float(self.codec.to_motor(pose)[index]))

    def hand(self, joints: Mapping[str, float | None], speed: float = 3.0) -> None:
        """Hands move limp joints towards these, at `speed` rad/s or parts of a gripper's way, and hold them there.

        None: they let go. A joint whose motor is enabled is not moved. Raises ValueError.
        """
        indices = {name: self.robot.joints.index(name) for name in joints}
        for name, target in joints.items():
            self._hands.pop(indices[name], None)
            if target is not None:
                low, high = self._stops[indices[name]]
                self._hands[indices[name]] = (min(high, max(low, target)), speed)

    def stop(self, joint: str, low: float, high: float) -> None:
        """Where the joint ends from now on, rad or 0..1: other stops, or something in its way. Raises ValueError."""
        self._stops[self.robot.joints.index(joint)] = (low, high)
        self._low, self._high = self._ends()
        self._weighed_at = -np.inf

    def _ends(self) -> tuple[Array, Array]:
        """The stops, motor rad [D] each."""
        ends = np.stack([self.codec.to_motor(self._stops[:, 0]), self.codec.to_motor(self._stops[:, 1])])
        return ends.min(axis=0), ends.max(axis=0)

    def _handle(self, now: float) -> None:
        elapsed = 0.0 if self._handled_at is None else now - self._handled_at
        self._handled_at = now
        pose = self.joints()
        for index, (target, speed) in self._hands.items():
            motor = self.motors[index]
            if motor.enabled:
                continue
            step = speed * elapsed
            pose[index] += min(step, max(-step, target - pose[index]))
            motor.shaft, motor.speed = float(self.codec.to_motor(pose)[index]), 0.0

    def _weigh(self) -> list[Load]:
        torques = self.codec.to_motor_torque(self.weight(self.joints())).tolist()
        rows = zip(torques, self._rest.tolist(), self._low.tolist(), self._high.tolist(), strict=True)
        return [Load(*row) for row in rows]
