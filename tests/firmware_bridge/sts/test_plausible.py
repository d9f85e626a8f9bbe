"""Which calibrations and poses an SO arm can have: real files can; planted mistakes are named, with their cause."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from firmware_bridge.config import BridgeConfig
from firmware_bridge.drivers import open_arm
from firmware_bridge.errors import CalibrationError, CalibrationImplausible
from firmware_bridge.robots import find
from firmware_bridge.sts import calibration as calibrations
from firmware_bridge.sts import plausible
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.travel import DEGREES_PER_TICK, TRAVEL
from firmware_bridge.sts.virtual_arm import make_bus
from firmware_bridge.sts.virtual_port import VirtualPort
from firmware_bridge.sts.virtual_world import FirstOrderWorld

ROBOT = find("so101")
SHIPPED = shipped_calibration(ROBOT)
DATA = Path(__file__).parents[2] / "calib" / "data"


def with_joint(name: str, **fields: int) -> Calibration:
    rows = tuple((joint, dataclasses.replace(row, **fields) if joint == name else row) for joint, row in SHIPPED.joints)
    return Calibration(rows, "planted.json")


def wide(name: str, degrees: float) -> Calibration:
    low = 100 if degrees > 200 else 1000
    return with_joint(name, range_min=low, range_max=low + round(degrees / DEGREES_PER_TICK))


@pytest.mark.parametrize("name", ["blue", "green"])
def test_real_files_pass(name: str) -> None:
    assert plausible.problems(calibrations.load(DATA / f"{name}.json", ROBOT.joints)) == ()


def test_the_virtual_arm_passes() -> None:
    assert plausible.problems(SHIPPED) == ()


PLANTED = [
    (wide("elbow_flex", 150), "elbow_flex", "swept too little: from one stop to the other it is 194 degrees"),
    (wide("elbow_flex", 115), "elbow_flex", "the place of gripper (ids)"),
    (wide("shoulder_pan", TRAVEL["shoulder_pan"].widest + 15), "shoulder_pan", "the horn slips"),
    (wide("shoulder_lift", 235), "shoulder_lift", "a stop is missing"),  # pans turn nearly as far: no hint at one
    (wide("gripper", 200), "gripper", "in each other's place (ids)"),
    (with_joint("wrist_flex", range_min=0, range_max=4095), "wrist_flex", "swept across the end of the ticks"),
    (with_joint("shoulder_lift", range_min=0, range_max=3000), "shoulder_lift", "swept across the end of the ticks"),
    (with_joint("gripper", drive_mode=1), "gripper", "the gripper the wrong way round"),
]


@pytest.mark.parametrize(("calibration", "joint", "cause"), PLANTED)
def test_a_planted_mistake_is_named(calibration: Calibration, joint: str, cause: str) -> None:
    (problem,) = plausible.problems(calibration)
    assert problem.joint == joint
    assert cause in str(problem)


@pytest.mark.parametrize("joint", [name for name in TRAVEL if not TRAVEL[name].free])
def test_the_tolerance_ends_where_the_table_says(joint: str) -> None:
    travel = TRAVEL[joint]
    for width, good in (
        (travel.narrowest + 0.2, True),
        (travel.narrowest - 0.2, False),
        (travel.widest - 0.2, True),
        (travel.widest + 0.2, False),
    ):
        assert (plausible.problems(wide(joint, width)) == ()) is good


def test_wrist_roll_turns_freely() -> None:
    assert plausible.problems(with_joint("wrist_roll", range_min=2000, range_max=2100)) == ()


@pytest.mark.parametrize("offset", [2048, -2048])
def test_an_offset_beyond_the_half_turn_names_the_horn(offset: int) -> None:
    with pytest.raises(
        CalibrationError, match=r"homing_offset; expected: a whole number -2047\.\.2047.* half a turn off"
    ):
        with_joint("elbow_flex", homing_offset=offset)


@pytest.mark.parametrize(("ticks", "away"), [(946, 0), (3148, 0), (900, 4.04), (3200, 4.57), (4090, 82.8), (0, 83.1)])
def test_outside_is_counted_the_shorter_way_round(ticks: int, away: float) -> None:
    assert plausible.outside_deg(ticks, SHIPPED["elbow_flex"]) == pytest.approx(away, abs=0.1)


def test_a_refitted_horn_is_named_and_a_hanging_arm_is_not() -> None:
    row = SHIPPED["elbow_flex"]
    assert plausible.standing({"elbow_flex": row.range_min - 80, "wrist_roll": 0}, SHIPPED) == ()
    assert len(plausible.standing({"elbow_flex": row.range_min - 102}, SHIPPED)) == 1  # 9 degrees
    (problem,) = plausible.standing({"elbow_flex": row.range_min - 341}, SHIPPED)
    assert "30 degrees outside its range" in str(problem) and "refitted" in str(problem)


def connected(folder: Path, calibration: Calibration, moved: float = -5.0, **settings: bool) -> str:
    """Connect as a bridge does to an arm whose servos hold `calibration`, its elbow moved by degrees."""
    path = folder / "arm.json"
    path.write_text(json.dumps({name: dataclasses.asdict(row) for name, row in calibration.joints}))
    servos = make_bus(ROBOT, calibration)
    world = servos.world
    assert isinstance(world, FirstOrderWorld)
    row = calibration["elbow_flex"]
    world.place(2, row.range_max + row.homing_offset + moved / DEGREES_PER_TICK)
    world.advance = lambda now, drives: list(world._motions)  # type: ignore[method-assign]  # it stays there
    with VirtualPort(servos) as port:
        config = BridgeConfig("so101", port.path, str(path), **settings)
        arm = open_arm(ROBOT, config, port.path)
        arm.close()
        return arm.facts.torque


def test_connecting_refuses_ranges_that_this_arm_cannot_have(tmp_path: Path) -> None:
    with pytest.raises(CalibrationImplausible, match=r"elbow_flex: range 1000\.\.2365 is 120 degrees wide"):
        connected(tmp_path, wide("elbow_flex", 120))


def test_a_modified_arm_may_switch_it_off(tmp_path: Path) -> None:
    assert connected(tmp_path, wide("elbow_flex", 120), mechanics=False) == "off"


@pytest.mark.parametrize(("moved", "refused"), [(5.0, False), (30.0, True)])
def test_connecting_refuses_an_arm_that_stands_far_outside(tmp_path: Path, moved: float, refused: bool) -> None:
    if not refused:
        assert connected(tmp_path, SHIPPED, moved) == "off"
        return
    with pytest.raises(CalibrationImplausible, match=r"elbow_flex: stands at .* refitted"):
        connected(tmp_path, SHIPPED, moved)
