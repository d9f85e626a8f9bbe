"""All virtual motors of a robot, and the arm between them: weight by the model of kinematics/, stops, rest.

Takes a Robot row and a calibration; `advance` moves every shaft. Its lock is held while anything works on
the motors. Knows nothing of frames or buses.
"""

from __future__ import annotations

import threading

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

    def __init__(self, robot: Robot, calibration: Calibration, pose: Array | None = None) -> None:
        """`pose` [D] joints at the start; default: parked."""
        self.robot = robot
        self.lock = threading.RLock()
        self.rows = motors_of(robot, calibration.gripper)
        self.codec = Codec.of(robot, calibration, self.rows)
        self.weight = weight_of(robot, self.rows)
        self.motors = [
            VirtualMotor(row.id, MOTORS[row.type], calibration[name].serial or 1000 + index)
            for index, (name, row) in enumerate(zip(robot.joints, self.rows, strict=True))
        ]
        self._rest = self.codec.to_motor(np.array(robot.park_pose))
        stops = np.array(stops_of(robot))
        ends = np.stack([self.codec.to_motor(stops[:, 0]), self.codec.to_motor(stops[:, 1])])
        self._low, self._high = ends.min(axis=0), ends.max(axis=0)
        start = self._rest if pose is None else self.codec.to_motor(pose)
        for motor, position in zip(self.motors, start.tolist(), strict=True):
            motor.place(position)
        self._loads = self._weigh()
        self._weighed_at = self._advanced_at = -np.inf

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

    def joints(self) -> Array:
        """Where the arm stands, [D]."""
        return self.codec.to_joint(np.array([motor.shaft for motor in self.motors]))

    def place(self, index: int, joint: float) -> None:
        """Put one joint somewhere by hand."""
        pose = self.joints()
        pose[index] = joint
        self.motors[index].place(float(self.codec.to_motor(pose)[index]))

    def _weigh(self) -> list[Load]:
        torques = self.codec.to_motor_torque(self.weight(self.joints())).tolist()
        rows = zip(torques, self._rest.tolist(), self._low.tolist(), self._high.tolist(), strict=True)
        return [Load(*row) for row in rows]
