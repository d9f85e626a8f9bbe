"""The real arms' workspaces under the real motion law: a command stops short of what it must not touch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from firmware_bridge.robots import find
from firmware_bridge.safety.limits import Limits
from firmware_bridge.safety.motion import Envelope, advance, standing
from firmware_bridge.safety.workspace import Workspace, make_workspace

Array = npt.NDArray[np.float64]
BASES = {"left": (0.0, 0.3, 0.0, 0.0), "right": (0.0, -0.3, 0.0, 0.0)}
DIVE = (0.0, 0.9, 0.6, 0.3, 0.0, 0.3)  # 12 cm below the table
CROSSED = (-0.75, 1.4, 1.2, 0.0, 0.0, 0.0, 0.5, 0.75, 1.4, 1.2, 0.0, 0.0, 0.0, 0.5)  # both hands in one place


def envelope(name: str) -> tuple[Envelope, Workspace]:
    robot = find(name)
    space = make_workspace(robot, -0.01, {}, True, BASES if name == "bi-yam" else {})
    low, high = (np.array([robot.limits.get(joint, (-1.8, 1.8))[end] for joint in robot.joints]) for end in (0, 1))
    limits = Limits(robot.joints, low, high, np.array(robot.speed))
    made = Envelope(
        limits=limits,
        acceleration=np.array(robot.acceleration),
        lead=np.array(robot.lead),
        dt=1.0 / robot.rate_hz,
        workspace=space,
    )
    return made, space


def follow(bounds: Envelope, start: Array, wish: Array, ticks: int) -> tuple[Array, tuple[str, ...]]:
    """The path [T, D] of commands, and what cut the last one."""
    motion, path, cuts = standing(start), [start], ()
    for _ in range(ticks):
        step = advance(wish, motion, motion.position, bounds)
        motion, cuts = step.motion, step.cuts
        path.append(motion.position)
    return np.array(path), cuts


@pytest.mark.parametrize(
    ("name", "wish", "column"),
    [("so101", DIVE, "floor: gripper"), ("so100", DIVE, "floor: gripper"), ("bi-yam", CROSSED, "arms: ")],
)
def test_a_command_stops_short_and_may_leave_again(name: str, wish: tuple[float, ...], column: str) -> None:
    bounds, space = envelope(name)
    home = np.array(find(name).home_pose)
    assert any(text.startswith(column) for text in space.inside(np.array(wish)))  # it would go inside
    path, cuts = follow(bounds, home, np.array(wish), 250)
    assert any(cut.startswith(column) for cut in cuts), cuts
    free = space.clearance(path)
    assert free.min() > -1e-4
    assert free[-1].min() < 0.02  # and it comes near
    back, cuts = follow(bounds, path[-1], home, 250)
    assert back[-1] == pytest.approx(home) and cuts == ()
    assert space.clearance(back).min() > -1e-4


@pytest.mark.parametrize("name", ["so101", "so100"])
def test_an_arm_found_folded_into_itself_can_come_out(name: str) -> None:
    """A resting arm's boxes may overlap by millimetres: the way home is never barred by them."""
    bounds, space = envelope(name)
    folded = np.array([0.0, -1.74, 1.66, 1.10, 0.0, 0.02])
    assert space.inside(folded) != ()
    home = np.array(find(name).home_pose)
    path, _ = follow(bounds, folded, home, 250)
    assert path[-1] == pytest.approx(home)
    free = np.minimum(space.clearance(path), 0.0)
    assert (free >= free[0] - 1e-4).all()
