"""Opening an STS3215 arm: port, calibration, servos found and checked, settings written. Gives a Driver."""

from __future__ import annotations

from firmware_bridge.config import BridgeConfig
from firmware_bridge.robot import Robot
from firmware_bridge.sts import calibration as calibrations
from firmware_bridge.sts.arm import StsArm
from firmware_bridge.sts.bus import Bus, Patience
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.robots import shipped_calibration


def open_arm(
    robot: Robot, config: BridgeConfig, port: str, adopt: bool, calibration: Calibration | None = None
) -> StsArm:
    """See drivers.open_arm."""
    calibration = calibration or load_calibration(robot, config)
    bus = Bus(SerialLine(port, config.baud), Patience(config.timing.reply_timeout_s, config.timing.retries))
    return open_on(bus, robot, config, adopt, calibration)


def open_on(bus: Bus, robot: Robot, config: BridgeConfig, adopt: bool, calibration: Calibration) -> StsArm:
    """The arm on a bus that is open already, and that is closed where it is not this arm."""
    try:
        arm = StsArm(bus, robot, calibration)
        if adopt and config.may_move:  # first of all: whatever moves there is stopped
            report = arm.adopt()
            arm.connect()
        else:
            arm.connect()
            if config.mechanics:
                arm.refuse_implausible()
            report = arm.configure() if config.may_move else ()
        arm.learn(report)
        return arm
    except BaseException:
        bus.close()
        raise


def load_calibration(robot: Robot, config: BridgeConfig) -> Calibration:
    """The configured file, or the virtual arm's own. Raises CalibrationError."""
    if config.calibration:
        return calibrations.load(config.calibration, robot.joints)
    return shipped_calibration(robot)
