"""The second step with a YAM: folded into its home pose, where do its motors stand? Reads, and asks about each zero.

Takes the Run and fills in its zeros. zero.py judges.
"""

from __future__ import annotations

import math
import time

import numpy as np

from calib.damiao import zero
from calib.damiao.run import Run
from calib.drawing import draw
from calib.person import Question
from firmware_bridge.damiao.codec import TURN
from firmware_bridge.errors import CalibrationError, sentence
from firmware_bridge.kinematics.bodies import BODIES

MOVING_DEG = 0.5  # between two readings of a still arm
STILL_TRIES = 20


def find_zeros(run: Run, side: str) -> None:
    """Of one arm. Raises Cancelled, CalibrationImplausible, CalibrationError, ServoError, PortLost."""
    body = BODIES[run.job.robot.bodies[0]]
    whose = f"the {side} arm" if side else "the arm"
    text = f"Fold {whose} into its home pose, as drawn: all its joints at zero, resting on itself. Is it so?"
    question = Question("home", text, drawing=draw(body, np.zeros(len(body.joints))))
    while True:
        run.confirm(question, f"{whose} is not in its home pose")
        angles = _still(run)
        found = [_judge(run, name, angles[name]) for name in run.sided(side)]
        wrong = [row.text for row in found if row.verdict == zero.WRONG]
        if not wrong:
            break
        run.again("home.again", "\n".join(wrong))
    for row in found:
        _choose(run, row)
    right = [row for row in found if row.verdict == zero.RIGHT]
    if right:
        most = max(abs(math.degrees(row.offset)) for row in right)
        names = "all motors" if len(right) == len(found) else ", ".join(row.joint for row in right)
        run.person.tell(f"{names}: their own zero is right, within {most:.1f} degrees")


def _judge(run: Run, name: str, angle: float) -> zero.Zero:
    motor = run.motors.rows[run.job.robot.joints.index(name)]
    return zero.judge(name, angle, motor.direction, run.job.robot.limits[name])


def _choose(run: Run, row: zero.Zero) -> None:
    choice = row.options[0]
    if row.turns or row.verdict == zero.OFF:
        run.person.tell(row.text)
    if row.verdict == zero.OFF:
        text = f"{row.joint}: which zero does the file hold? keep: the motor's own; take: this pose"
        choice = run.person.ask(Question(f"zero.{row.joint}", text, row.options, row.options[0]))
    run.zeros[row.joint] = row.zero(choice)
    run.now[row.joint] = row.zero(choice) + TURN * row.turns
    run.home_deg[row.joint] = round(math.degrees(row.offset), 2) + 0.0


def _still(run: Run) -> dict[str, float]:
    """The motors' angles once two readings in a row agree. Raises CalibrationError."""
    before = run.motors.angles()
    moved = list(before)
    for _ in range(STILL_TRIES):
        time.sleep(run.job.pace.still_s / 4)
        now = run.motors.angles()
        moved = [name for name in now if abs(now[name] - before[name]) > math.radians(MOVING_DEG)]
        if not moved:
            return now
        before = now
    do = "let it rest on itself, then again"
    got = f"{', '.join(moved)} moves"
    raise CalibrationError(sentence("the home pose", expected="a still arm", got=got, do=do))
