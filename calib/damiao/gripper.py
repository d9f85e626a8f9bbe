"""The last step with a YAM: the ends of its gripper, found by its own motor after a confirmed question.

Takes the Run, fills in the ends. drive.py moves it, stroke.py says how and judges.
"""

from __future__ import annotations

from calib.damiao import stroke
from calib.damiao.drive import find_ends
from calib.damiao.run import Run
from calib.damiao.stroke import Stroke
from calib.person import NO, Question
from firmware_bridge.damiao.grippers import Gripper
from firmware_bridge.errors import CalibrationImplausible, sentence


def find_stroke(run: Run, name: str, gripper: Gripper) -> None:
    """Raises CalibrationImplausible, Cancelled, ServoError, PortLost; its motor is off in any case."""
    search = Stroke(gripper, run.job.gentle)
    text = (
        f"Now {name} closes and opens twice by itself, with at most {search.gentle.newtons:g} N. "
        "Is nothing between its fingers, and are your hands away?"
    )
    run.confirm(Question("stroke", text), "the gripper was not free")
    ends = find_ends(run.motors, run.job.robot.joints.index(name), search, run.person)
    found = stroke.judge(gripper, ends)
    if run.person.ask(Question("fingers", f"{name} should be wide open now. Is it?")) == NO:
        other = stroke.mirrored(gripper)
        do = f"if it is a {other}: --gripper {other}" if other else "look which gripper is mounted"
        what = f"{name} closes where a {gripper.name} opens"
        raise CalibrationImplausible(sentence(what, expected="open fingers", got="closed ones", do=do))
    run.ends[name] = found
    run.stroke_rad[name] = [round(value, 4) for value in ends]
    part = found.way / gripper.stroke
    run.person.tell(
        f"{name}: closed {found.closed:+.3f}, open {found.open:+.3f} rad; {part:.0%} of a {gripper.name}'s way"
    )
