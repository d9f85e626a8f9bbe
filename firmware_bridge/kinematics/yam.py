"""The I2RT YAM with its linear_4310 gripper as data: links, masses and boxes.

Frames, masses and ranges: i2rt-robotics/i2rt, `robot_models/arm/yam/README.md` and `yam.xml`, and
`robot_models/gripper/linear_4310/linear_4310.xml` (MIT). Joint angles are i2rt's; at all zeros the arm lies
folded over its base. Boxes: ours, fitted around those models' meshes, outwards to 0.5 mm; a wrist camera is
not among them. The base stands on the table with its origin at its foot, x forward, z up.
"""

from __future__ import annotations

from firmware_bridge.kinematics.link import UPRIGHT, Body, Box, Link, Move

JOINTS = ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6", "gripper")
_STROKE = 0.0475  # m that each finger slides from closed to open
_ROOT_HALF = 0.7071067811865476
_HALF_TURN = (0.0, 0.0, 0.0, 1.0)
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
        (Box((0.0, 0.0, 0.0065), (0.0355, 0.1005, 0.0065)), Box((-0.0005, 0.0, 0.043), (0.035, 0.0325, 0.0305))),
    ),
    Link(
        "link1",
        "base",
        (0.0, 0.0, 0.068),
        (0.0, -_ROOT_HALF, 0.0, _ROOT_HALF),
        Move("joint1", (-1.0, 0.0, 0.0)),
        0.101218,
        (-0.0233636, -0.00172503, -0.00727828),
        (Box((-0.0315, -0.003, -0.009), (0.0315, 0.044, 0.0285)),),
    ),
    Link(
        "link2",
        "link1",
        (-0.0455, -0.0339, -0.02),
        _HALF_TURN,
        Move("joint2", _PITCH),
        1.46908,
        (0.000134495, -0.0331253, 0.129165),
        (Box((0.0, -0.0335, 0.132), (0.0313, 0.0335, 0.1633)),),
    ),
    Link(
        "link3",
        "link2",
        (0.0, -0.0688, 0.264),
        _HALF_TURN,
        Move("joint3", _PITCH),
        0.982553,
        (-0.0556042, -0.0340514, -0.135083),
        (
            Box((-0.0602, -0.0345, -0.154), (0.0288, 0.0335, 0.1195)),
            Box((-0.062, -0.0348, -0.0077), (0.0295, 0.0452, 0.0272)),
            Box((-0.0008, -0.0348, -0.0003), (0.0323, 0.0452, 0.0318)),
        ),
    ),
    Link(
        "link4",
        "link3",
        (-0.0600003, -0.0688, -0.244999),
        UPRIGHT,
        Move("joint4", _PITCH),
        0.462165,
        (-0.0550959, 0.032726, -0.0575534),
        (
            Box((-0.0605, 0.034, -0.0665), (0.038, 0.0285, 0.036)),
            Box((-0.0027, 0.03, -0.0103), (0.0203, 0.0435, 0.0278)),
        ),
    ),
    Link(
        "link5",
        "link4",
        (-0.0405003, 0.0338995, -0.0739989),
        UPRIGHT,
        Move("joint5", (1.0, 0.0, 0.0)),
        0.403307,
        (0.0375847, -3.55003e-05, -0.000825911),
        (Box((0.0343, -0.0003, -0.001), (0.0348, 0.0288, 0.035)),),
    ),
)
_GRIPPER = (
    Link(
        "gripper",
        "link5",
        (0.0404996, 0.0, -0.0356),
        UPRIGHT,
        Move("joint6", (0.0, 0.0, -1.0)),
        0.553219,
        (-3.57066e-05, 0.000249371, -0.0293133),
        (
            Box((0.0, -0.0003, -0.054), (0.033, 0.0512, 0.01)),
            Box((0.0, -0.0003, -0.0168), (0.029, 0.0288, 0.0278)),
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
        (Box((-0.0432, 0.0238, -0.0558), (0.0473, 0.0343, 0.0127)),),
    ),
    Link(
        "finger_2",
        "gripper",
        (0.0238981, -0.0450619, -0.0545599),
        (_ROOT_HALF, _ROOT_HALF, 0.0, 0.0),
        Move("gripper", (0.0, 0.0, -1.0), slide=True, scale=_STROKE),
        0.0710042,
        (-0.0143408, -0.0224716, -0.0426253),
        (Box((-0.0238, -0.0432, -0.0558), (0.0343, 0.0473, 0.0127)),),
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
)
