"""The feed-forward torque that carries an arm's weight: the model of kinematics/ with a robot's factors.

Takes joint angles [D], gives N m at the joints [D], 0 for grippers. Knows nothing of motors' directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from firmware_bridge.damiao.robots import Motor
from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.gravity import gravity_torque
from firmware_bridge.robot import Robot

Array = npt.NDArray[np.float64]
Weight = Callable[[Array], Array]


def model_of(robot: Robot) -> Weight:
    """The torques that hold `robot` against gravity by its model alone; one body for each of its buses."""
    bodies = [BODIES[name] for name in robot.bodies]
    each = len(robot.joints) // len(bodies)

    def weigh(joints: Array) -> Array:
        parts = [gravity_torque(body, joints[i * each : (i + 1) * each]) for i, body in enumerate(bodies)]
        return np.concatenate(parts)

    return weigh


def weight_of(robot: Robot, motors: Sequence[Motor]) -> Weight:
    """The model's torques times the motors' own factors."""
    model = model_of(robot)
    factors = np.array([motor.gravity for motor in motors])

    def weigh(joints: Array) -> Array:
        torque: Array = model(joints) * factors
        return torque

    return weigh
