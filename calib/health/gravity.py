"""What each joint should pull to carry the arm's own weight, by the model, as a part of its motor's full torque.

Takes a robot, its pose and the voltage at rest; a servo that pulls far more presses against something or carries a
load. Pure. Geared servos hold a part of the weight by friction alone, so pulling less says nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.damiao.robots import servos_of
from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.gravity import gravity_torque
from firmware_bridge.robot import Robot

Array = npt.NDArray[np.float64]
# N m per V at stall: 1.91 N m at 7.4 V (C001) and 2.94 N m at 12 V (C018).
STS_PER_VOLT = 0.25
FACTOR, EXTRA = 2.0, 20.0  # more than twice the model and 20 % of full is no error of the model


def expected(robot: Robot, pose: Array, volts: float) -> Array:
    """[D] % of full that carry the arm at `pose` [D] rad (gripper 0..1); 0 for grippers, NaN where not known."""
    bodies = [BODIES[name] for name in robot.bodies]
    each = len(robot.joints) // len(bodies)
    torque = [gravity_torque(body, pose[i * each : (i + 1) * each]) for i, body in enumerate(bodies)]
    share: Array = 100.0 * np.abs(np.concatenate(torque)) / _FULL[robot.family](robot, volts)
    return share


def too_much(load: float, model: float) -> bool:
    """Both % of full."""
    return load > FACTOR * model + EXTRA


def _sts(robot: Robot, volts: float) -> Array:
    return np.full(len(robot.joints), STS_PER_VOLT * volts)


def _damiao(robot: Robot, volts: float) -> Array:
    return np.array([MOTORS[motor.type].ranges.torque for motor in servos_of(robot).motors])


_FULL: dict[str, Callable[[Robot, float], Array]] = {"sts": _sts, "damiao": _damiao}
