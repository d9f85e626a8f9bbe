"""One episode of whoever acts, in the world alone: no servos, no clock. Used to measure experts.

Goals are reached in a straight line over a control period, as the bridge's curve does. Takes a world whose scene has
an errand; gives a `Trial`. Evaluation of policies goes through the servos instead (lockstep.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sim.metrics import path_length
from sim.tasks.experts import EXPERTS, Expert
from sim.tasks.judges import judge_of
from sim.tasks.nudges import USUAL, Nudges
from sim.tasks.path import PERIOD_S
from sim.tasks.table import task_of
from sim.tasks.view import View, look
from sim.world import World

TICKS = 10  # goals within one period
Act = Callable[[View], Mapping[str, float]]
Nudged = Callable[[Mapping[str, float]], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went."""

    success: bool
    seconds: float  # until it was done, or until the limit
    path_rad: float  # of all joints, grippers left out
    reason: str  # of a failure


def expert_of(world: World, seed: int) -> Expert:
    """The expert of the errand of the world's scene."""
    errand = world.scene.errand
    assert errand is not None
    return EXPERTS[errand.kind](world.arm, world.scene, seed)


def nudged(world: World, expert: Expert, seed: int, size: float = USUAL) -> Nudged:
    """Disturbs what `expert` wants, as much as it can bear."""
    nudges = Nudges(seed, size)
    return lambda goals: nudges.on(goals, world.robot.grippers, expert.bears)


def play(world: World, act: Act, disturb: Nudged | None = None, watch: Callable[[World], None] | None = None) -> Trial:
    """One episode from the world's present state.

    `disturb` makes of what `act` wants what is sent; `watch` is called before each period.
    """
    errand = world.scene.errand
    assert errand is not None
    judge, limit = judge_of(world.arm, world.scene), task_of(errand.kind).limit_s
    arms = [name for name in world.joints if name not in world.robot.grippers]
    verdict, poses = judge.see(look(world)), [world.positions()]
    while not verdict.done and world.time < limit - 1e-9:
        if watch is not None:
            watch(world)
        view = look(world)
        goals = dict(act(view))
        sent = disturb(goals) if disturb is not None else goals
        for tick in range(1, TICKS + 1):
            share = tick / TICKS
            world.advance(
                {n: (1 - share) * view.positions[n] + share * goal for n, goal in sent.items()}, PERIOD_S / TICKS
            )
        poses.append(world.positions())
        verdict = judge.see(look(world))
    reason = verdict.reason if verdict.done else "time is over"
    return Trial(verdict.success, world.time, path_length(poses, arms), "" if verdict.success else reason)
