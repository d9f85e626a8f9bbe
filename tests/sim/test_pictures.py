"""Pictures and depth: what they show, how far it is, and that a context taken over draws the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from policy_spec.errors import SimError
from sim.randomise import draw, with_pictures
from sim.scene import CameraPose, Light
from sim.world import World
from tests.sim.drawing import need_drawing
from tests.sim.scenes import BLOCKS

HEIGHT = 0.5  # m over the table
PLAIN = dataclasses.replace(BLOCKS, light=Light(shadows=False))
DOWN = CameraPose("front", (0.2, 0.0, HEIGHT - 0.0024), (0.2, 0.0, 0.0), up=(1.0, 0.0, 0.0), width=160, height=120)
BESIDE = CameraPose("front", (0.3, 0.5, 0.3), (0.22, 0.0, 0.0), width=160, height=120)
AWAY = {"shoulder_pan": 1.5, "shoulder_lift": -1.6}


@pytest.fixture(autouse=True)
def _drawing() -> None:
    need_drawing()


def red(picture: np.ndarray) -> int:
    """How many pixels are red."""
    parts = picture.astype(int)
    return int(((parts[..., 0] > 60) & (parts[..., 0] > 3 * parts[..., 1]) & (parts[..., 0] > 3 * parts[..., 2])).sum())


def test_sizes_types_and_colours() -> None:
    world = World("so101", BLOCKS)
    for slot in ("front", "wrist"):
        picture, depth = world.picture(slot), world.depth(slot)
        assert (picture.shape, picture.dtype) == ((224, 224, 3), np.uint8)
        assert (depth.shape, depth.dtype) == ((224, 224), np.float32)
        assert red(picture) > 30
    assert world.picture("front", (70, 140)).shape == (70, 140, 3)
    without = World("so101", dataclasses.replace(BLOCKS, things=BLOCKS.things[1:]))
    assert red(without.picture("front")) == 0


def test_depth_is_the_distance_from_the_cameras_plane() -> None:
    world = World("so101", dataclasses.replace(PLAIN, cameras=(DOWN,), start=AWAY))
    depth = world.depth("front")
    assert depth[5, 5] == pytest.approx(HEIGHT, abs=1e-4)  # the table, also in a corner: a plane, not a ray
    middle = BLOCKS.things[1]
    assert depth[60, 80] == pytest.approx(HEIGHT - middle.size, abs=1e-3)
    # The ball to the left and ahead, by the pinhole: pixels per tangent = H / 2 / tan(fov / 2).
    ball, focal = BLOCKS.things[2], 60 / np.tan(np.radians(25))
    far = HEIGHT - ball.size
    column = 80 - focal * ball.position[1] / (HEIGHT - ball.size / 2)
    row = 60 - focal * (ball.position[0] - 0.2) / (HEIGHT - ball.size / 2)
    assert depth[round(row), round(column)] == pytest.approx(far, abs=1.5e-3)
    assert depth[round(row), round(160 - column)] == pytest.approx(HEIGHT, abs=0.03)  # the cube, mirrored: not the ball


def test_a_still_world_looks_the_same_and_a_moved_one_does_not() -> None:
    world = World("so101", BLOCKS)
    first = world.picture("wrist")
    world.depth("front")
    assert np.array_equal(world.picture("wrist"), first)
    world.advance({"shoulder_pan": 0.2}, 0.3)
    assert not np.array_equal(world.picture("wrist"), first)


def test_a_context_taken_over_draws_what_a_fresh_one_draws() -> None:
    """Resetting keeps the context and uploads textures; nothing of the old scene may stay."""
    world = World("so101", with_pictures(draw("reach", 0), 64, 96))
    world.picture("front")
    kept = world._painter
    for seed in (1, 2):
        scene = with_pictures(draw("push", seed, perturb=("light", "table") if seed % 2 else ()), 64, 96)
        world.reset(scene)
        reused = world.picture("front"), world.picture("wrist"), world.depth("front")
        assert world._painter is kept
        fresh = World("so101", scene)
        assert np.array_equal(reused[0], fresh.picture("front"))
        assert np.array_equal(reused[1], fresh.picture("wrist"))
        assert np.array_equal(reused[2], fresh.depth("front"))
        fresh.close()
    world.reset(dataclasses.replace(BLOCKS, cameras=(BESIDE,)))  # other buffers
    assert world.picture("front").shape == (120, 160, 3)
    assert world._painter is not kept


def test_shadows_are_a_choice() -> None:
    lit = World("so101", PLAIN).picture("front").astype(int)
    shaded = World("so101", BLOCKS).picture("front").astype(int)
    assert ((lit - shaded).min(axis=2) > 25).sum() > 300  # pixels in the shade


def test_cameras_and_sizes_it_lacks_are_refused() -> None:
    world = World("so101")
    with pytest.raises(SimError, match=r"front or wrist; got: top"):
        world.picture("top")
    with pytest.raises(SimError, match=r"at most \(224, 224\).*got: \(480, 640\)"):
        world.picture("front", (480, 640))
