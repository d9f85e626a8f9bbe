"""The SO-101 as data: links, masses and boxes.

Frames, masses and ranges: `so101_new_calib.xml` of TheRobotStudio/SO-ARM100 (Apache-2.0), whose zero is the
middle of each calibrated range, as ours, but for the elbow (ELBOW_MIDDLE). Boxes: ours, fitted around that
model's meshes, outwards to 0.5 mm. The base stands on the table with its origin 2.4 mm above it, x forward,
z up.
"""

from __future__ import annotations

from firmware_bridge.kinematics.link import UPRIGHT, Body, Box, Link, Move
from firmware_bridge.kinematics.outlines import SO101_GRIPPER, SO101_JAW

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
# Their meshes stay at least 5 mm apart over the whole of the joints' ranges (either arm; 5,000 poses).
NEVER = (("base", "upper_arm"), ("lower_arm", "gripper"), ("lower_arm", "jaw"), ("wrist", "jaw"))
_ROOT_HALF = 0.7071067811865476
# rad: where the model's elbow stands when ours is 0. Its forearm is level at 0, but its meshes stop the elbow at
# -102 and +91 degrees (SO-100 and SO-101 alike), so that the middle of a sweep is 5 degrees above level. The
# model says so, too: "5-degree calibration offset applied to joint range", +-1.69, which ends at those stops.
ELBOW_MIDDLE = -0.0873
_CLOSED, _OPEN = -0.174533, 1.74533  # rad of the jaw

BASE = Link(
    "base",
    "",
    (0.0, 0.0, 0.0),
    UPRIGHT,
    None,
    0.147,
    (0.0137179, -5.19711e-05, 0.0334843),
    (
        Box((0.0213, 0.0, 0.007), (0.0437, 0.0555, 0.0095)),
        Box((-0.0018, -0.0003, 0.043), (0.0293, 0.0257, 0.027)),
        Box((0.0403, 0.0, 0.0445), (0.0132, 0.019, 0.0195)),
    ),
)
SHOULDER = Link(
    "shoulder",
    "base",
    (0.0388353, 0.0, 0.0624),
    (0.0, 0.0, -1.0, 0.0),
    Move("shoulder_pan"),
    0.100006,
    (-0.0307604, -1.66727e-05, -0.0252713),
    (
        Box((-0.0315, 0.00125, -0.0355), (0.0195, 0.02775, 0.029)),
        Box((-0.03, 0.0, 0.01975), (0.018, 0.02, 0.02675)),
        Box((0.0, 0.0, 0.018), (0.0125, 0.0125, 0.0285)),
    ),
)
UPPER_ARM = Link(
    "upper_arm",
    "shoulder",
    (-0.0303992, -0.0182778, -0.0542),
    (0.5, -0.5, -0.5, -0.5),
    Move("shoulder_lift"),
    0.103,
    (-0.0898471, -0.00838224, 0.0184089),
    (
        Box((-0.1148, -0.013, 0.0182), (0.0158, 0.0255, 0.0253)),
        Box((-0.0437, 0.0, 0.02), (0.0558, 0.0125, 0.034)),
    ),
)
LOWER_ARM = Link(
    "lower_arm",
    "upper_arm",
    (-0.11257, -0.028, 0.0),
    (_ROOT_HALF, 0.0, 0.0, _ROOT_HALF),
    Move("elbow_flex", offset=ELBOW_MIDDLE),
    0.104,
    (-0.0980701, 0.00324376, 0.0182831),
    (
        Box((-0.1177, 0.0035, 0.02), (0.0278, 0.0185, 0.0285)),
        Box((-0.039, 0.0, 0.02), (0.0515, 0.0125, 0.0325)),
    ),
)
WRIST = Link(
    "wrist",
    "lower_arm",
    (-0.1349, 0.0052, 0.0),
    (_ROOT_HALF, 0.0, 0.0, -_ROOT_HALF),
    Move("wrist_flex"),
    0.079,
    (-0.000103312, -0.0386143, 0.0281156),
    (
        Box((-0.00225, -0.04375, 0.022), (0.01825, 0.02225, 0.0315)),
        Box((0.0, -0.00475, 0.022), (0.0125, 0.01725, 0.0315)),
    ),
)
GRIPPER = Link(
    "gripper",
    "wrist",
    (0.0, -0.0611, 0.0181),
    (0.0172091, -0.0172091, 0.706897, 0.706897),
    Move("wrist_roll"),
    0.087,
    (0.000213627, 0.000245138, -0.025187),
    (
        Box((-0.018, -0.0003, -0.0835), (0.0105, 0.0092, 0.021)),
        Box((-0.0243, -0.0003, -0.0515), (0.0112, 0.0143, 0.0115)),
        Box((-0.0025, -0.002, -0.0195), (0.033, 0.0265, 0.021)),
    ),
    SO101_GRIPPER,
)
JAW = Link(
    "jaw",
    "gripper",
    (0.0202, 0.0188, -0.0234),
    (_ROOT_HALF, _ROOT_HALF, 0.0, 0.0),
    Move("gripper", scale=_OPEN - _CLOSED, offset=_CLOSED),
    0.012,
    (-0.00157495, -0.0300244, 0.0192755),
    (
        Box((-0.0025, -0.054, 0.019), (0.01, 0.0285, 0.011)),
        Box((0.0, -0.008, 0.01875), (0.0105, 0.0185, 0.02425)),
    ),
    SO101_JAW,
)
SO101 = Body(
    name="so101",
    joints=JOINTS,
    links=(BASE, SHOULDER, UPPER_ARM, LOWER_ARM, WRIST, GRIPPER, JAW),
    gripper="gripper",
    tip="gripper",
    tcp=(-0.0079, -0.000218121, -0.0981274),  # that model's gripperframe
    straight=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    never=NEVER,
)
