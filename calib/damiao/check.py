"""The first step with a YAM: every motor heard, known and fit to be driven, and none of them holding anything.

Takes the Run, gives the gripper that is mounted. Reads; clears the error of motors that brake since an earlier host
was lost, once a person holds the arm.
"""

from __future__ import annotations

from calib.damiao import registers
from calib.damiao.run import Run
from calib.person import Question
from firmware_bridge.damiao import nibbles
from firmware_bridge.damiao.grippers import Gripper
from firmware_bridge.errors import ServoMissing, ServoWrong, sentence


def check_motors(run: Run) -> Gripper:
    """Raises ServoMissing, ServoWrong, PortBusy, ConfigError."""
    robot, motors = run.job.robot, run.motors
    motors.refuse_company()
    run.values = motors.registers()
    silent = {motors.rows[index].bus for index, row in enumerate(run.values) if "ESC_ID" not in row}
    heard = {bus: motors.strangers(bus) for bus in silent}
    if text := registers.missing(robot, motors.rows, run.values, heard):
        raise ServoMissing(text)
    gripper = registers.mounted(run.job.gripper, robot, run.values)
    motors.know(gripper)
    run.person.tell(registers.table(robot, motors.rows, run.values))
    found = registers.judge(robot, motors.rows, run.values)
    found += registers.states(robot, [row.error for row in motors.feedback()])
    if found:
        raise ServoWrong("motors that may not be driven as they are:\n" + "\n".join(found))
    for line in registers.replaced(run.job.old, run.values):
        run.person.tell(line)
    if text := registers.mixed(robot, run.values):
        run.person.tell(text)
    run.person.tell(f"gripper: {gripper.name}" + ("" if run.job.gripper else " (--gripper names another)"))
    return gripper


def release(run: Run) -> None:
    """Motors that lost an earlier host brake their joints: they are let go. Raises Cancelled, ServoWrong."""
    states = [row.error for row in run.motors.feedback()]
    braked = [index for index, error in enumerate(states) if error == nibbles.COMMUNICATION_LOST]
    if not braked:
        return
    names = ", ".join(run.job.robot.joints[index] for index in braked)
    text = f"{names}: braked since an earlier host was lost. Hold the arm: now they let go. Is it held?"
    run.confirm(Question("release", text), "the arm was not held")
    if left := run.motors.clear(braked):
        names = ", ".join(run.job.robot.joints[index] for index in left)
        do = "switch the arm off and on while holding it"
        raise ServoWrong(sentence(f"{names}: letting go", expected="no error", got="its error stays", do=do))
