"""The I2RT YAM with its linear_4310 gripper as data: links, masses and boxes.

Frames, masses and ranges: i2rt-robotics/i2rt, `robot_models/arm/yam/README.md` and `yam.xml`, and
`robot_models/gripper/linear_4310/linear_4310.xml` (MIT). Joint angles are i2rt's; at all zeros the arm lies
folded over its base. Boxes: ours, fitted around those models' meshes, outwards to 0.5 mm; a wrist camera is
not among them. The base stands on the table with its origin at its foot, x forward, z up.
"""

from __future__ import annotations

from firmware_bridge.kinematics.link import UPRIGHT, Body, Box, Link, Move
from firmware_bridge.kinematics.outlines import YAM_FINGER_1, YAM_FINGER_2

JOINTS = ("joint_1", "joint_2", "joint_3", "joint_4", "joint_5", "joint_6", "gripper")
_STROKE = 0.0475  # m that each finger slides from closed to open
_ROOT_HALF = 0.7071067811865476
_HALF_TURN = (0.0, 0.0, 0.0, 1.0)
# Their meshes never touch over the whole of the joints' ranges (5,000 poses), though the boxes of the first
# four do; the fingers close on each other.
_NEVER = (
    ("base", "link2"),
    ("link3", "link5"),
    ("link3", "gripper"),
    ("link4", "gripper"),
    *((link, finger) for link in ("link3", "link4", "link5") for finger in ("finger_1", "finger_2")),
    ("finger_1", "finger_2"),
)
_PITCH = (0.0, 1.0, 0.0)

_ARM = (
    Link(
        "base",
        "",
        (0.0, 0.0, 0.0),
        UPRIGHT,
        None,
        0.873654,
        (0.0, 0.0, 0.0247678),
        (Box((0.0, 0.0, 0.00625), (0.0355, 0.1005, 0.00675)), Box((-0.0005, 0.0, 0.043), (0.035, 0.033, 0.0305))),
    ),
    Link(
        "link1",
        "base",
        (0.0, 0.0, 0.068),
        (0.0, -_ROOT_HALF, 0.0, _ROOT_HALF),
        Move("joint_1", (-1.0, 0.0, 0.0)),
        0.101218,
        (-0.0233636, -0.00172503, -0.00727828),
        (Box((-0.0315, -0.003, -0.009), (0.0315, 0.044, 0.0285)),),
    ),
    Link(
        "link2",
        "link1",
        (-0.0455, -0.0339, -0.02),
        _HALF_TURN,
        Move("joint_2", _PITCH),
        1.46908,
        (0.000134495, -0.0331253, 0.129165),
        (Box((0.0, -0.0335, 0.139), (0.0315, 0.0335, 0.1565)), Box((0.0, -0.0335, -0.0245), (0.0265, 0.0335, 0.007))),
    ),
    Link(
        "link3",
        "link2",
        (0.0, -0.0688, 0.264),
        _HALF_TURN,
        Move("joint_3", _PITCH),
        0.982553,
        (-0.0556042, -0.0340514, -0.135083),
        (
            Box((-0.06, -0.0345, -0.15425), (0.029, 0.0335, 0.11975)),
            Box((-0.06175, -0.03475, -0.00775), (0.02975, 0.04525, 0.02725)),
            Box((-0.0005, -0.03475, 0.0), (0.0325, 0.04525, 0.032)),
        ),
    ),
    Link(
        "link4",
        "link3",
        (-0.0600003, -0.0688, -0.244999),
        UPRIGHT,
        Move("joint_4", _PITCH),
        0.462165,
        (-0.0550959, 0.032726, -0.0575534),
        (
            Box((-0.0605, 0.034, -0.0665), (0.038, 0.0285, 0.036)),
            Box((-0.0025, 0.03, -0.01025), (0.0205, 0.0435, 0.02825)),
        ),
    ),
    Link(
        "link5",
        "link4",
        (-0.0405003, 0.0338995, -0.0739989),
        UPRIGHT,
        Move("joint_5", (1.0, 0.0, 0.0)),
        0.403307,
        (0.0375847, -3.55003e-05, -0.000825911),
        (Box((0.0105, 0.0, 0.00475), (0.011, 0.021, 0.02925)), Box((0.045, 0.0, -0.001), (0.0245, 0.029, 0.035))),
    ),
)
_GRIPPER = (
    Link(
        "gripper",
        "link5",
        (0.0404996, 0.0, -0.0356),
        UPRIGHT,
        Move("joint_6", (0.0, 0.0, -1.0)),
        0.553219,
        (-3.57066e-05, 0.000249371, -0.0293133),
        (
            Box((0.0, 0.0, -0.054), (0.033, 0.0515, 0.01)),
            Box((0.0, 0.0, -0.01675), (0.029, 0.029, 0.02775)),
        ),
    ),
    Link(
        "finger_1",
        "gripper",
        (-0.0238981, 0.0450619, -0.0545599),
        (0.5, -0.5, -0.5, -0.5),
        Move("gripper", (0.0, 0.0, -1.0), slide=True, scale=_STROKE),
        0.0710042,
        (-0.0224716, 0.0143408, -0.0426253),
        (
            Box((-0.04325, 0.024, -0.05575), (0.04725, 0.0345, 0.01275)),
            Box((-0.006, 0.00275, -0.02), (0.01, 0.01325, 0.0235)),
        ),
        YAM_FINGER_1,
    ),
    Link(
        "finger_2",
        "gripper",
        (0.0238981, -0.0450619, -0.0545599),
        (_ROOT_HALF, _ROOT_HALF, 0.0, 0.0),
        Move("gripper", (0.0, 0.0, -1.0), slide=True, scale=_STROKE),
        0.0710042,
        (-0.0143408, -0.0224716, -0.0426253),
        (
            Box((-0.024, -0.04325, -0.05575), (0.0345, 0.04725, 0.01275)),
            Box((-0.00275, -0.006, -0.02), (0.01325, 0.01, 0.0235)),
        ),
        YAM_FINGER_2,
    ),
)
YAM = Body(
    name="yam",
    joints=JOINTS,
    links=_ARM + _GRIPPER,
    gripper="gripper",
    tip="gripper",
    tcp=(0.0, 0.0, -0.1347),  # that gripper's grasp_site
    straight=(0.0, 1.57, 1.57, 0.0, 0.0, 0.0, 0.0),
    never=_NEVER,
)
