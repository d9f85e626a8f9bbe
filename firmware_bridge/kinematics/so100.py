"""The SO-100 as data: links, masses and boxes.

Frames, masses and ranges: `Simulation/SO100/so100.urdf` of TheRobotStudio/SO-ARM100 (Apache-2.0). That model
has another zero than ours; the two arms have the same pivots to the tenth of a millimetre in upper arm and
forearm, so ours is the pose in which they stand as the SO-101's do at its zero (upper arm up, forearm level,
moving jaw on top), which is the middle of the model's ranges within 0.1 rad. In the zero of MuJoCo
Menagerie's trs_so_arm100 it is (0, -1.571, 1.571, 0, 0). The pan axis is turned round: that model's points
up, and a servo mounted as the SO-101's counts the other way. Boxes: ours, fitted around that model's meshes,
outwards to 0.5 mm. The base stands on the table with its origin at its foot, x forward, z up.
"""

from __future__ import annotations

from firmware_bridge.kinematics.link import UPRIGHT, Body, Box, Link, Move
from firmware_bridge.kinematics.so101 import JOINTS

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
        Box((0.0, -0.0275, 0.009), (0.0555, 0.044, 0.0095)),
        Box((0.0, -0.0208, 0.0462), (0.0225, 0.0387, 0.0283)),
        Box((0.0003, 0.0213, 0.0607), (0.0257, 0.0037, 0.0227)),
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
        Box((0.0, 0.0305, 0.0005), (0.012, 0.031, 0.0125)),
        Box((0.0, 0.0575, 0.0318), (0.0265, 0.0555, 0.0192)),
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
        Box((-0.0003, 0.0437, 0.0018), (0.0352, 0.0558, 0.0143)),
        Box((-0.0003, 0.1148, 0.013), (0.0253, 0.0158, 0.0255)),
    ),
)
LOWER_ARM = Link(
    "lower_arm",
    "upper_arm",
    (0.0, 0.11257, 0.028),
    UPRIGHT,
    Move("elbow_flex", _PITCH),
    0.147968,
    (-0.00339604, 0.00137796, 0.0768007),
    (
        Box((-0.0053, 0.0003, 0.039), (0.0302, 0.0123, 0.0515)),
        Box((0.0, 0.0032, 0.1177), (0.0265, 0.0187, 0.0278)),
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
    (Box((-0.0036, -0.0253, 0.0), (0.032, 0.0378, 0.0163)),),
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
        Box((-0.0025, -0.0542, 0.0), (0.01, 0.0283, 0.011)),
        Box((-0.0003, -0.0083, 0.0003), (0.0103, 0.0182, 0.0243)),
    ),
)
SO100 = Body(
    name="so100",
    joints=JOINTS,
    links=(BASE, SHOULDER, UPPER_ARM, LOWER_ARM, WRIST, GRIPPER, JAW),
    gripper="gripper",
    tip="gripper",
    tcp=(0.0079, -0.1001, 0.0),  # as far behind the fixed jaw's end as the SO-101's
    straight=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
)
