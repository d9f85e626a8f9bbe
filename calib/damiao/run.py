"""What calibrating a YAM is given, what it knows on its way, and what it gives. Data, and the two small questions.

Shared by the steps check.py, home.py, hands.py and gripper.py, which flow.py puts in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from calib.damiao.guide import Pace
from calib.damiao.motors import Motors
from calib.damiao.stroke import Ends, Gentle
from calib.person import YES, Person, Question
from firmware_bridge.damiao.calibration import Calibration
from firmware_bridge.errors import CalibrationImplausible
from firmware_bridge.robot import Robot
from policy_spec.errors import Cancelled

AGAIN, STOP, SKIP = "again", "stop", "skip"


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be calibrated. `gripper` "": the motor and the usual type tell."""

    robot: Robot
    port: str
    gripper: str = ""
    old: Calibration | None = None
    gentle: Gentle = field(default_factory=Gentle)
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found. `details` is plain JSON, for the side file."""

    calibration: Calibration
    directions: Mapping[str, str]
    firmware: Mapping[str, str]
    details: Mapping[str, object]


@dataclass(slots=True)
class Run:
    """One run on its way."""

    job: Job
    person: Person
    motors: Motors
    values: list[dict[str, float]] = field(default_factory=list)  # registers of each motor
    zeros: dict[str, float] = field(default_factory=dict)  # rad of the motor, as the file will have it
    now: dict[str, float] = field(default_factory=dict)  # the same with the turns that each motor woke up away
    home_deg: dict[str, float] = field(default_factory=dict)  # where each motor stood in the home pose
    directions: dict[str, str] = field(default_factory=dict)
    sides: str = ""
    ends: dict[str, Ends] = field(default_factory=dict)
    stroke_rad: dict[str, list[float]] = field(default_factory=dict)  # all four ends

    def sided(self, side: str) -> list[str]:
        """The arm's joints of "left", "right" or "", without grippers."""
        robot, prefix = self.job.robot, f"{side}_" if side else ""
        return [name for name in robot.joints if name.startswith(prefix) and name not in robot.grippers]

    def confirm(self, question: Question, otherwise: str) -> None:
        """Raises Cancelled unless it is answered with yes."""
        if self.person.ask(question) != YES:
            raise Cancelled(f"{otherwise}; nothing was changed")

    def again(self, key: str, told: str) -> None:
        """Another try, or CalibrationImplausible with what was `told`."""
        self.person.tell(told)
        usual = STOP if self.person.alone else AGAIN
        if self.person.ask(Question(key, "Try that again?", (AGAIN, STOP), usual)) == STOP:
            raise CalibrationImplausible(told)
