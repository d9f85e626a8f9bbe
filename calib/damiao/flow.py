"""Calibrating a YAM, or two, from the first question to the numbers: registers, home pose, turns by hand, gripper.

Takes a Job and a Person, gives an Outcome; saving is save.py's. Nothing moves and no motor is switched on before a
confirmed question, and only a gripper's motor ever is. The motors' own memory is never written: the file holds what
they do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from calib.damiao.check import check_motors, release
from calib.damiao.gripper import find_stroke
from calib.damiao.hands import check_sides, turn_all
from calib.damiao.home import find_zeros
from calib.damiao.motors import Motors
from calib.damiao.run import Job, Outcome, Run
from calib.person import Person
from firmware_bridge.damiao import grippers
from firmware_bridge.damiao.calibration import Calibration, GripperCalibration, JointCalibration, Row
from firmware_bridge.damiao.grippers import Gripper
from firmware_bridge.damiao.robots import servos_of


def calibrate(job: Job, person: Person) -> Outcome:
    """Raises Cancelled, CalibrationError, ServoError, PortError: the motors' memory is as it was, all are off."""
    with Motors(job.robot, grippers.find(job.gripper), job.port) as motors:
        run = Run(job, person, motors)
        gripper = check_motors(run)
        release(run)
        sides = servos_of(job.robot).buses
        if len(sides) > 1:
            check_sides(run, sides)
        for side in sides:
            find_zeros(run, side)
            turn_all(run, side)
        for name in job.robot.grippers:
            find_stroke(run, name, gripper)
        return _outcome(run, gripper)


def _outcome(run: Run, gripper: Gripper) -> Outcome:
    named = list(zip(run.job.robot.joints, run.values, strict=True))
    rows = tuple((name, _row(run, name, values)) for name, values in named)
    details: dict[str, object] = {
        "gripper": gripper.name,
        "home_deg": run.home_deg,
        "stroke_rad": run.stroke_rad,
        "most_newtons": run.job.gentle.newtons,
    }
    if run.sides:
        details["sides"] = run.sides
    firmware = {name: str(int(version)) for name, values in named if math.isfinite(version := _told(values, "sw_ver"))}
    calibration = Calibration(run.job.robot.name, gripper, rows, "this calibration")
    return Outcome(calibration, run.directions, firmware, details)


def _row(run: Run, name: str, values: Mapping[str, float]) -> Row:
    number = _told(values, "SN")
    serial = int(number) if math.isfinite(number) else None
    if name in run.ends:
        return GripperCalibration(round(run.ends[name].closed, 5), round(run.ends[name].open, 5), serial)
    return JointCalibration(round(run.zeros[name], 5), serial)


def _told(values: Mapping[str, float], name: str) -> float:
    return values.get(name, math.nan)
