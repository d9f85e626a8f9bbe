"""The SO-101 as simulated: its servos as identified, the tensors of its links, its jaws, its two cameras.

Ranges, inertia, servo rows: `so101_new_calib.xml` of TheRobotStudio/SO-ARM100 and the class `sts3215` of MuJoCo
Menagerie's `robotstudio_so101` (both Apache-2.0; an identification at the P gain of 16 that the bridge sets). The jaws'
pads are ours: flat boxes along the inner faces, where that model puts its fingertips' boxes and balls. A link without
parts here is drawn and touched as the boxes that firmware_bridge.kinematics encloses it with.
"""

from __future__ import annotations

import dataclasses
import math

from sim.arms import DARK, PLASTIC, ArmModel, Motor, Part, Work
from sim.scene import CameraPose

# At the arm's 12 V, stall 2.94 N m; Protective limits of the bridge halve the gripper's.
_SERVO = Motor(0.0, 0.0, kp=998.22, kv=2.731, force=2.94, damping=0.60, friction=0.052, armature=0.028)


def _servo(low: float, high: float, effort: float = 1.0) -> Motor:
    return dataclasses.replace(_SERVO, low=low, high=high, effort=effort)


MOTORS = {
    "shoulder_pan": _servo(-1.91986, 1.91986),
    "shoulder_lift": _servo(-1.74533, 1.74533),
    "elbow_flex": _servo(-1.7767, 1.6033),  # +-1.69 around the middle of its sweep
    "wrist_flex": _servo(-1.65806, 1.65806),
    "wrist_roll": _servo(-2.74385, 2.84121),
    "gripper": _servo(-0.174533, 1.74533, effort=0.5),
}
INERTIA = {
    "base": (1.14686e-4, 1.36117e-4, 1.30364e-4, -4.59787e-7, 4.97151e-6, 9.75275e-8),
    "shoulder": (8.3759e-5, 8.10403e-5, 2.39783e-5, 7.55525e-8, -1.16342e-6, 1.54663e-7),
    "upper_arm": (4.08002e-5, 1.47318e-4, 1.42487e-4, -1.97819e-5, -4.03016e-8, 8.97326e-9),
    "lower_arm": (2.87438e-5, 1.59844e-4, 1.4529e-4, 7.41152e-6, 1.26409e-6, -4.90188e-8),
    "wrist": (3.68263e-5, 2.5391e-5, 2.1e-5, 1.7893e-8, -5.28128e-8, 3.6412e-6),
    "gripper": (2.75087e-5, 4.33657e-5, 3.45059e-5, -3.35241e-7, -5.7352e-6, -5.17847e-8),
    "jaw": (6.61427e-6, 1.89032e-6, 5.28738e-6, -3.19807e-7, -5.90717e-9, -1.09945e-7),
}


def _leaning(angle: float) -> tuple[float, float, float, float]:
    """A turn by `angle` rad about the link's y."""
    return (math.cos(angle / 2), 0.0, math.sin(angle / 2), 0.0)


def _turned(angle: float) -> tuple[float, float, float, float]:
    """A turn by `angle` rad about the link's z."""
    return (math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2))


# Inner faces: the fixed jaw's runs from x = -0.0134 at z = -0.053 to -0.0079 at its end; the moving jaw's from
# x = -0.0083 at y = -0.062 to -0.0123 at its end (in its own frame, at rest on its joint's zero).
PARTS = (
    Part("base", "box", (0.0437, 0.0400, 0.0060), (0.0213, 0.0, 0.0036)),
    Part("base", "box", (0.0270, 0.0240, 0.0250), (-0.0010, 0.0, 0.0350)),
    Part("base", "box", (0.0130, 0.0120, 0.0200), (0.0400, 0.0, 0.0420), colour=DARK),
    Part("shoulder", "box", (0.0190, 0.0250, 0.0270), (-0.0315, 0.00125, -0.0355)),
    Part("shoulder", "box", (0.0180, 0.0200, 0.0250), (-0.0300, 0.0, 0.0190), colour=DARK),
    Part("upper_arm", "box", (0.0150, 0.0250, 0.0200), (-0.1148, -0.0130, 0.0182), colour=DARK),
    Part("upper_arm", "box", (0.0530, 0.0110, 0.0240), (-0.0437, 0.0, 0.0190)),
    Part("lower_arm", "box", (0.0250, 0.0160, 0.0200), (-0.1177, 0.0035, 0.0190), colour=DARK),
    Part("lower_arm", "box", (0.0500, 0.0110, 0.0240), (-0.0420, 0.0, 0.0190)),
    Part("wrist", "box", (0.0160, 0.0200, 0.0240), (-0.00225, -0.0420, 0.0210), colour=DARK),
    Part("wrist", "box", (0.0120, 0.0150, 0.0240), (0.0, -0.0080, 0.0200)),
    Part("gripper", "box", (0.0290, 0.0150, 0.0180), (-0.0025, -0.0010, -0.0195), colour=DARK),
    Part("gripper", "box", (0.0080, 0.0130, 0.0080), (-0.0240, 0.0, -0.0430)),
    Part("gripper", "box", (0.0030, 0.0100, 0.0210), (-0.0152, 0.0, -0.0640), _leaning(-0.117)),
    Part("gripper", "box", (0.0025, 0.0080, 0.0150), (-0.0117, 0.0, -0.0895), _leaning(-0.117), DARK, pad=True),
    Part("jaw", "box", (0.0100, 0.0160, 0.0180), (0.0, -0.0090, 0.0190)),
    Part("jaw", "box", (0.0035, 0.0200, 0.0100), (-0.0025, -0.0440, 0.0190), _turned(-0.08)),
    Part("jaw", "box", (0.0025, 0.0130, 0.0080), (-0.0082, -0.0690, 0.0190), _turned(-0.20), DARK, pad=True),
    # Drawn only: the mount and the camera on it.
    Part("gripper", "box", (0.0120, 0.0260, 0.0020), (-0.0025, 0.0340, -0.0350), colour=PLASTIC, touches=False),
    Part("gripper", "box", (0.0110, 0.0040, 0.0110), (-0.0010, 0.0590, -0.0400), colour=DARK, touches=False),
)
FRONT = CameraPose("front", (0.52, 0.0, 0.34), (0.19, 0.0, 0.03), fov_deg=41.0)
WRIST = CameraPose("wrist", (0.0, 0.066, -0.048), (0.002, 0.0, -0.120), "gripper", (0.0, 1.0, 0.0), fov_deg=75.0)
WORK = Work(
    shift=0.0,
    axis=0.0388,
    reach=(0.115, 0.245),
    turn=-math.pi / 2,
    rest=0.0,
    span=2.66,
    opens=0.0,
    one_jaw=True,
    wider=0.0,
)

SO101 = ArmModel(
    robot="so101",
    body="so101",
    motors=MOTORS,
    inertia=INERTIA,
    parts=PARTS,
    start=(0.0, -0.9, 0.75, 1.45, -math.pi / 2, 0.3),
    floor=-0.0024,
    work=WORK,
    grasp=(0.0040, 0.0, -0.0940),
    cameras=(FRONT, WRIST),
)
