"""Drawn arms: what stands on the paper is where forward kinematics says, and other poses look otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from calib.canvas import Canvas
from calib.drawing import HEIGHT, WIDTH, Sheet, draw, draw_two, goes, picture
from calib.skeleton import BEHIND, SIDE, TOP, VIEWS, View, figure, hull, trail, view_between, view_of
from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.chain import forward, tcp
from firmware_bridge.kinematics.link import Body

SO101, YAM = BODIES["so101"], BODIES["yam"]
ALL = pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)


def straight(body: Body) -> np.ndarray:
    return np.array(body.straight)


@ALL
def test_points_are_where_forward_kinematics_says(body: Body) -> None:
    q = straight(body) + 0.1
    drawn = figure(body, q)
    frames = dict(zip(body.names, forward(body, q[None])[0], strict=True))
    assert np.allclose(drawn.tip, tcp(body, q[None])[0, :3, 3])
    assert set(drawn.joints) == set(body.joints)
    for link in body.links:
        if link.move and link.move.joint != body.gripper:
            assert np.allclose(drawn.joints[link.move.joint], frames[link.name][:3, 3])
    ends = np.array([end for _, end in drawn.jaws])
    assert np.linalg.norm(ends - drawn.tip, axis=1).min() < 0.05  # a jaw ends near the tool centre point
    assert np.linalg.norm(figure(body, straight(body)).tip - drawn.tip) > 0.01  # another pose is elsewhere


@ALL
def test_a_gripper_opens_on_paper(body: Body) -> None:
    def width(opening: float) -> float:
        q = straight(body)
        q[body.joints.index(body.gripper)] = opening
        ends = np.array([end for _, end in figure(body, q).jaws[1::2]])
        return float(np.linalg.norm(ends[0] - ends[1]))

    assert width(0.0) < width(0.5) < width(1.0)


@ALL
def test_the_tip_is_drawn_at_its_place(body: Body) -> None:
    for q in (straight(body), straight(body) + 0.3):
        drawn = figure(body, q)
        sheet = Sheet(SIDE, drawn.points, WIDTH, plain=False)
        column, row = sheet.at(drawn.tip)
        tip, shoulder = drawn.tip, next(iter(drawn.joints.values()))
        assert 0 <= column < WIDTH and 0 <= row < HEIGHT
        across, down = np.subtract(sheet.at(tip), sheet.at(shoulder))
        assert across / sheet.cells == pytest.approx(tip[0] - shoulder[0])
        assert -2 * down / sheet.cells == pytest.approx(tip[2] - shoulder[2])  # a cell is twice as high as wide


@ALL
@pytest.mark.parametrize("plain", [False, True])
def test_drawings_fit_a_terminal(body: Body, plain: bool) -> None:
    texts = [draw_two(body, straight(body), straight(body) + 0.4, plain)]
    texts += [draw(body, straight(body) + 0.2, joint, way, plain) for joint in body.joints for way in (0, 1, -1)]
    for text in texts:
        lines = text.splitlines()
        assert len(lines) <= 18 and max(map(len, lines)) <= 60
        assert lines[0].strip() and text.isascii() == plain


def test_the_joint_that_matters_is_marked_and_named() -> None:
    q = np.zeros(6)
    text = draw(SO101, q, "elbow_flex", 1, plain=False)
    row = next(line for line in text.splitlines() if "◉" in line)
    assert "elbow_flex" in row and text.count("◉") == 1 and "↙" in text
    assert text.endswith("elbow_flex: the gripper goes down")
    assert "↖" in draw(SO101, q, "elbow_flex", -1, plain=False) or "↑" in draw(SO101, q, "elbow_flex", -1, plain=False)
    bare = draw(SO101, q, plain=False)
    assert "◉" not in bare and "elbow_flex" not in bare and not set("↙↓↖↑") & set(bare)


@ALL
def test_poses_draw_differently(body: Body) -> None:
    base = draw(body, straight(body), plain=False)
    assert base == draw(body, straight(body).copy(), plain=False)
    for index, joint in enumerate(body.joints):
        if view_of(body, straight(body), joint) is SIDE:
            moved = straight(body)
            moved[index] += 0.6
            assert draw(body, moved, plain=False) != base, joint


def test_two_poses_stand_side_by_side() -> None:
    text = draw_two(SO101, np.zeros(6), np.array([0.0, -1.0, 1.0, 0.5, 0.0, 0.0]), plain=False)
    assert text.splitlines()[-1].startswith("now, from its right side") and text.endswith("wanted")
    left, right = zip(*((line[:29].rstrip(), line[30:].rstrip()) for line in text.splitlines()[:-1]), strict=True)
    assert left != right
    same = draw_two(SO101, np.zeros(6), np.zeros(6), plain=False).splitlines()[:-1]
    assert [line[:28].rstrip() for line in same] == [line[30:].rstrip() for line in same]


@pytest.mark.parametrize(
    ("joint", "view"), [("shoulder_pan", TOP), ("elbow_flex", SIDE), ("wrist_roll", BEHIND), ("gripper", SIDE)]
)
def test_seen_from_where_it_shows(joint: str, view: View) -> None:
    assert view_of(SO101, np.zeros(6), joint) is view
    other = np.zeros(6)
    other[SO101.joints.index(joint)] = 0.8
    if joint != "wrist_roll":  # which turns in place: no view shows it by its tip
        assert view_between(SO101, np.zeros(6), other) is view


def test_a_roll_is_seen_along_the_gripper() -> None:
    down = np.array([0.0, 0.0, 0.0, 1.5, 0.0, 0.0])
    assert view_of(SO101, down, "wrist_roll") is TOP
    way = trail(SO101, np.zeros(6), "wrist_roll", 1)
    middle = figure(SO101, np.zeros(6)).joints["wrist_roll"]
    assert np.allclose(np.linalg.norm(way - middle, axis=1), 0.06)  # an arc


@pytest.mark.parametrize("joint", SO101.joints)
def test_words_turn_round_with_the_arrow(joint: str) -> None:
    one, other = goes(SO101, np.zeros(6), joint, 1), goes(SO101, np.zeros(6), joint, -1)
    assert one.startswith(f"{joint}: ") and other.startswith(f"{joint}: ") and one != other


def test_the_arrow_points_where_the_tip_goes() -> None:
    for body in BODIES.values():
        for joint in body.joints[:3]:
            for way in (1, -1):
                turned = straight(body)
                turned[body.joints.index(joint)] += way * 0.5
                moved = tcp(body, turned[None])[0, :3, 3] - tcp(body, straight(body)[None])[0, :3, 3]
                ends = trail(body, straight(body), joint, way)
                assert (ends[-1] - ends[0]) @ moved > 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=30))
def test_a_hull_holds_every_point(points: list[tuple[int, int]]) -> None:
    flat = np.array(points, dtype=float)
    corners = flat[hull(flat)]
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge = end - start
        assert np.all(edge[0] * (flat[:, 1] - start[1]) - edge[1] * (flat[:, 0] - start[0]) >= -1e-9)


def test_a_canvas_cuts_off_what_is_outside() -> None:
    for plain in (False, True):
        canvas = Canvas(6, 3, plain)
        canvas.line((-5, -5), (20, 9))
        canvas.write(4, 1, "long")
        canvas.write(0, 7, "below")
        assert [len(line) for line in canvas.lines()] == [6, 6, 6]
        assert canvas.lines()[1].endswith("lo")
        assert not canvas.free(4, 1, 1) and not canvas.free(5, 2, 2)


def test_every_view_is_right_handed() -> None:
    for view in VIEWS:  # what is drawn is never a mirror image: right x up comes towards the eye
        towards = np.cross(view.right, view.up)
        assert np.allclose(towards, {SIDE: (0, -1, 0), TOP: (0, 0, 1), BEHIND: (-1, 0, 0)}[view])


@ALL
def test_a_picture_for_reports(body: Body, tmp_path: Path) -> None:
    path, other = tmp_path / "poses.png", tmp_path / "other.png"
    picture(body, {"now": straight(body), "wanted": straight(body) + 0.3}, path)
    picture(body, {"now": straight(body), "wanted": straight(body)}, other)
    with Image.open(path) as image, Image.open(other) as second:
        assert image.format == "PNG" and image.size == (920, 724)
        half = image.width // 2
        assert image.crop((0, 60, half, 724)).tobytes() != image.crop((half, 60, image.width, 724)).tobytes()
        assert second.crop((0, 60, half, 724)).tobytes() == second.crop((half, 60, second.width, 724)).tobytes()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["other.png", "poses.png"]  # nothing half written
