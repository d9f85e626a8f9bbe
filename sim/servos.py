"""Virtual STS3215 servos whose shafts are a simulated arm's joints, on one bus.

Takes a body (shafts.py) and a robot's row; gives the VirtualBus that a pseudo-terminal carries: with the robot's
settings and a calibration in the servos' memory, each shaft where the body's joint is. Knows nothing
of ports and time.
"""

from __future__ import annotations

from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.robot import Robot
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.robots import servos_of, shipped_calibration
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_servo import VirtualServo
from sim.shafts import Body, Shafts

TORQUE = REGISTERS["Torque_Enable"].address


def make_bus(body: Body, robot: Robot, holding: bool = True, calibration: Calibration | None = None) -> VirtualBus:
    """Six servos on a bus, powered on with `calibration` in their memory, None: the virtual arm's own.

    `holding`: torque on with goal = present, as a bridge that was told to hold leaves an arm: it does not fall before
    the next one takes it. Raises ConfigError for an arm of other servos.
    """
    if robot.family != "sts":
        do = "choose so101; other arms have their virtual motors without a world"
        raise ConfigError(sentence("arms with a simulated world", expected="so101", got=robot.name, do=do))
    calibration = calibration or shipped_calibration(robot)
    shafts = Shafts(body, robot, calibration)
    row, at = servos_of(robot), body.positions()
    servos = []
    for (name, joint), shaft in zip(calibration.joints, shafts.shafts, strict=True):
        eeprom = {
            **row.settings,
            **(row.gripper_settings if name in robot.grippers else {}),
            "ID": joint.id,
            "Model_Number": row.model,
            "Homing_Offset": joint.homing_offset,
            "Min_Position_Limit": joint.range_min,
            "Max_Position_Limit": joint.range_max,
        }
        servos.append(VirtualServo(joint.id, eeprom, shaft.ticks(at[name])))
    if holding:
        for servo in servos:
            servo.write(TORQUE, b"\x01")
    return VirtualBus(servos, shafts)
