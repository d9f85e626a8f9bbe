"""Forward kinematics against published anchors, other formulas (DH, PoE) and poses computed by MuJoCo."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.chain import forward, placed, rotation, tcp
from firmware_bridge.kinematics.link import Body
from firmware_bridge.kinematics.so101 import ELBOW_MIDDLE

Array = npt.NDArray[np.float64]
SO101, SO100, YAM = BODIES["so101"], BODIES["so100"], BODIES["yam"]


def links(body: Body, q: object) -> dict[str, Array]:
    """Each link's transform [4, 4] in one pose."""
    return dict(zip(body.names, forward(body, np.array([q], dtype=np.float64))[0], strict=True))


def random_poses(body: Body, count: int) -> Array:
    q = np.random.default_rng(3).uniform(-1.5, 1.5, (count, len(body.joints)))
    q[:, -1] = np.abs(q[:, -1]) / 1.5
    return q


LEVEL = np.array([0.0, 0.0, -ELBOW_MIDDLE, 0.0, 0.0, 0.0])  # the zero of so101_new_calib.xml
# World anchors there.
SO101_ANCHORS = {
    "shoulder": (0.0388, 0.0, 0.0624),
    "upper_arm": (0.0692, -0.0183, 0.1166),
    "lower_arm": (0.0972, -0.0183, 0.2292),
    "wrist": (0.2321, -0.0183, 0.2344),
    "gripper": (0.2932, 0.0, 0.2344),
    "jaw": (0.3166, 0.0176, 0.2555),
}
# i2rt's README, "Global link and joint frames at home".
YAM_ANCHORS = {
    "link1": (0.0, 0.0, 0.068),
    "link2": (0.0199995, 0.0339001, 0.1135001),
    "link3": (-0.2440003, -0.0349009, 0.1134997),
    "link4": (0.0009982, 0.0339003, 0.1735005),
    "link5": (0.0749971, 0.0, 0.2140013),
    "gripper": (0.1105973, 0.0, 0.1735018),
}


@pytest.mark.parametrize(
    ("body", "anchors", "near"), [(SO101, SO101_ANCHORS, 3e-4), (YAM, YAM_ANCHORS, 1e-5)], ids=["so101", "yam"]
)
def test_the_anchors_of_the_zero_pose(body: Body, anchors: dict[str, tuple[float, ...]], near: float) -> None:
    zero = links(body, LEVEL if body is SO101 else [0.0] * len(body.joints))
    for name, place in anchors.items():
        assert zero[name][:3, 3] == pytest.approx(place, abs=near), name


def test_the_axes_of_the_so101_point_where_its_model_says() -> None:
    zero = links(SO101, LEVEL)
    expected = {"shoulder": (0, 0, -1), "upper_arm": (0, 1, 0), "lower_arm": (0, 1, 0), "wrist": (0, 1, 0)}
    for name, axis in (expected | {"gripper": (-1, 0, 0), "jaw": (0, -1, 0)}).items():
        assert zero[name][:3, 2] == pytest.approx(axis, abs=0.05), name


def test_the_tcp_of_the_so101_and_which_way_is_down() -> None:
    q = np.tile(LEVEL, (4, 1))
    q[[1, 2, 3], [1, 2, 3]] += math.radians(10)
    tips = tcp(SO101, q)[:, :3, 3]
    assert tips[0] == pytest.approx((0.3914, 0.0, 0.2265), abs=1e-4)
    assert tips[1:, 2] == pytest.approx((0.169, 0.175, 0.199), abs=1e-3)


# Poses computed by MuJoCo from the sources named in so101.py, so100.py (turned to look along x) and yam.py.
MUJOCO = [
    (SO101, (0.5, -0.7, 0.9, 0.4, 1.1, 0.3), "jaw", (0.247652, -0.122217, 0.106045), (0.208479, -0.062264, 0.146127)),
    (SO101, (-1.2, 1.0, -1.1, -1.3, -2.0, 0.9), "jaw", (0.140219, 0.279919, 0.329997), (0.165609, 0.252229, 0.257031)),
    (SO100, (0.5, -0.7, 0.9, 0.4, 1.1, 0.3), "jaw", (0.25502, -0.122648, 0.10802), (0.218512, -0.074168, 0.161283)),
    (SO100, (-1.2, 1.0, -1.1, -1.3, -2.0, 0.9), "jaw", (0.146539, 0.280489, 0.333331), (0.169868, 0.269979, 0.256745)),
    (
        YAM,
        (0.5, 0.9, 1.4, 0.4, 1.1, 0.3, 0.2),
        "finger_1",
        (0.192245, -0.067915, 0.60889),
        (0.118677, -0.047932, 0.559426),
    ),
    (
        YAM,
        (-1.2, 2.0, 0.7, -1.3, -0.9, -1.9, 0.9),
        "finger_1",
        (0.160243, -0.04402, 0.040816),
        (0.135384, -0.113246, 0.080675),
    ),
]


def ours(body: Body, q: tuple[float, ...]) -> Array:
    """Our joints where the model's are `q`."""
    return np.array(q) if body is YAM else np.array(q) + LEVEL


@pytest.mark.parametrize(("body", "q", "link", "tip", "place"), MUJOCO, ids=lambda value: getattr(value, "name", ""))
def test_poses_that_mujoco_computed(
    body: Body, q: tuple[float, ...], link: str, tip: tuple[float, ...], place: tuple[float, ...]
) -> None:
    assert tcp(body, ours(body, q)[None])[0, :3, 3] == pytest.approx(tip, abs=2e-5)
    assert links(body, ours(body, q))[link][:3, 3] == pytest.approx(place, abs=2e-5)


# i2rt's README, classical DH: home offset of theta, d, a, alpha.
DH = [
    (0.0, 0.1135, 0.02, -math.pi / 2),
    (-math.pi, 0.0, 0.264, -math.pi),
    (-2.901418, 0.0, 0.252239, 0.0),
    (-0.240173, 0.0, 0.073999, math.pi / 2),
    (math.pi / 2, 0.0, 0.0, math.pi / 2),
    (math.pi / 2, 0.0356, 0.0, -math.pi),
]
# ... and the space axes of its product of exponentials, with the home pose of the mount.
SCREWS = np.array(
    [
        (0, 0, 1, 0, 0, 0),
        (0, 1, 0, -0.1135, 0, 0.02),
        (0, -1, 0, 0.1135, 0, 0.244),
        (0, -1, 0, 0.173501, 0, -0.000998),
        (0, 0, -1, 0, 0.074998, 0),
        (1, 0, 0, 0, 0.173501, 0),
    ]
)
HOME = np.array([[0, 0, -1, 0.110597], [0, -1, 0, 0], [-1, 0, 0, 0.173502], [0, 0, 0, 1.0]])


def by_dh(q: Array) -> Array:
    pose = np.eye(4)
    for value, (offset, d, a, alpha) in zip(q, DH, strict=True):
        c, s, ca, sa = math.cos(value + offset), math.sin(value + offset), math.cos(alpha), math.sin(alpha)
        pose = pose @ [[c, -s * ca, s * sa, a * c], [s, c * ca, -c * sa, a * s], [0, sa, ca, d], [0, 0, 0, 1]]
    return pose


def exponential(screw: Array, angle: float) -> Array:
    """The matrix exponential by its series: slow, and no formula of ours."""
    (x, y, z), v = screw[:3], screw[3:]
    twist = np.zeros((4, 4))
    twist[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    twist[:3, 3] = v
    total, term = np.eye(4), np.eye(4)
    for order in range(1, 40):
        term = term @ twist * (angle / order)
        total = total + term
    return total


def test_the_yam_by_denavit_and_hartenberg_and_by_exponentials() -> None:
    for q in random_poses(YAM, 20):
        mount = links(YAM, q)["gripper"]
        screws = HOME
        for screw, value in list(zip(SCREWS, q[:6], strict=True))[::-1]:
            screws = exponential(screw, value) @ screws
        assert mount == pytest.approx(by_dh(q[:6]), abs=1e-4)
        assert mount == pytest.approx(screws, abs=1e-4)
        assert mount != pytest.approx(by_dh(-q[:6]), abs=1e-4)  # negative control


def test_the_so100_stands_as_the_so101_does_in_the_same_joints() -> None:
    """Shoulder to elbow to wrist to gripper: the same vectors but for the pivots' own sideways offsets."""
    for q in random_poses(SO101, 20):
        q[0] = 0.0
        one, two = links(SO101, q), links(SO100, q)
        for near, far in (("upper_arm", "lower_arm"), ("lower_arm", "wrist"), ("wrist", "gripper")):
            way = [arm[far][[0, 2], 3] - arm[near][[0, 2], 3] for arm in (one, two)]
            assert way[0] == pytest.approx(way[1], abs=1.1e-3)
    for joint in range(5):
        q = np.zeros((2, 6))
        q[1, joint] = 0.3
        ways = [np.diff(tcp(body, q)[:, :3, 3], axis=0)[0] for body in (SO101, SO100)]
        assert ways[0] == pytest.approx(ways[1], abs=3e-3)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_many_poses_at_once_are_the_same_as_one_by_one(body: Body) -> None:
    q = random_poses(body, 16)
    together = forward(body, q)
    assert together.shape == (16, len(body.links), 4, 4)
    alone = np.concatenate([forward(body, row[None]) for row in q])
    assert together == pytest.approx(alone, abs=1e-12)
    assert together[0] != pytest.approx(together[1], abs=1e-3)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@settings(max_examples=30, deadline=None)
@given(
    place=st.tuples(*[st.floats(-2, 2)] * 3),
    yaw=st.floats(-4, 4),
    values=st.lists(st.floats(-3, 3), min_size=7, max_size=7),
)
def test_a_base_moves_the_whole_arm_and_nothing_within_it(
    body: Body, place: tuple[float, float, float], yaw: float, values: list[float]
) -> None:
    q = np.array([values[: len(body.joints)]])
    base = placed(place, yaw)
    there, here = forward(body, q, base)[0], forward(body, q)[0]
    assert there == pytest.approx(base @ here, abs=1e-9)
    assert there[:, :3, :3] @ there[:, :3, :3].transpose(0, 2, 1) == pytest.approx(
        np.broadcast_to(np.eye(3), (len(body.links), 3, 3)), abs=1e-6
    )
    assert np.linalg.det(there[:, :3, :3]) == pytest.approx(1.0)


def test_the_pan_joint_turns_everything_about_the_vertical() -> None:
    for body in (SO101, SO100):
        q = np.array([[0.0, 0.3, 0.4, 0.5, 0.6, 0.2], [0.7, 0.3, 0.4, 0.5, 0.6, 0.2]])
        before, after = forward(body, q)
        axis = before[1][:3, 3]
        right = placed((0, 0, 0), -0.7)[:3, :3]
        turned = (after[1:, :3, 3] - axis) @ right
        assert turned == pytest.approx(before[1:, :3, 3] - axis, abs=1e-9)


def test_grippers_open_from_0_to_1() -> None:
    shut, wide = links(YAM, [0.0] * 7), links(YAM, [0.0] * 6 + [1.0])
    pads = {"finger_1": (0, -0.0017, -0.1362, 1), "finger_2": (0, 0.0017, -0.1362, 1)}  # shut, in the gripper's frame
    mine = {name: np.linalg.solve(shut[name], shut["gripper"] @ pad) for name, pad in pads.items()}
    gap = [
        np.linalg.norm(pose["finger_1"] @ mine["finger_1"] - pose["finger_2"] @ mine["finger_2"])
        for pose in (shut, wide)
    ]
    assert gap == pytest.approx([0.0034, 0.0984], abs=1e-4)
    for body, tip in ((SO101, (-0.0025, -0.0825, 0.019, 1)), (SO100, (-0.0025, -0.0825, 0.0, 1))):
        tips = tcp(body, np.zeros((1, 6)))[0, :3, 3]
        jaw = [np.linalg.norm((links(body, [0.0] * 5 + [g])["jaw"] @ tip)[:3] - tips) for g in (0.0, 0.5, 1.0)]
        assert jaw[0] < 0.03 and jaw[0] < jaw[1] < jaw[2]


def test_a_turned_axis_is_noticed() -> None:
    """Negative control of the poses above."""
    move = SO101.links[3].move
    assert move is not None
    elbow = dataclasses.replace(SO101.links[3], move=dataclasses.replace(move, axis=(0.0, 0.0, -1.0)))
    wrong = dataclasses.replace(SO101, links=(*SO101.links[:3], elbow, *SO101.links[4:]))
    _, q, _, tip, _ = MUJOCO[0]
    assert tcp(wrong, ours(SO101, q)[None])[0, :3, 3] != pytest.approx(tip, abs=1e-2)


def test_the_middle_of_the_elbow_is_above_level() -> None:
    """Its range of +-1.69 about our zero ends where the model's parts stop it: -102 and +91 degrees from level."""
    for body in (SO101, SO100):
        for end, stop in ((-1.69, -102.0), (1.69, 91.0)):
            pose = links(body, (0.0, 0.0, end, 0.0, 0.0, 0.0))
            way = pose["wrist"][:3, 3] - pose["lower_arm"][:3, 3]
            level = links(body, LEVEL)["wrist"][:3, 3] - links(body, LEVEL)["lower_arm"][:3, 3]
            turned = math.atan2(level[2], level[0]) - math.atan2(way[2], way[0])
            assert math.degrees(turned) == pytest.approx(stop, abs=1.5)


def test_quaternions_of_any_length() -> None:
    turn = rotation((2.0, 0.0, 0.0, 2.0))
    assert turn == pytest.approx(np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]))
    assert rotation((0.3, -0.4, 0.5, 0.6)) @ rotation((0.3, 0.4, -0.5, -0.6)) == pytest.approx(np.eye(3))
