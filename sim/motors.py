"""Virtual Damiao motors whose shafts are a simulated arm's joints. Real time only: their driver reads the wall clock.

Takes a body (shafts.py), a robot's row and its calibration; gives the VirtualArm that serves CAN channels. Frames,
registers, watchdogs and error nibbles are firmware_bridge's; how the shafts turn is the body's: a motor that is enabled
pulls towards the position of its last command, another one is limp. The body is weightless, as a YAM is to its
motors whose driver adds what gravity takes, so the torque that a command adds is left out. Knows nothing of frames.
"""

from __future__ import annotations

import numpy as np

from firmware_bridge.damiao.calibration import Calibration
from firmware_bridge.damiao.virtual_arm import MIN_S, VirtualArm
from firmware_bridge.damiao.virtual_motor import Load, VirtualMotor
from firmware_bridge.robot import Robot
from sim.shafts import LONGEST_S, Body

FREE = Load()


class ShaftMotor(VirtualMotor):
    """A motor that does not turn its own shaft."""

    def _step(self, dt: float, load: Load) -> None:
        return None


class WorldArm(VirtualArm):
    """The contract of VirtualArm over a Body."""

    def __init__(self, body: Body, robot: Robot, calibration: Calibration) -> None:
        super().__init__(robot, calibration)
        self.body = body
        self.motors = [ShaftMotor(motor.id, motor.kind, int(motor.registers["SN"])) for motor in self.motors]
        self._moved_at: float | None = None
        self._look()

    def advance(self, now: float) -> None:
        """Let time pass until `now`, s."""
        if self._moved_at is not None and now - self._moved_at < MIN_S:
            return
        elapsed = 0.0 if self._moved_at is None else min(LONGEST_S, now - self._moved_at)
        self._moved_at = now
        for motor in self.motors:
            motor.advance(now, FREE)  # its watchdog and what it protects itself from
        if elapsed:
            names = self.robot.joints
            wanted = self.codec.to_joint(np.array([motor.command.position for motor in self.motors])).tolist()
            pulls = [motor.enabled and motor.command.kp > 0.0 for motor in self.motors]
            goals = {name: goal for name, goal, pull in zip(names, wanted, pulls, strict=True) if pull}
            self.body.advance(goals, elapsed, dict(zip(names, pulls, strict=True)))
            self._look()

    def _look(self) -> None:
        """The sensors see where the joints are."""
        at, speed, load = self.body.positions(), self.body.velocities(), self.body.loads()
        names = self.robot.joints
        places = self.codec.to_motor(np.array([at[name] for name in names])).tolist()
        for motor, name, place, scale in zip(self.motors, names, places, self.codec.scale.tolist(), strict=True):
            motor.place(place)
            motor.speed = speed[name] / scale
            motor.torque = load[name] * motor.registers["TMAX"] * (1.0 if scale > 0 else -1.0)
