"""Gravity torques against published numbers, MuJoCo's, and the slope of the potential energy."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.gravity import gravity_torque, potential_energy
from firmware_bridge.kinematics.link import Body
from firmware_bridge.kinematics.so101 import ELBOW_MIDDLE

Array = npt.NDArray[np.float64]
SO101, SO100, YAM = BODIES["so101"], BODIES["so100"], BODIES["yam"]


LEVEL = np.array([0.0, 0.0, -ELBOW_MIDDLE, 0.0, 0.0, 0.0])  # the zero of so101_new_calib.xml


def slope(body: Body, q: Array) -> Array:
    """dU/dq by central differences, the slow truth."""
    step = 1e-5
    turned = q + step * np.concatenate([np.eye(len(q)), -np.eye(len(q))])
    energy = potential_energy(body, turned)
    change: Array = (energy[: len(q)] - energy[len(q) :]) / (2 * step)
    return change


def test_the_so101_at_zero_and_stretched() -> None:
    """Positive lift, elbow and wrist_flex lower the arm, so that what holds it is negative."""
    zero = gravity_torque(SO101, LEVEL)
    assert zero[1:4] == pytest.approx([-0.54, -0.45, -0.12], abs=5e-3)
    assert zero[[0, 4, 5]] == pytest.approx(0.0, abs=1e-3)
    grid = np.stack(np.meshgrid(np.linspace(0, 1.7, 18), np.linspace(-1.6, 0, 17), np.linspace(-0.5, 0.5, 11)), -1)
    worst = min(gravity_torque(SO101, np.array([0, *row, 0, 0]))[1] for row in grid.reshape(-1, 3))
    assert worst == pytest.approx(-0.855, abs=0.01)


# As test_chain.MUJOCO, scaled from its 9.81 m/s^2 to the standard 9.80665.
MUJOCO = [
    (SO101, (0.5, -0.7, 0.9, 0.4, 1.1, 0.3), (0, -0.235385, -0.428701, -0.097428, -0.002763, 0)),
    (SO101, (-1.2, 1.0, -1.1, -1.3, -2.0, 0.9), (0, -0.7392, -0.354464, -0.021876, 0.000931, 0)),
    (SO100, (0.5, -0.7, 0.9, 0.4, 1.1, 0.3), (0, -0.215472, -0.447744, -0.103755, -0.001132, 0)),
    (SO100, (-1.2, 1.0, -1.1, -1.3, -2.0, 0.9), (0, -0.817182, -0.367825, -0.021955, 0.000787, 0)),
    (YAM, (0.5, 0.9, 1.4, 0.4, 1.1, 0.3, 0.2), (0, 0.915296, 4.332832, 0.596982, -0.358063, -0.000689, 0)),
    (YAM, (-1.2, 2.0, 0.7, -1.3, -0.9, -1.9, 0.9), (0, -5.224878, 1.70867, -1.043678, -0.20711, -0.001024, 0)),
]


@pytest.mark.parametrize(("body", "q", "torque"), MUJOCO, ids=lambda value: getattr(value, "name", ""))
def test_torques_that_mujoco_computed(body: Body, q: tuple[float, ...], torque: tuple[float, ...]) -> None:
    ours = gravity_torque(body, np.array(q) if body is YAM else np.array(q) + LEVEL)
    assert ours == pytest.approx(torque, abs=1e-4)
    assert -ours != pytest.approx(torque, abs=1e-2)  # negative control: the sign is part of it


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(-3, 3), min_size=7, max_size=7))
def test_it_is_the_slope_of_the_potential_energy(body: Body, values: list[float]) -> None:
    q = np.array(values[: len(body.joints)])
    expected = slope(body, q)
    expected[body.joints.index(body.gripper)] = 0.0
    assert gravity_torque(body, q) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@settings(max_examples=20, deadline=None)
@given(values=st.lists(st.floats(-3, 3), min_size=7, max_size=7), turn=st.floats(-3, 3))
def test_turning_the_whole_arm_on_its_base_changes_nothing(body: Body, values: list[float], turn: float) -> None:
    q = np.array(values[: len(body.joints)])
    turned = q.copy()
    turned[0] += turn
    assert gravity_torque(body, turned) == pytest.approx(gravity_torque(body, q), abs=1e-9)
    assert gravity_torque(body, q)[0] == pytest.approx(0.0, abs=1e-9)


def test_twice_the_mass_is_twice_the_torque() -> None:
    q = np.array([0.1, 0.9, 1.2, -0.3, 0.4, 0.5, 0.6])
    heavy = dataclasses.replace(YAM, links=tuple(dataclasses.replace(row, mass=2 * row.mass) for row in YAM.links))
    assert gravity_torque(heavy, q) == pytest.approx(2 * gravity_torque(YAM, q))


def test_the_upper_arm_hangs_still() -> None:
    """A YAM stretched straight up is nearly balanced on its shoulder; lying flat it is not."""
    assert abs(gravity_torque(YAM, np.array([0, 1.5, 2.9, 0, 0, 0, 0]))[1]) < 4.0
    assert gravity_torque(YAM, np.array([0, 2.9, 2.9, 0, 0, 0, 0]))[1] < -13.0
