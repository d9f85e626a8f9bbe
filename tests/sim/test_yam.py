"""YAM arms: links where the bridge computes them, weightless arms that hold, fingers that move as one and grip."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np
import pytest

from firmware_bridge.kinematics.chain import forward, tcp
from firmware_bridge.kinematics.gravity import gravity_torque
from policy_spec.errors import SimError
from sim.build import arms_of
from sim.ik import Hold, Solver, upright
from sim.models import model_of
from sim.randomise import draw
from sim.scene import COLOURS, Scene, Thing
from sim.tasks.trial import expert_of, play
from sim.world import World

CUBE = Scene(things=(Thing("red cube", "cube", COLOURS["red"], (0.34, 0.0), size=0.03),))


@pytest.mark.parametrize("robot", ["yam", "bi-yam"])
def test_links_are_where_the_bridge_computes_them(robot: str) -> None:
    world, rng, worst = World(robot), np.random.default_rng(0), 0.0
    for _ in range(10):
        pose = rng.uniform(0.1, 0.9, len(world.joints))
        for value, joint in zip(pose, world._joints.values(), strict=True):
            world.data.qpos[list(joint.positions)] = joint.model(float(value))
        mujoco.mj_kinematics(world.model, world.data)
        for placed in arms_of(world.arm):
            frames = forward(placed.body, pose[None, placed.columns], placed.base)[0]
            for name, frame in zip(placed.body.names, frames, strict=True):
                worst = max(worst, float(np.abs(world.data.body(placed.called(name)).xpos - frame[:3, 3]).max()))
            tip = world.data.body(placed.called(placed.body.tip))
            point = tip.xpos + tip.xmat.reshape(3, 3) @ np.asarray(placed.body.tcp)
            expected = tcp(placed.body, pose[None, placed.columns], placed.base)[0, :3, 3]
            worst = max(worst, float(np.abs(point - expected).max()))
    print("worst", worst, "m")
    assert worst < 1e-6


def test_anchors_are_those_of_the_published_model() -> None:
    world = World("yam")
    world.data.qpos[:] = 0.0
    mujoco.mj_kinematics(world.model, world.data)
    published = {"link1": (0.0, 0.0, 0.068), "link2": (0.02, 0.0339, 0.1135), "link3": (-0.244, -0.0349, 0.1135)}
    published |= {"link4": (0.001, 0.0339, 0.1735), "link5": (0.075, 0.0, 0.214), "gripper": (0.1106, 0.0, 0.1735)}
    for name, anchor in published.items():
        assert np.allclose(world.data.body(name).xpos, anchor, atol=1.1e-4), name


def test_it_holds_its_weight_and_sinks_without_the_drivers_help() -> None:
    world = World("bi-yam")
    start = world.positions()
    world.advance({}, 1.0)
    assert world.positions() == pytest.approx(start, abs=1e-3)
    world.model.body_gravcomp[:] = 0.0
    mujoco.mj_step(world.model, world.data, 500)
    assert abs(world.positions()["left_joint_2"] - start["left_joint_2"]) > 0.02


def test_its_motors_carry_it_until_they_are_limp() -> None:
    world = World("bi-yam")
    pose = np.array([list(world.positions().values())])[:, :7]
    torque = gravity_torque(arms_of(world.arm)[0].body, pose[0])
    assert world.loads()["left_joint_2"] == pytest.approx(torque[1] / 28.0, abs=0.01)
    world.advance({}, 0.3, torque_on={name: False for name in world.joints if name.startswith("left")})
    assert world.loads()["left_joint_2"] == 0.0 and abs(world.velocities()["left_joint_2"]) > 0.1
    assert world.positions()["right_joint_2"] == pytest.approx(world.arm.start[1], abs=1e-3)


def grip(effort: float) -> float:
    """m that the cube is lifted by closing the fingers with that effort and going up."""
    world, solver = World("yam", CUBE), Solver(model_of("yam"))
    pose, tool = np.array(world.arm.start), np.asarray(world.arm.grasp)
    for height, gripper in ((0.15, 1.0), (0.02, 1.0), (0.02, 0.0), (0.15, 0.0)):
        pose = solver.solve(Hold(np.array([0.34, 0.0, height]), upright(0.0, np.pi)), tool, pose)
        goals = dict(zip(world.joints, pose.tolist(), strict=True)) | {"gripper": gripper}
        world.advance(goals, 1.5, effort={"gripper": effort})
    fingers = [float(world.data.joint(name).qpos[0]) for name in ("gripper", "gripper@finger_2")]
    assert fingers[0] == pytest.approx(fingers[1], abs=1e-3)
    return float(world.objects()["red cube"].position[2]) - 0.015


def test_fingers_lift_by_force_alone() -> None:
    assert grip(1.0) > 0.08
    assert grip(0.0) < 0.01


def test_arms_of_a_pair_move_apart() -> None:
    world = World("bi-yam", dataclasses.replace(CUBE, start={"left_joint_1": 0.5}))
    world.advance({"right_joint_1": -0.5}, 2.0)
    assert world.positions()["left_joint_1"] == pytest.approx(0.5, abs=0.01)
    assert world.positions()["right_joint_1"] == pytest.approx(-0.5, abs=0.01)


@pytest.mark.parametrize("kind", ["reach", "push", "pick"])
def test_experts_do_its_errands_too(kind: str) -> None:
    world = World("yam")
    for seed in (0, 1):
        world.reset(draw(kind, seed, robot="yam"))
        assert play(world, expert_of(world, seed).act).success, seed


def test_errands_are_for_one_arm() -> None:
    with pytest.raises(SimError, match=r"bi-yam.*one arm"):
        draw("reach", 0, robot="bi-yam")
