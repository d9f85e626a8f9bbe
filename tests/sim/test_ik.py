"""Inverse kinematics: what forward kinematics reached is found again; what is out of reach is not claimed."""

from __future__ import annotations

import numpy as np

from sim.ik import Hold, Solver, upright
from sim.so101 import SO101

TOOL = np.asarray(SO101.grasp)
START = np.array(SO101.start)


def test_reached_places_are_found_again() -> None:
    solver, rng, worst = Solver(SO101), np.random.default_rng(1), 0.0
    for _ in range(40):
        pose = np.clip(START + rng.uniform(-0.5, 0.5, 6), [*solver.low, 0.0], [*solver.high, 1.0])
        goal = solver.hold(pose, TOOL)
        found = solver.solve(goal, TOOL, START)
        worst = max(worst, float(np.linalg.norm(solver.hold(found, TOOL).point - goal.point)))
        assert found[5] == START[5]
        assert (found[:5] >= solver.low).all() and (found[:5] <= solver.high).all()
    print("worst", worst, "m")
    assert worst < 1e-4


def test_a_gripper_that_looks_down_can_stand_anywhere_on_the_table() -> None:
    solver = Solver(SO101)
    for x in (0.16, 0.21, 0.26):
        for y in (-0.1, 0.0, 0.1):
            way = np.arctan2(y, x - 0.0388)
            goal = Hold(np.array([x, y, 0.012]), upright(way, -np.pi / 2 + 0.5))
            found = solver.hold(solver.solve(goal, TOOL, START), TOOL)
            assert np.linalg.norm(found.point - goal.point) < 1e-4
            assert np.abs(found.attitude - goal.attitude).max() < 0.02


def test_what_is_out_of_reach_is_missed() -> None:
    solver = Solver(SO101)
    goal = Hold(np.array([0.6, 0.0, 0.0]), upright(0.0, 0.0))
    assert np.linalg.norm(solver.hold(solver.solve(goal, TOOL, START), TOOL).point - goal.point) > 0.1


def test_the_jacobian_is_that_of_larger_differences() -> None:
    solver = Solver(SO101)
    goal = solver.hold(START, TOOL)
    error, jacobian = solver._linear(goal, TOOL, START)
    assert np.abs(error).max() < 1e-12
    for column in range(5):
        moved = START.copy()
        moved[column] += 1e-3
        back = START.copy()
        back[column] -= 1e-3
        slope = (solver.hold(moved, TOOL).point - solver.hold(back, TOOL).point) / 2e-3
        assert np.allclose(jacobian[:3, column], slope, atol=1e-5)
