"""In which order motors drive an SO arm's joints to their stops, and how the rest of the arm stands meanwhile.

Data only. Begins in the drawn pose (zero.POSE). Every way keeps the arm off the table and off itself up to its stops:
tests/calib/test_plan.py holds it to the kinematics of both arms. Degrees are those of our joints.
"""

from __future__ import annotations

from dataclasses import dataclass

LOW, HIGH = -1, 1


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop: first `stand`, one joint after another, then `joint` goes `way` until it stops."""

    joint: str
    way: int  # LOW or HIGH
    stand: tuple[tuple[str, float], ...] = ()


_UP = (("wrist_flex", -75.0),)  # the gripper bent up: out of the table's way when the forearm hangs
STOPS = (
    Stop("gripper", HIGH),
    Stop("gripper", LOW),
    Stop("wrist_flex", HIGH),
    Stop("wrist_flex", LOW),
    Stop("elbow_flex", LOW, _UP),
    Stop("elbow_flex", HIGH),
    Stop("shoulder_lift", LOW, (("elbow_flex", 55.0),)),
    Stop("shoulder_lift", HIGH, (("shoulder_lift", 0.0), ("elbow_flex", -90.0))),
    Stop("shoulder_pan", LOW, (("shoulder_lift", 0.0),)),
    Stop("shoulder_pan", HIGH),
)
# Then it is laid back, low, before it is let go.
REST = (("shoulder_pan", 0.0), ("elbow_flex", 55.0), ("shoulder_lift", -90.0))
# Parts of the full torque: the first push, and the one that confirms it. A stop holds against both; weight does not.
PUSHES = {
    "gripper": (0.2, 0.3),
    "wrist_flex": (0.25, 0.4),
    "elbow_flex": (0.35, 0.5),
    "shoulder_lift": (0.45, 0.6),
    "shoulder_pan": (0.3, 0.45),
}
HOLD = 0.6  # of the others
