"""Experts do their errands by physics alone; judges are not to be fooled."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sim.ik import Solver
from sim.place_things import AREA
from sim.randomise import draw
from sim.scene import Errand, Scene
from sim.tasks.experts import Expert
from sim.tasks.judges import judge_of
from sim.tasks.nudges import Nudges
from sim.tasks.path import JOINT_SPEED, PERIOD_S
from sim.tasks.table import TASKS
from sim.tasks.trial import expert_of, nudged, play
from sim.tasks.view import View, look
from sim.world import World

SEEDS = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def world() -> World:
    return World("so101", draw("reach", 0))


@pytest.mark.parametrize("kind", TASKS)
def test_experts_succeed_also_when_nudged(world: World, kind: str) -> None:
    for seed in SEEDS:
        world.reset(draw(kind, seed))
        expert = expert_of(world, seed)
        trial = play(world, expert.act, nudged(world, expert, seed) if seed % 2 else None)
        assert trial.success, (seed, trial)
        assert 0.5 < trial.seconds < TASKS[kind].limit_s and trial.path_rad > 0.3


@pytest.mark.parametrize("kind", TASKS)
def test_doing_another_things_errand_fails(world: World, kind: str) -> None:
    """The judge hears the words; the expert is told of another object."""
    for seed in SEEDS[:2]:
        scene = draw(kind, seed)
        errand = scene.errand
        assert errand is not None
        world.reset(scene)
        other = next(thing.name for thing in scene.things if thing.name != errand.thing)
        deaf = dataclasses.replace(scene, errand=Errand(kind, other, errand.side))
        world.scene = deaf
        act = expert_of(world, seed).act
        world.scene = scene
        trial = play(world, act)
        assert not trial.success and other in trial.reason, trial


def test_an_arm_that_does_nothing_fails_in_time(world: World) -> None:
    world.reset(draw("pick", 0))
    trial = play(world, lambda view: view.positions)
    assert (trial.success, trial.reason) == (False, "time is over")
    assert trial.seconds == pytest.approx(TASKS["pick"].limit_s)


def lift(world: World, scene: Scene, effort: float, slippery: bool = False) -> bool:
    """Whether the expert has the object up after 4.5 s, with jaws of that effort and friction."""
    world.reset(scene)
    world.advance({}, 0.0, effort={"gripper": effort})
    if slippery:
        world.model.geom_friction[:, 0] = 0.01
    expert = expert_of(world, 0)
    for _ in range(45):
        world.advance(expert.act(look(world)), PERIOD_S)
    return bool(world.objects()[expert.thing.name].position[2] > 0.05)


def test_what_lifts_is_friction_and_force(world: World) -> None:
    scene = draw("pick", 0)
    assert lift(world, scene, 0.5)
    assert not lift(world, scene, 0.0)
    assert not lift(world, scene, 0.5, slippery=True)


def test_a_push_to_the_other_side_fails(world: World) -> None:
    scene = draw("push", 1)
    errand = scene.errand
    assert errand is not None
    world.reset(scene)
    act = expert_of(world, 1).act
    other = {"left": "right", "right": "left"}[errand.side]
    world.scene = dataclasses.replace(scene, errand=dataclasses.replace(errand, side=other))
    trial = play(world, act)
    assert (trial.success, trial.reason) == (False, "pushed it another way")


def test_passing_over_another_object_is_not_reaching_it(world: World) -> None:
    scene = draw("reach", 0)
    world.reset(scene)
    judge, view = judge_of(world.arm, scene), look(world)
    expert = expert_of(world, 0)
    play(world, expert.act)
    there = look(world).positions
    judge.see(view)
    moments = [0.1, 0.3, 0.5]  # 0.4 s above it, then away, then back: begins anew
    for time in moments:
        assert not judge.see(View(time, there, view.objects)).done
    assert not judge.see(View(0.7, view.positions, view.objects)).done
    assert not judge.see(View(0.9, there, view.objects)).done
    assert judge.see(View(1.4, there, view.objects)).success


def test_experts_keep_to_the_speed_of_joints(world: World) -> None:
    world.reset(draw("push", 2))
    expert, steps = expert_of(world, 2), []

    def act(view: View) -> dict[str, float]:
        goals = expert.act(view)
        steps.append(max(abs(goals[name] - view.positions[name]) for name in goals if name != "gripper"))
        return goals

    assert play(world, act).success
    assert 0.01 < max(steps) <= JOINT_SPEED * PERIOD_S + 1e-9


def test_nudges_repeat_and_leave_grippers_alone() -> None:
    goals = {"shoulder_pan": 0.1, "gripper": 0.4}
    first, second, other = Nudges(3, 0.02), Nudges(3, 0.02), Nudges(4, 0.02)
    said = [first.on(goals, ("gripper",)) for _ in range(50)]
    assert said == [second.on(goals, ("gripper",)) for _ in range(50)]
    assert said != [other.on(goals, ("gripper",)) for _ in range(50)]
    assert {row["gripper"] for row in said} == {0.4}
    assert max(abs(row["shoulder_pan"] - 0.1) for row in said) > 0.02
    assert Nudges(3, 0.02).on(goals, ("gripper",), share=0.0) == goals


def test_experts_vary_with_their_seed(world: World) -> None:
    world.reset(draw("reach", 0))
    speeds = {expert_of(world, seed).manner.speed for seed in range(5)}
    assert len(speeds) == 5
    assert AREA[0][0] < TASKS["reach"].area[0][0]


@pytest.mark.parametrize("kind", ["push", "pick"])
def test_who_takes_over_does_not_rise_in_the_midst_of_a_way_down(world: World, kind: str) -> None:
    """At each moment at which an expert goes down, another one that knows nothing takes over."""
    solver = Solver(world.arm)
    rises = {"takes over": 0, "begins anew": 0}
    down = 0

    def goes(expert: Expert, view: View) -> float:
        """m that its goals are above where the gripper is."""
        joints = solver.body.joints
        here, goal = (
            solver.hold(np.array([pose[name] for name in joints]), np.asarray(world.arm.grasp)).point[2]
            for pose in (view.positions, expert.act(view))
        )
        return float(goal - here)

    for seed in SEEDS:
        world.reset(draw(kind, seed))
        leader = expert_of(world, seed)

        def act(view: View, seed: int = seed, leader: Expert = leader) -> dict[str, float]:
            nonlocal down
            if leader.phase == 1:
                taker, beginner = expert_of(world, seed), expert_of(world, seed)
                taker.take_over(view)
                down += 1
                rises["takes over"] += goes(taker, view) > 0.003
                rises["begins anew"] += goes(beginner, view) > 0.003
            return leader.act(view)

        assert play(world, act).success
    assert down > 20 and rises["takes over"] < 0.1 * down and rises["begins anew"] > 0.5 * down, (rises, down)
