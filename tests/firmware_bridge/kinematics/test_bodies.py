"""The tables of links: whole, enclosing what they stand for, and placed as configured."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest

from firmware_bridge.errors import ConfigError
from firmware_bridge.kinematics.bodies import BODIES, bodies_of
from firmware_bridge.kinematics.chain import rotation
from firmware_bridge.kinematics.link import Body
from firmware_bridge.kinematics.outlines import SKIN
from firmware_bridge.robots import ROBOTS, find

Array = npt.NDArray[np.float64]
Corner = tuple[float, float, float]
LINKS = [(body, index) for body in BODIES.values() for index in range(len(body.links))]
# The corners of each mesh in its link's frame, m, in the models that so101.py, so100.py and yam.py name.
MESHES: dict[str, dict[str, tuple[Corner, Corner]]] = {
    "so101": {
        "base": ((-0.031, -0.0555, -0.0024), (0.0646, 0.0555, 0.0696)),
        "shoulder": ((-0.0506, -0.0264, -0.0644), (0.0122, 0.0287, 0.0462)),
        "upper_arm": ((-0.1302, -0.0382, -0.0135), (0.012, 0.012, 0.0538)),
        "lower_arm": ((-0.1451, -0.015, -0.012), (0.012, 0.0219, 0.0524)),
        "wrist": ((-0.02, -0.0658, -0.009), (0.0157, 0.012, 0.0533)),
        "gripper": ((-0.0352, -0.028, -0.1044), (0.0304, 0.024, 0.001)),
        "jaw": ((-0.0123, -0.082, -0.0051), (0.01, 0.01, 0.0429)),
    },
    "so100": {
        "base": ((-0.0555, -0.071, 0.0), (0.0555, 0.0249, 0.0835)),
        "shoulder": ((-0.0263, 0.0, -0.012), (0.0261, 0.1127, 0.0508)),
        "upper_arm": ((-0.0351, -0.0119, -0.012), (0.0349, 0.1302, 0.0382)),
        "lower_arm": ((-0.0351, -0.015, -0.012), (0.0261, 0.0219, 0.1451)),
        "wrist": ((-0.0352, -0.0626, -0.016), (0.0281, 0.012, 0.016)),
        "gripper": ((-0.0304, -0.1064, -0.024), (0.0352, 0.0, 0.024)),
        "jaw": ((-0.0123, -0.082, -0.0239), (0.01, 0.01, 0.0241)),
    },
    "yam": {
        "base": ((-0.035, -0.1, 0.0), (0.035, 0.1, 0.0731)),
        "link1": ((-0.063, -0.0469, -0.0375), (0.0, 0.0409, 0.019)),
        "link2": ((-0.031, -0.0668, -0.031), (0.031, -0.0001, 0.295)),
        "link3": ((-0.0912, -0.0799, -0.2735), (0.0315, 0.01, 0.0315)),
        "link4": ((-0.0982, -0.013, -0.1023), (0.0175, 0.073, 0.0175)),
        "link5": ((0.0, -0.0285, -0.0356), (0.069, 0.0285, 0.0335)),
        "gripper": ((-0.0325, -0.051, -0.0635), (0.0325, 0.051, 0.0105)),
        "finger_1": ((-0.0902, -0.01, -0.0683), (0.0037, 0.058, 0.0033)),
        "finger_2": ((-0.058, -0.0902, -0.0683), (0.01, 0.0037, 0.0033)),
    },
}


def box_corners(body: Body, index: int) -> Array:
    signs = np.array(list(itertools.product((-1, 1), repeat=3)))
    boxes = body.links[index].boxes
    return np.concatenate([signs * box.half @ rotation(box.quat).T + box.centre for box in boxes])


@pytest.mark.parametrize(("body", "index"), LINKS, ids=[f"{body.name}-{body.names[index]}" for body, index in LINKS])
def test_the_boxes_reach_as_far_as_the_mesh_and_at_most_a_millimetre_farther(body: Body, index: int) -> None:
    low, high = MESHES[body.name][body.names[index]]
    corners = box_corners(body, index)
    outside = np.concatenate([low - corners.min(axis=0), corners.max(axis=0) - high])
    assert outside.min() > -6e-5 and outside.max() < 1.1e-3


@pytest.mark.parametrize(("body", "index"), LINKS, ids=[f"{body.name}-{body.names[index]}" for body, index in LINKS])
def test_outlines_reach_as_far_as_the_mesh_within_their_skin(body: Body, index: int) -> None:
    link = body.links[index]
    if not link.outline:
        assert link.name not in ("jaw", "finger_1", "finger_2")  # what touches the table first has one
        return
    low, high = MESHES[body.name][link.name]
    points = np.array(link.outline)
    assert points.min(axis=0) == pytest.approx(low, abs=SKIN)
    assert points.max(axis=0) == pytest.approx(high, abs=SKIN)
    inside = np.zeros(len(points), dtype=bool)
    for box in link.boxes:
        inside |= (np.abs((points - box.centre) @ rotation(box.quat)) <= np.array(box.half) + 1e-4).all(axis=1)
    assert inside.all()


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_is_whole(body: Body) -> None:
    assert body.links[0].parent == "" and [link.parent for link in body.links].count("") == 1
    assert len(set(body.names)) == len(body.names)
    for index, link in enumerate(body.links[1:], 1):
        assert link.parent in body.names[:index]  # parents before children
        assert link.move is not None and link.move.joint in body.joints
        assert math.hypot(*link.move.axis) == pytest.approx(1.0)
        assert link.mass > 0
    assert {link.move.joint for link in body.links if link.move} == set(body.joints)
    assert body.gripper in body.joints and body.tip in body.names and len(body.straight) == len(body.joints)
    for pair in body.never:
        assert body.names.index(pair[0]) < body.names.index(pair[1])


def test_the_masses_are_the_makers() -> None:
    total = {name: sum(link.mass for link in body.links) for name, body in BODIES.items()}
    assert total["so101"] == pytest.approx(0.632, abs=1e-3)
    assert total["yam"] == pytest.approx(4.291977 + 0.553219 + 2 * 0.0710042, abs=1e-5)


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_every_robot_has_its_bodies(robot: object) -> None:
    row = find(getattr(robot, "name"))  # noqa: B009
    arms = bodies_of(row, {})
    columns = [column for arm in arms for column in range(len(row.joints))[arm.columns]]
    assert columns == list(range(len(row.joints)))
    assert [arm.called("gripper") for arm in arms] == list(row.grippers)
    assert arms[0].base == pytest.approx(np.eye(4))


def test_bases_are_relative_to_the_first() -> None:
    robot = find("bi-yam")
    left, right = bodies_of(robot, {"left": (1.0, 0.3, 0.7, math.pi / 2), "right": (1.0, -0.3, 0.8, math.pi)})
    assert left.base == pytest.approx(np.eye(4))
    assert right.base is not None
    assert right.base[:3, 3] == pytest.approx((-0.6, 0.0, 0.1))  # to the right of an arm that looks along y
    assert right.base[:3, 0] == pytest.approx((0.0, 1.0, 0.0))
    assert [arm.base is None for arm in bodies_of(robot, {})] == [False, True]


@pytest.mark.parametrize(
    ("robot", "bases", "text"),
    [
        ("so101", {"left": (0, 0, 0, 0)}, "expected: none.*got: left"),
        ("bi-yam", {"left": (0, 0, 0, 0)}, "expected: left and right; got: left"),
        ("bi-yam", {"left": (0, 0, 0, 0), "rigth": (0, 0, 0, 0)}, "got: left, rigth"),
        ("bi-yam", {"left": (0, 0, 0, 0), "right": (0, 0, 0)}, "base right; expected: four numbers"),
        ("bi-yam", {"left": (0, 0, 0, 0), "right": (0, 0, math.nan, 0)}, "base right; expected: four numbers"),
    ],
)
def test_bases_that_cannot_be_used_are_named(robot: str, bases: dict[str, tuple[float, ...]], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        bodies_of(find(robot), bases)


def test_rows_that_do_not_fit_are_named() -> None:
    robot = find("so101")
    with pytest.raises(ConfigError, match=r"a body of so101; expected: so101 or so100 or yam; got: so102"):
        bodies_of(dataclasses.replace(robot, bodies=("so102",)), {})
    for bodies in (("yam",), ("so101", "so101", "so101"), ()):
        with pytest.raises(ConfigError, match="the row of so101; expected: one or two bodies with 6 joints in all"):
            bodies_of(dataclasses.replace(robot, bodies=bodies), {})
