"""The world: it agrees with the bridge's kinematics, holds its poses, repeats itself to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.chain import forward, tcp
from policy_spec.errors import SimError
from sim.build import TIMESTEP
from sim.scene import Scene
from sim.world import World
from tests.sim.scenes import BLOCKS

# Anchors of the joints and the tool centre point in the world at the zero pose, m: MuJoCo on the published model
# (so101_new_calib.xml), to 0.1 mm. Our elbow is 0 in the middle of its sweep, so it is given ELBOW_MIDDLE back.
ANCHORS = {
    "shoulder": (0.0388, 0.0, 0.0624),
    "upper_arm": (0.0692, -0.0183, 0.1166),
    "lower_arm": (0.0972, -0.0183, 0.2292),
    "wrist": (0.2321, -0.0183, 0.2344),
    "gripper": (0.2932, -0.0002, 0.2344),
    "jaw": (0.3166, 0.0176, 0.2555),
}
TCP = (0.3914, 0.0, 0.2265)
ZERO = {"shoulder_pan": 0.0, "shoulder_lift": 0.0, "elbow_flex": 0.0873, "wrist_flex": 0.0, "wrist_roll": 0.0}


def put(world: World, pose: np.ndarray) -> None:
    """The arm at `pose` at once, nothing simulated."""
    import mujoco

    for value, joint in zip(pose, world._joints.values(), strict=True):
        world.data.qpos[list(joint.positions)] = joint.model(float(value))
    mujoco.mj_kinematics(world.model, world.data)


@pytest.fixture(scope="module")
def world() -> World:
    return World("so101")


def test_links_and_tool_are_where_the_bridge_computes_them(world: World) -> None:
    body, rng = BODIES["so101"], np.random.default_rng(0)
    worst = 0.0
    for pose in rng.uniform(-1.5, 1.5, (20, 6)):
        pose[5] = rng.uniform(0, 1)
        put(world, pose)
        frames = forward(body, pose[None])[0]
        for name, frame in zip(body.names, frames, strict=True):
            worst = max(worst, float(np.abs(world.data.body(name).xpos - frame[:3, 3]).max()))
            worst = max(worst, float(np.abs(world.data.body(name).xmat.reshape(3, 3) - frame[:3, :3]).max()))
        tip = world.data.body("gripper")
        point = tip.xpos + tip.xmat.reshape(3, 3) @ np.asarray(body.tcp)
        worst = max(worst, float(np.abs(point - tcp(body, pose[None])[0, :3, 3]).max()))
    print("worst", worst, "m")
    assert worst < 1e-6
    put(world, pose + 0.001)  # the comparison sees a thousandth of a rad
    assert np.abs(world.data.body("gripper").xpos - frames[5, :3, 3]).max() > 1e-6


def test_anchors_are_those_of_the_published_model(world: World) -> None:
    put(world, np.array([*ZERO.values(), 0.1]))
    for name, anchor in ANCHORS.items():
        assert np.allclose(world.data.body(name).xpos, anchor, atol=1.1e-4), name
    tip = world.data.body("gripper")
    assert np.allclose(tip.xpos + tip.xmat.reshape(3, 3) @ np.asarray(BODIES["so101"].tcp), TCP, atol=1.1e-4)


def test_motors_hold_and_follow() -> None:
    world = World("so101")
    start = world.positions()
    world.advance({}, 1.0)
    assert world.positions() == pytest.approx(start, abs=2e-3)
    goals = {"shoulder_pan": 0.4, "gripper": 0.6}
    world.advance(goals, 1.0)
    assert {name: world.positions()[name] for name in goals} == pytest.approx(goals, abs=5e-3)
    assert abs(world.velocities()["shoulder_pan"]) < 1e-3
    world.advance({"shoulder_pan": 99.0}, 3.0)
    assert world.positions()["shoulder_pan"] == pytest.approx(1.91986, abs=5e-3)


def test_a_limp_arm_falls_and_a_held_one_carries_its_weight() -> None:
    world = World("so101", Scene(start={"shoulder_lift": 0.0, "elbow_flex": 0.0, "wrist_flex": 0.0}))
    # Gravity's torque there is 0.54 N m of the lift's 2.94, and pulls down, which is positive.
    assert world.loads()["shoulder_lift"] == pytest.approx(-0.54 / 2.94, abs=0.05)
    before = world.positions()["shoulder_lift"]
    world.advance({}, 0.5, torque_on=dict.fromkeys(world.joints, False))
    assert world.positions()["shoulder_lift"] > before + 0.1
    assert set(world.loads().values()) == {0.0}


def test_a_weak_motor_gives_way() -> None:
    world = World("so101", Scene(start={"shoulder_lift": 0.0, "elbow_flex": 0.0, "wrist_flex": 0.0}))
    world.advance({}, 0.5, effort={"shoulder_lift": 0.1})
    assert world.positions()["shoulder_lift"] > 0.1
    assert world.loads()["shoulder_lift"] == pytest.approx(-0.1, abs=1e-6)


def test_time_owed_is_not_lost() -> None:
    world = World("so101")
    for _ in range(300):
        world.advance({}, 1 / 300)  # no multiple of a step
    assert world.time == pytest.approx(1.0, abs=TIMESTEP)


def test_objects_rest_on_the_table() -> None:
    world = World("so101", BLOCKS)
    world.advance({}, 0.5)
    for thing in BLOCKS.things:
        pose = world.objects()[thing.name]
        assert pose.position == pytest.approx([*thing.position, world.arm.floor + thing.size / 2], abs=1e-3)


def sweep(world: World, ticks: int) -> bytes:
    """Down onto the table and around through what stands there; all that happens, as bits."""
    for tick in range(ticks):
        down = {"shoulder_lift": min(0.09 * tick - 0.9, 0.0), "elbow_flex": 0.66, "wrist_flex": 1.04}
        world.advance({**down, "shoulder_pan": 0.03 * tick - 0.3}, 0.05)
    return world.snapshot().state.tobytes()


def test_the_same_calls_give_the_same_bits() -> None:
    first, second = World("so101", BLOCKS), World("so101", BLOCKS)
    assert sweep(first, 30) == sweep(second, 30)
    middle = first.objects()["green cylinder"].position
    assert np.linalg.norm(middle[:2] - BLOCKS.things[1].position) > 0.01  # it was touched
    second.reset(BLOCKS)
    assert sweep(second, 30) == sweep(World("so101", BLOCKS), 30)
    second.advance({"shoulder_pan": 0.501}, 0.05)
    first.advance({"shoulder_pan": 0.5}, 0.05)
    assert first.snapshot().state.tobytes() != second.snapshot().state.tobytes()


def test_a_snapshot_brings_back_the_moment() -> None:
    world = World("so101", BLOCKS)
    sweep(world, 15)
    world.advance({}, 0.0013, effort={"gripper": 0.2})
    kept = world.snapshot()
    after = sweep(world, 20)
    world.reset(Scene())
    world.restore(kept)
    assert sweep(world, 20) == after
    world.advance({}, 0.002)
    assert world.snapshot().state.tobytes() != after


def test_names_it_does_not_know_are_refused() -> None:
    world = World("so101")
    with pytest.raises(SimError, match=r"shoulder_pan, .*got: knee"):
        world.advance({"knee": 0.0}, 0.1)
    with pytest.raises(SimError, match="finite"):
        world.advance({"gripper": float("nan")}, 0.1)
    with pytest.raises(SimError, match="so101"):
        World("so999")
    with pytest.raises(SimError, match="each once"):
        Scene(things=(*BLOCKS.things, BLOCKS.things[0]))
