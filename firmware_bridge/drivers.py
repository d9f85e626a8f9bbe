"""Opens an arm by its family: the table of drivers and of their virtual twins. Imports a family only when asked."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass

from firmware_bridge.config import BridgeConfig
from firmware_bridge.driver import Driver
from firmware_bridge.errors import BridgeGone, sentence
from firmware_bridge.processes import Lines, spawn
from firmware_bridge.robot import Robot

SIM_START_S = 10.0


@dataclass(frozen=True, slots=True)
class Family:
    """Modules of one brand of servos."""

    connect: str  # has load_calibration(robot, config), open_arm(robot, config, port, adopt, calibration) -> Driver
    virtual: str  # `python -m` of virtual servos that print {"port": ...}


FAMILIES = {
    "sts": Family("firmware_bridge.sts.connect", "firmware_bridge.sts.virtual_process"),
    "damiao": Family("firmware_bridge.damiao.connect", "firmware_bridge.damiao.virtual_process"),
}


def open_arm(robot: Robot, config: BridgeConfig, port: str, adopt: bool = False, calibration: object = None) -> Driver:
    """Connect, check and, for an arm that may move, configure.

    `adopt`: the arm may hold something from a bridge that died or a cable that was pulled. Servos whose
    torque is on are frozen at their measured position first; torque that is off stays off.
    `calibration`: what `load_calibration` gave earlier, None: load it now.
    Raises PortError, ServoError, CalibrationError, ConfigError.
    """
    calibration = load_calibration(robot, config) if calibration is None else calibration
    family = importlib.import_module(FAMILIES[robot.family].connect)
    driver: Driver = family.open_arm(robot, config, port, adopt, calibration)
    return driver


def load_calibration(robot: Robot, config: BridgeConfig) -> object:
    """The configured calibration, whatever the family calls it: read once, it is the same over takeovers and
    replugs, be the file gone or another one by then. Raises CalibrationError, ConfigError.
    """
    calibration: object = importlib.import_module(FAMILIES[robot.family].connect).load_calibration(robot, config)
    return calibration


@contextlib.contextmanager
def virtual_port(robot: Robot, config: BridgeConfig) -> Iterator[str]:
    """Virtual servos in a process of their own, for as long as the block runs. Raises BridgeGone."""
    arguments = ["--robot", robot.name]
    if config.calibration:
        arguments += ["--calibration", config.calibration]
    if config.gripper:
        arguments += ["--gripper", config.gripper]
    module, *more = config.twin or (FAMILIES[robot.family].virtual,)
    process = spawn(module, *arguments, *more)
    lines = Lines(process)
    try:
        word = lines.read(SIM_START_S)
        if word is None:
            do = "read the lines above"
            raise BridgeGone(sentence("the virtual servos did not start", got=process.poll(), do=do))
        yield str(word["port"])
    finally:
        lines.close()
        process.terminate()
        process.wait()
