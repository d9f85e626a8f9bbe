"""What arms may not touch, against slow truths: sampled points, one pose at a time, meshes' own verdicts."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import ConfigError
from firmware_bridge.kinematics.bodies import BODIES, Placed, bodies_of
from firmware_bridge.kinematics.chain import forward, rotation
from firmware_bridge.kinematics.link import UPRIGHT, Box, Link, Move, Vector
from firmware_bridge.kinematics.outlines import SKIN
from firmware_bridge.robot import Robot
from firmware_bridge.robots import find
from firmware_bridge.safety.meetings import parts_of
from firmware_bridge.safety.motion import Clearance
from firmware_bridge.safety.workspace import Workspace, make_workspace
from tests.firmware_bridge.safety.examples import examples

Array = npt.NDArray[np.float64]
FLOOR = -0.01
SO_RANGE = np.array([[-1.92, -1.745, -1.69, -1.658, -2.74, 0.0], [1.92, 1.745, 1.69, 1.658, 2.84, 1.0]])
YAM_RANGE = np.array([[-2.618, 0, 0, -1.693, -1.571, -2.094, 0], [3.1416, 3.665, 3.1416, 1.571, 1.571, 2.094, 1]])
BASES = {"left": (0.0, 0.3, 0.0, 0.0), "right": (0.0, -0.3, 0.0, 0.0)}
SO_PARKED = np.array(find("so101").park_pose)  # folded, the gripper 3 cm above the table


def workspace(name: str, **changed: object) -> Workspace:
    row: dict[str, object] = {"floor": FLOOR, "keep_out": {}, "self_collision": True, "bases": {}}
    return make_workspace(find(name), **(row | changed))  # type: ignore[arg-type]


def named(space: Workspace, pose: object) -> dict[str, float]:
    return dict(zip(space.names, space.clearance(np.array([pose], dtype=float))[0].tolist(), strict=True))


def random_poses(robot: Robot, count: int, seed: int = 0) -> Array:
    low, high = np.tile(SO_RANGE if robot.family == "sts" else YAM_RANGE, len(robot.bodies))
    return np.random.default_rng(seed).uniform(low, high, (count, len(low)))


def points_of(arm: Placed, pose: Array, link: str, seed: int = 0) -> Array:
    """Points [N, 3] in and on the boxes of a link, in the frame of the first base."""
    index = arm.body.names.index(link)
    frame = forward(arm.body, pose[None, arm.columns], arm.base)[0, index]
    rng = np.random.default_rng(seed)
    found = []
    ends = np.array(list(itertools.product((-1, 1), repeat=3)))
    for box in arm.body.links[index].boxes:
        shares = np.concatenate([ends, np.clip(rng.uniform(-1.5, 1.5, (1500, 3)), -1, 1)])
        inside = shares * box.half @ rotation(box.quat).T + box.centre
        found.append(inside @ frame[:3, :3].T + frame[:3, 3])
    return np.concatenate(found)


def test_it_is_what_motion_asks_for() -> None:
    space: Clearance = workspace("so101", keep_out={"shelf": (0.3, -0.2, 0.2, 0.5, 0.2, 0.3)})
    moving = ["shoulder", "upper_arm", "lower_arm", "wrist", "gripper", "jaw"]
    assert space.names[:6] == tuple(f"floor: {link}" for link in moving)
    assert [name for name in space.names if name.startswith("keep-out")] == [f"keep-out shelf: {x}" for x in moving]
    selves = {name for name in space.names if name.startswith("self")}
    assert {"self: gripper with base", "self: jaw with upper_arm", "self: lower_arm with shoulder"} <= selves
    assert not selves & {"self: shoulder with base", "self: jaw with gripper", "self: wrist with lower_arm"}
    assert len(space.names) == len(set(space.names)) == 6 + 6 + 11
    free = space.clearance(random_poses(find("so101"), 5))
    assert free.shape == (5, len(space.names)) and free.dtype == np.float64


@pytest.mark.parametrize("name", ["so101", "so100", "yam", "bi-yam"])
def test_each_floor_is_the_lowest_point(name: str) -> None:
    robot = find(name)
    space = workspace(name, self_collision=False)
    assert all(column.startswith("floor: ") for column in space.names)
    for pose in random_poses(robot, 20):
        told = named(space, pose)
        for arm in bodies_of(robot, {}):
            for index, link in enumerate(arm.body.links[1:], 1):
                free = told[f"floor: {arm.called(link.name)}"]
                lowest = points_of(arm, pose, link.name)[:, 2].min() - FLOOR
                if link.outline:
                    frame = forward(arm.body, pose[None, arm.columns], arm.base)[0, index]
                    own = (np.array(link.outline) @ frame[:3, :3].T + frame[:3, 3])[:, 2].min()
                    assert free == pytest.approx(own - FLOOR - SKIN)
                    assert lowest - SKIN < free < lowest + 0.05  # a finger is a slanted strut in a large box
                else:
                    assert free == pytest.approx(lowest)


def test_a_floor_goes_up_and_down_with_its_height() -> None:
    pose = random_poses(find("so101"), 4)
    low, at_base, high = (workspace("so101", floor=height, self_collision=False) for height in (-0.01, 0.0, 0.05))
    assert low.clearance(pose) - high.clearance(pose) == pytest.approx(np.full((4, 6), 0.06))
    assert low.clearance(pose) - at_base.clearance(pose) == pytest.approx(np.full((4, 6), 0.01))


def test_a_wrong_zero_that_dives_at_the_table_is_seen() -> None:
    """The old calibration's lift, 90 degrees off: a pose above the table becomes one below it."""
    space = workspace("so101")
    meant = np.array([0.0, -0.6, 0.6, 1.0, 0.0, 0.3])
    assert space.inside(meant) == ()
    dive = meant + np.array([0, math.pi / 2, 0, 0, 0, 0])
    assert [text.split(" by ")[0] for text in space.inside(dive)] == ["floor: wrist", "floor: gripper", "floor: jaw"]


@pytest.mark.parametrize("name", ["so101", "so100", "yam"])
def test_the_working_height_is_free(name: str) -> None:
    """A gripper whose lowest point stands on the table is not stopped above it."""
    robot = find(name)
    arm = bodies_of(robot, {})[0]
    space = workspace(name, self_collision=False)
    tips = ("gripper", "jaw") if robot.family == "sts" else ("finger_1", "finger_2")
    touching = 0
    for pose in random_poses(robot, 4000, seed=2):
        frames = dict(zip(arm.body.names, forward(arm.body, pose[None])[0], strict=True))
        ends = [
            np.array(arm.body.links[arm.body.names.index(tip)].outline) @ frames[tip][:3, :3].T + frames[tip][:3, 3]
            for tip in tips
        ]
        lowest = min(end[:, 2].min() for end in ends)
        free = named(space, pose)
        if 0.0 < lowest < 0.01 and min(free[f"floor: {link}"] for link in arm.body.names[1:] if link not in tips) > 0:
            touching += 1
            assert space.inside(pose) == ()
    assert touching > 20


# Poses and whether the meshes of the models cut each other there, by FCL.
MESHES = [
    ("so101", (0.0, -1.70, 1.62, 1.10, 0.0, 0.02), "self: lower_arm with shoulder", False),
    ("so100", (0.0, -1.70, 1.62, 1.10, 0.0, 0.02), "self: lower_arm with shoulder", False),
    ("so101", tuple(SO_PARKED), "self: lower_arm with shoulder", False),
    ("so100", tuple(SO_PARKED), "self: gripper with shoulder", False),
    ("so101", (-0.05, 1.36, 1.47, -0.47, 0.45, 0.32), "self: lower_arm with base", True),
    ("so101", (-0.05, 1.36, 1.47, -0.47, 0.45, 0.32), "self: wrist with base", True),
    ("so101", (0.44, -0.41, 1.68, 1.59, 1.09, 0.65), "self: gripper with base", True),
    ("so101", (0.44, -0.41, 1.68, 1.59, 1.09, 0.65), "self: jaw with base", True),
    ("so101", (0.44, -0.41, 1.68, 1.59, 1.09, 0.65), "self: wrist with shoulder", True),
    ("so101", (0.44, -0.41, 1.68, 1.59, 1.09, 0.65), "self: gripper with shoulder", True),
    ("so101", (1.46, 1.09, 0.57, 1.52, 2.43, 0.75), "self: jaw with shoulder", True),
    ("so101", (0.44, -0.41, 1.68, 1.59, 1.09, 0.65), "self: wrist with upper_arm", True),
    ("so101", (-1.52, -0.04, 1.27, 1.61, -0.85, 0.4), "self: gripper with upper_arm", True),
    ("so101", (-1.78, 0.85, 0.98, 1.54, -2.54, 0.81), "self: jaw with upper_arm", True),
    ("so100", (-0.05, 1.7, 0.94, -1.26, 0.29, 0.96), "self: lower_arm with base", True),
    ("so100", (-1.55, 0.75, 1.5, 0.45, -1.07, 0.16), "self: gripper with base", True),
    ("so100", (-1.55, 0.75, 1.5, 0.45, -1.07, 0.16), "self: jaw with base", True),
    ("so100", (1.76, 0.72, 1.37, 1.03, 0.79, 0.06), "self: jaw with shoulder", True),
    ("so100", (-1.82, 0.29, 1.54, 1.65, 1.73, 0.71), "self: wrist with upper_arm", True),
    ("yam", (0.0,) * 7, "self: link5 with link2", False),
    ("yam", (0.66, 3.52, 0.13, 1.41, -1.3, 0.44, 0.46), "self: link3 with base", True),
    ("yam", (2.37, 2.68, 0.25, -0.55, 0.26, -1.42, 0.42), "self: link5 with base", True),
    ("yam", (2.37, 2.68, 0.25, -0.55, 0.26, -1.42, 0.42), "self: finger_1 with base", True),
    ("yam", (-2.4, 2.81, 0.48, -0.81, 0.26, -0.03, 0.79), "self: finger_2 with base", True),
    ("yam", (0.63, 3.53, 0.01, -0.24, -1.54, 0.67, 0.52), "self: link3 with link1", True),
    ("yam", (2.52, 0.13, 0.16, -1.58, -0.58, -0.94, 0.22), "self: gripper with link1", True),
    ("yam", (2.19, 1.61, 0.42, -1.47, -0.12, 0.24, 0.76), "self: finger_2 with link1", True),
    ("yam", (2.52, 0.13, 0.16, -1.58, -0.58, -0.94, 0.22), "self: link4 with link2", True),
    ("yam", (1.48, 0.51, 0.11, -0.86, -0.42, -1.56, 0.48), "self: gripper with link2", True),
    ("yam", (2.15, 1.62, 0.51, -1.23, -0.24, 0.43, 0.66), "self: finger_2 with link2", True),
]


@pytest.mark.parametrize(("name", "pose", "column", "hit"), MESHES)
def test_what_the_meshes_say(name: str, pose: tuple[float, ...], column: str, hit: bool) -> None:
    assert (named(workspace(name), pose)[column] < 0) == hit


@pytest.mark.parametrize("name", ["so101", "so100", "yam", "bi-yam"])
def test_home_is_free(name: str) -> None:
    robot = find(name)
    space = workspace(name, bases=BASES if name == "bi-yam" else {})
    assert space.inside(np.array(robot.home_pose)) == ()
    assert space.inside(np.array(robot.park_pose)) == ()


@pytest.mark.parametrize(("name", "at_most"), [("so101", 0.14), ("so100", 0.14)])
def test_what_policies_do_is_mostly_free(name: str, at_most: float) -> None:
    """Between the 1st and 99th percentile of recorded states, each joint by itself: self-collision is rare."""
    low, high = np.radians([[-41.9, -95.3, -51.6, 5.7, -63.5], [48.3, 46.3, 83.1, 91.8, 42.9]])
    rng = np.random.default_rng(0)
    poses = np.concatenate([rng.uniform(low, high, (2000, 5)), rng.uniform(0.01, 0.44, (2000, 1))], axis=1)
    space = workspace(name, floor=None)
    blocked = (space.clearance(poses) < 0).any(axis=1).mean()
    assert 0.05 < blocked < at_most  # the meshes themselves cut each other in 0.08 to 0.09


@pytest.mark.parametrize("name", ["so101", "yam", "bi-yam"])
def test_free_pairs_share_no_point(name: str) -> None:
    """Points of one link are sought in the boxes of the other, both ways."""
    robot = find(name)
    bases = {"left": (0.0, 0.2, 0.0, -0.4), "right": (0.0, -0.2, 0.05, 0.5)} if name == "bi-yam" else {}
    arms = {arm.side: arm for arm in bodies_of(robot, bases)}
    space = workspace(name, floor=None, bases=bases)
    seen = {True: 0, False: 0}
    for pose in random_poses(robot, 60, seed=5):
        for column, free in named(space, pose).items():
            if abs(free) < 0.002 or free > 0.03:
                continue
            ends = column.split(": ")[1].split(" with ")
            parts = [end.split("_", 1) if len(arms) > 1 else ("", end) for end in ends]
            shared = any(
                inside_boxes(arms[b[0]], pose, b[1], points_of(arms[a[0]], pose, a[1])) for a, b in (parts, parts[::-1])
            )
            if free > 0:
                assert not shared, column
            elif free < -0.012:
                assert shared, column
            seen[free < 0] += 1
    assert seen[True] > 20 and seen[False] > 20


def inside_boxes(arm: Placed, pose: Array, link: str, points: Array) -> bool:
    index = arm.body.names.index(link)
    frame = forward(arm.body, pose[None, arm.columns], arm.base)[0, index]
    local = (points - frame[:3, 3]) @ frame[:3, :3]
    return any(
        bool((np.abs((local - box.centre) @ rotation(box.quat)) <= box.half).all(axis=1).any())
        for box in arm.body.links[index].boxes
    )


def test_a_keep_out_box_is_where_it_was_put() -> None:
    space = workspace("so101", floor=None, self_collision=False, keep_out={"wall": (0.35, -0.5, -0.5, 0.6, 0.5, 0.8)})
    assert space.names[0] == "keep-out wall: shoulder"
    ahead, aside = (named(space, (pan, 0.0, 0.0, 0.0, 0.0, 0.1)) for pan in (0.0, 1.5))
    assert ahead["keep-out wall: gripper"] < -0.03 and ahead["keep-out wall: shoulder"] > 0.2
    assert min(aside.values()) > 0.02
    arm = bodies_of(find("so101"), {})[0]
    tip = points_of(arm, np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.1]), "gripper")[:, 0].max()
    assert ahead["keep-out wall: gripper"] == pytest.approx(0.35 - tip, abs=2e-3)


def test_keep_out_far_away_is_a_lower_bound_of_the_distance() -> None:
    low, high = np.array((0.5, 0.1, 0.3)), np.array((0.9, 0.4, 0.5))
    space = workspace("so101", floor=None, self_collision=False, keep_out={"box": (*low, *high)})
    arm = bodies_of(find("so101"), {})[0]
    for pose in random_poses(find("so101"), 20, seed=3):
        for column, free in named(space, pose).items():
            points = points_of(arm, pose, column.split(": ")[1])
            nearest = np.linalg.norm(points - np.clip(points, low, high), axis=1).min()
            assert free <= nearest + 1e-9, column


@pytest.mark.parametrize("name", ["so101", "bi-yam"])
def test_many_poses_at_once_are_the_same_as_one_by_one(name: str) -> None:
    extra = {"bases": BASES} if name == "bi-yam" else {}
    space = workspace(name, keep_out={"shelf": (0.1, -0.2, 0.2, 0.4, 0.2, 0.3)}, **extra)
    poses = random_poses(find(name), 16)
    alone = np.concatenate([space.clearance(pose[None]) for pose in poses])
    assert space.clearance(poses) == pytest.approx(alone, abs=1e-12)


def test_two_arms_meet_only_where_both_bases_are_known() -> None:
    apart, together = workspace("bi-yam"), workspace("bi-yam", bases=BASES)
    assert not [name for name in apart.names if name.startswith("arms")]
    assert "arms: left_gripper with right_gripper" in together.names
    assert (
        "arms: left_base with right_link5" in together.names and "arms: left_base with right_base" not in together.names
    )
    assert "self: left_gripper with left_base" in apart.names and "floor: right_finger_2" in apart.names
    alone = workspace("bi-yam", bases=BASES, self_collision=False)
    assert all(name.startswith("floor") for name in alone.names)
    far = workspace("bi-yam", bases={"left": (0.0, 2.0, 0.0, 0.0), "right": (0.0, -2.0, 0.0, 0.0)})
    assert far.names == apart.names  # nothing reaches


def test_how_far_a_part_reaches_is_the_sum_of_all_lengths_to_its_far_corner() -> None:
    def link(name: str, parent: str, position: Vector, move: Move | None, *boxes: Box) -> Link:
        return Link(name, parent, position, UPRIGHT, move, 0.0, (0.0, 0.0, 0.0), boxes)

    slide = Move("grip", slide=True, scale=-0.05, offset=-0.02)
    finger = Box((0.0, 0.2, 0.0), (0.0, 0.3, 0.4))
    links = (
        link("base", "", (0.0, 0.0, 0.0), None, Box((0.0, 0.0, 0.1), (0.3, 0.4, 0.0))),
        link("arm", "base", (0.3, 0.0, 0.4), Move("turn", offset=9.0)),
        link("finger", "arm", (0.0, 1.0, 0.0), slide, finger),
    )
    body = dataclasses.replace(BODIES["so101"], joints=("turn", "grip"), links=links)
    parts = parts_of((Placed(body, "", slice(0, 2), np.eye(4)),), {})
    assert [part.reach for part in parts] == pytest.approx([0.1 + 0.5, (0.2 + 0.5) + (1.0 + 0.07) + 0.5])


def test_two_arms_that_reach_for_the_same_place() -> None:
    space = workspace("bi-yam", bases=BASES)
    turned = [
        np.array([-side, 1.4, 1.2, 0.0, 0.0, 0.0, 0.5, side, 1.4, 1.2, 0.0, 0.0, 0.0, 0.5])
        for side in (0.0, 0.75, -0.75)
    ]
    met = [{text.split(" by ")[0] for text in space.inside(pose)} for pose in turned]
    assert met[0] == met[2] == set()
    assert any(name.startswith("arms: left_") for name in met[1])


@examples(20)
@given(seed=st.integers(0, 1000), x=st.floats(-1, 1), y=st.floats(-1, 1), yaw=st.floats(-3, 3))
def test_where_both_bases_stand_together_does_not_matter(seed: int, x: float, y: float, yaw: float) -> None:
    def moved(base: tuple[float, ...]) -> tuple[float, ...]:
        c, s = math.cos(yaw), math.sin(yaw)
        return (x + c * base[0] - s * base[1], y + s * base[0] + c * base[1], base[2], base[3] + yaw)

    poses = random_poses(find("bi-yam"), 3, seed)
    here, there = (workspace("bi-yam", bases=rows) for rows in (BASES, {k: moved(v) for k, v in BASES.items()}))
    assert there.clearance(poses) == pytest.approx(here.clearance(poses), abs=1e-9)


def test_the_right_arm_stands_on_its_own_height() -> None:
    low, high = (workspace("bi-yam", bases=BASES | {"right": (0.0, -0.3, z, 0.0)}) for z in (0.0, 0.1))
    zero = np.zeros(14)
    assert named(high, zero)["floor: right_gripper"] - named(low, zero)["floor: right_gripper"] == pytest.approx(0.1)
    assert named(high, zero)["floor: left_gripper"] == pytest.approx(named(low, zero)["floor: left_gripper"])


def test_nothing_to_touch_is_nothing_to_tell() -> None:
    space = workspace("so101", floor=None, self_collision=False)
    assert space.names == () and space.clearance(np.zeros((3, 6))).shape == (3, 0)
    assert space.inside(np.zeros(6)) == ()


def test_not_a_number_is_not_free() -> None:
    pose = np.zeros((1, 6))
    pose[0, 1] = np.nan
    space = workspace("so101")
    free = space.clearance(pose)[0]
    assert np.isnan(free[space.names.index("floor: gripper")])
    assert np.isnan(free[space.names.index("self: gripper with base")])


def test_inside_says_how_deep() -> None:
    space = workspace("so101", floor=0.3, self_collision=False)
    texts = space.inside(np.zeros(6))
    deep = -named(space, np.zeros(6))["floor: shoulder"]
    assert texts[0] == f"floor: shoulder by {deep:.3f} m" and deep > 0.2


SHELF = (0.1, -0.2, 0.2, 0.4, 0.2, 0.3)


@pytest.mark.parametrize(
    ("name", "changed", "text"),
    [
        ("so101", {"floor": math.nan}, "^floor; expected: a height"),
        ("so101", {"floor": math.inf}, "^floor; expected: a height"),
        ("so101", {"keep_out": {"shelf": SHELF[:5]}}, "keep_out shelf; expected: six finite numbers"),
        ("so101", {"keep_out": {"shelf": (*SHELF[:5], math.nan)}}, "keep_out shelf; expected: six"),
        ("so101", {"keep_out": {"shelf": (*SHELF[:5], math.inf)}}, "keep_out shelf; expected: six"),
        ("so101", {"keep_out": {"shelf": (0.4, -0.2, 0.2, 0.4, 0.2, 0.3)}}, "keep_out shelf; expected: six"),
        ("so101", {"keep_out": {"shelf": (0.1, 0.2, 0.2, 0.4, -0.2, 0.3)}}, "the first three below the last three"),
        ("so101", {"bases": {"left": (0, 0, 0, 0)}}, "bases of so101; expected: none"),
        ("bi-yam", {"keep_out": {"shelf": SHELF}}, "keep_out of bi-yam; expected: bases; got: none; what to do: say"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, changed: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        workspace(name, **changed)
    extra = {"bases": BASES} if name == "bi-yam" else {}
    workspace(name, keep_out={"shelf": SHELF}, **extra)  # negative control


def test_a_body_that_never_meets_itself_has_no_such_pair() -> None:
    robot = find("so101")
    pairs = set(itertools.combinations(BODIES["so101"].names, 2))
    body = dataclasses.replace(BODIES["so101"], never=tuple(pairs))
    arm = dataclasses.replace(bodies_of(robot, {})[0], body=body)
    assert Workspace((arm,), None, {}, True).names == ()
