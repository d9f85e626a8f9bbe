"""A simulated arm as what the virtual servos' shafts do: the bodies behind `firmware_bridge.sts.virtual_world`.

Takes a body (world.py, or whatever advances joints), a robot's row and its calibration; gives the world of a
VirtualBus. What the servos' registers want (Drive, in shaft ticks) becomes goals in rad, where the joints are becomes
Motion. A servo's turn has 4096 ticks, and a gripper's jaw goes from one end of its calibrated range to the other.
Knows nothing of frames, registers and time but what it is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from firmware_bridge.robot import Robot
from firmware_bridge.sts.calibration import Calibration, JointCalibration
from firmware_bridge.sts.registers import TICKS_PER_TURN
from firmware_bridge.sts.virtual_world import Drive, Motion

LONGEST_S = 1.0  # whoever sleeps longer finds bodies that moved for so long
TICKS_PER_RAD = TICKS_PER_TURN / (2.0 * math.pi)


class Body(Protocol):
    """What of a world the servos need; `sim.world.World` has it. Joints by name, rad; a gripper 0..1."""

    def advance(
        self,
        goals: Mapping[str, float],
        dt: float,
        torque_on: Mapping[str, bool] | None = None,
        effort: Mapping[str, float] | None = None,
    ) -> None: ...

    def positions(self) -> Mapping[str, float]: ...

    def velocities(self) -> Mapping[str, float]: ...

    def loads(self) -> Mapping[str, float]: ...


class Shaft:
    """One joint's shaft: ticks against rad, or against 0..1 of a gripper."""

    def __init__(self, row: JointCalibration, gripper: bool) -> None:
        flipped = gripper and row.drive_mode == 1
        zero = (row.range_max if flipped else row.range_min) if gripper else row.middle
        self.zero = float(zero + row.homing_offset)
        way = float(row.range_max - row.range_min)
        self.scale = (-way if flipped else way) if gripper else TICKS_PER_RAD  # ticks per rad, or per whole way
        self.sign = -1.0 if flipped else 1.0

    def ticks(self, joint: float) -> float:
        """Shaft ticks, unwrapped: what the host sees plus Homing_Offset."""
        return self.zero + joint * self.scale

    def joint(self, ticks: float) -> float:
        return (ticks - self.zero) / self.scale


class Shafts:
    """The contract `virtual_world.World` over a Body."""

    def __init__(self, body: Body, robot: Robot, calibration: Calibration) -> None:
        self.body = body
        self.names = tuple(name for name, _ in calibration.joints)
        self.shafts = tuple(Shaft(row, name in robot.grippers) for name, row in calibration.joints)
        self._goals = dict(body.positions())  # as far as the servos' own speed limits let them go by now
        self._now: float | None = None
        self._motions = self._look()

    def advance(self, now: float, drives: Sequence[Drive]) -> Sequence[Motion]:
        """Let time pass until `now`, s."""
        elapsed = 0.0 if self._now is None else min(LONGEST_S, now - self._now)
        if self._now is None or elapsed > 0.0:
            self._now = now
        if elapsed > 0.0:
            named = dict(zip(self.names, drives, strict=True))
            on = {name: _pulls(drive) for name, drive in named.items()}
            effort = {name: drive.effort for name, drive in named.items()}
            self.body.advance(self._wanted(named, elapsed), elapsed, on, effort)
            self._motions = self._look()
        return self._motions

    def _wanted(self, drives: Mapping[str, Drive], dt: float) -> Mapping[str, float]:
        """Where each motor's controller goes now: towards its target, no faster than its speed register says."""
        for (name, drive), shaft, motion in zip(drives.items(), self.shafts, self._motions, strict=True):
            if not _pulls(drive):
                self._goals[name] = shaft.joint(motion.position)
                continue
            was, step = shaft.ticks(self._goals[name]), drive.max_speed * dt
            self._goals[name] = shaft.joint(was + min(step, max(-step, drive.target - was)))
        return self._goals

    def _look(self) -> list[Motion]:
        at, speed, load = self.body.positions(), self.body.velocities(), self.body.loads()
        return [
            Motion(shaft.ticks(at[name]), speed[name] * shaft.scale, load[name] * shaft.sign)
            for name, shaft in zip(self.names, self.shafts, strict=True)
        ]


def _pulls(drive: Drive) -> bool:
    return drive.torque and drive.effort > 0.0
