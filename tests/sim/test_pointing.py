"""`armside sim points`: what is said to be somewhere in a picture is seen there; stopped, it goes on the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")

from armside.cli import main
from sim.pointing import questions
from sim.randomise import draw, with_pictures
from sim.scene import COLOURS, CameraPose, Scene, Thing
from sim.sight import place_in_picture, sees
from sim.world import World
from tests.sim.drawing import need_drawing
from tests.sim.scenes import BLOCKS

ABOVE = CameraPose("front", (0.22, 0.0, 0.8), (0.22, 0.0, 0.0), up=(1.0, 0.0, 0.0), fov_deg=40.0, width=64, height=64)


def colour_there(world: World, camera: str, place: tuple[float, float]) -> np.ndarray:
    picture = world.picture(camera)
    height, width = picture.shape[:2]
    return picture[int(place[1] * height), int(place[0] * width)].astype(float)


def test_a_thing_is_drawn_where_it_is_said_to_be() -> None:
    """Its colour stands out there; where another thing is said to be, another does."""
    need_drawing()
    world = World("so101", BLOCKS)
    places = {name: sees(world, "front", name) for name in world.objects()}
    strongest = {"red cube": 0, "green cylinder": 1, "blue ball": 2}
    for name, channel in strongest.items():
        place = places[name]
        assert place is not None
        assert int(np.argmax(colour_there(world, "front", place))) == channel
    world.close()


def test_what_is_hidden_or_outside_is_not_seen() -> None:
    far = Thing("blue cube", "cube", COLOURS["blue"], (0.22, 0.6))
    shown = Thing("red cube", "cube", COLOURS["red"], (0.34, 0.02))
    world = World("so101", Scene(things=(far, shown), cameras=(ABOVE,)))
    assert sees(world, "front", "red cube") is not None and sees(world, "front", "blue cube") is None
    assert place_in_picture(world, "front", np.array([0.22, 0.0, 0.9])) is None  # behind the camera
    arm = world.data.body("gripper").xpos.copy() if "gripper" in names(world) else world.data.xpos[-3].copy()
    over = CameraPose("front", (arm[0], arm[1], 0.8), (arm[0] + 1e-4, arm[1], 0.0), up=(1.0, 0.0, 0.0), fov_deg=40.0)
    under = Thing("red cube", "cube", COLOURS["red"], (float(arm[0]), float(arm[1])))
    assert sees(World("so101", Scene(things=(under,), cameras=(over,))), "front", "red cube") is None


def names(world: World) -> list[str]:
    return [world.model.body(i).name for i in range(world.model.nbody)]


def test_poses_differ_and_answers_follow_the_hanging_camera() -> None:
    need_drawing()
    world = World("so101", with_pictures(draw("pick", 500_000, training=True), 24, 24))
    asked = list(questions(world, ("front", "wrist"), 3, 7))
    assert len(asked) == 3 and set(asked[0].answers) == set(world.objects())
    assert not np.array_equal(asked[0].pictures["wrist"], asked[1].pictures["wrist"])
    assert any(one.answers != asked[0].answers for one in asked[1:])
    assert all(thing in task for one in asked for thing, task in one.tasks.items())
    assert len({task for one in asked for task in one.tasks.values()}) > 3
    world.close()


def test_questions_go_on_and_are_the_same_by_one_process_or_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_drawing()
    words = ["--size", "16", "--poses", "1"]
    assert main(["sim", "points", str(tmp_path / "one"), *words, "--scenes", "20"]) == 0
    assert main(["sim", "points", str(tmp_path / "one"), *words, "--scenes", "40"]) == 0
    assert main(["sim", "points", str(tmp_path / "two"), *words, "--scenes", "40", "--jobs", "2"]) == 0
    one, two = ((tmp_path / name / "points.jsonl").read_bytes() for name in ("one", "two"))
    lines = [json.loads(line) for line in one.splitlines()]
    assert one == two and len(lines) == 40 * 3  # things in each scene
    assert {len(line["images"]) for line in lines} == {2} and lines[0]["images"] == lines[2]["images"]
    assert all(line["question"].removeprefix("point to the ") in line["task"] for line in lines)
    assert len({line["question"] for line in lines[:3]}) == 3 and (tmp_path / "one" / lines[0]["images"][1]).is_file()
    assert main(["sim", "points", str(tmp_path / "one"), "--scenes", "40", "--size", "18"]) == 2
    assert "begun with other settings" in capsys.readouterr().err
