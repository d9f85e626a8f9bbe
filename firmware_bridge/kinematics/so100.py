"""The SO-100 as data: links, masses and boxes.

Frames, masses and ranges: `Simulation/SO100/so100.urdf` of TheRobotStudio/SO-ARM100 (Apache-2.0). That model
has another zero than ours; the two arms have the same pivots to the tenth of a millimetre in upper arm and
forearm, so ours is the pose in which they stand as the SO-101's do at its zero: upper arm up, forearm nearly
level, moving jaw on top. In the joints of MuJoCo Menagerie's trs_so_arm100 that is (0, -1.571, 1.484, 0, 0).
In it all servos' meshes stand as the SO-101's do, within half a millimetre, so that all count the same way;
the pan axis is turned round, because that model's points up. Boxes: ours, fitted around that model's meshes,
outwards to 0.5 mm. The base stands on the table with its origin at its foot, x forward, z up.
"""

from __future__ import annotations

from firmware_bridge.kinematics.link import UPRIGHT, Body, Box, Link, Move
from firmware_bridge.kinematics.outlines import SO100_GRIPPER, SO100_JAW
from firmware_bridge.kinematics.so101 import ELBOW_MIDDLE, JOINTS, NEVER

_ROOT_HALF = 0.7071067811865476
_PITCH = (1.0, 0.0, 0.0)
_CLOSED, _OPEN = -0.2, 2.0  # rad of the jaw
# That model's base looks along its own -y, and its vertical links are drawn lying: quarter turns mend both.
_FORWARD = (_ROOT_HALF, 0.0, 0.0, _ROOT_HALF)
_UP = (_ROOT_HALF, _ROOT_HALF, 0.0, 0.0)
_AHEAD = (_ROOT_HALF, -_ROOT_HALF, 0.0, 0.0)
_ROLLED = (_ROOT_HALF, 0.0, _ROOT_HALF, 0.0)

BASE = Link(
    "base",
    "",
    (0.0, 0.0, 0.0),
    _FORWARD,
    None,
    1.0,  # kg, "approximate" there; it holds nothing
    (0.0, 0.0, 0.0),
    (
        Box((0.0, -0.0275, 0.009), (0.056, 0.044, 0.0095)),
        Box((0.0, -0.02075, 0.04625), (0.0225, 0.03875, 0.02825)),
        Box((0.0, 0.02125, 0.061), (0.026, 0.00375, 0.023)),
    ),
)
SHOULDER = Link(
    "shoulder",
    "base",
    (0.0, -0.0452, 0.0165),
    _UP,
    Move("shoulder_pan", (0.0, 1.0, 0.0), scale=-1.0),
    0.119226,
    (-9.07886e-05, 0.0590972, 0.031089),
    (
        Box((0.0, 0.0305, 0.00025), (0.0125, 0.031, 0.01275)),
        Box((0.0, 0.02875, 0.03025), (0.02, 0.02675, 0.01775)),
        Box((0.0, 0.08375, 0.03175), (0.0265, 0.02925, 0.01925)),
    ),
)
UPPER_ARM = Link(
    "upper_arm",
    "shoulder",
    (0.0, 0.1025, 0.0306),
    UPRIGHT,
    Move("shoulder_lift", _PITCH),
    0.162409,
    (-1.72052e-05, 0.0701802, 0.00310545),
    (
        Box((-0.00025, 0.04375, 0.002), (0.03525, 0.05575, 0.0145)),
        Box((-0.00025, 0.11475, 0.013), (0.02525, 0.01575, 0.0255)),
    ),
)
LOWER_ARM = Link(
    "lower_arm",
    "upper_arm",
    (0.0, 0.11257, 0.028),
    UPRIGHT,
    Move("elbow_flex", _PITCH, offset=ELBOW_MIDDLE),
    0.147968,
    (-0.00339604, 0.00137796, 0.0768007),
    (
        Box((-0.00525, 0.0, 0.03925), (0.03025, 0.0125, 0.05175)),
        Box((0.0, 0.00325, 0.11775), (0.0265, 0.01875, 0.02775)),
    ),
)
WRIST = Link(
    "wrist",
    "lower_arm",
    (0.0, 0.0052, 0.1349),
    _AHEAD,
    Move("wrist_flex", _PITCH),
    0.0661321,
    (-0.00852653, -0.0352279, -2.34622e-05),
    (
        Box((-0.0035, -0.04325, 0.0), (0.032, 0.01975, 0.0165)),
        Box((-0.00375, -0.00575, 0.0), (0.03175, 0.01825, 0.0125)),
    ),
)
GRIPPER = Link(
    "gripper",
    "wrist",
    (0.0, -0.0601, 0.0),
    _ROLLED,
    Move("wrist_roll", (0.0, 1.0, 0.0)),
    0.0929859,
    (0.00552377, -0.0280167, 0.000483583),
    (
        Box((0.018, -0.0853, 0.0), (0.0105, 0.0213, 0.009)),
        Box((0.0243, -0.053, 0.0), (0.0112, 0.0115, 0.0145)),
        Box((0.0025, -0.0208, 0.0), (0.033, 0.0213, 0.024)),
    ),
    SO100_GRIPPER,
)
JAW = Link(
    "jaw",
    "gripper",
    (-0.0202, -0.0244, 0.0),
    (0.0, 0.0, 1.0, 0.0),
    Move("gripper", scale=_OPEN - _CLOSED, offset=_CLOSED),
    0.0202444,
    (-0.00161745, -0.0303473, 0.000449646),
    (
        Box((-0.0025, -0.054, 0.0), (0.01, 0.0285, 0.011)),
        Box((0.0, -0.008, 0.00025), (0.0105, 0.0185, 0.02425)),
    ),
    SO100_JAW,
)
SO100 = Body(
    name="so100",
    joints=JOINTS,
    links=(BASE, SHOULDER, UPPER_ARM, LOWER_ARM, WRIST, GRIPPER, JAW),
    gripper="gripper",
    tip="gripper",
    tcp=(0.0079, -0.1001, 0.0),  # as far behind the fixed jaw's end as the SO-101's
    straight=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    never=NEVER,
)
