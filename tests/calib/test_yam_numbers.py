"""A YAM's numbers without an arm: what an angle at home says of a zero, what serials and files say, what is saved."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.damiao import registers, zero
from calib.damiao.guide import asks
from calib.damiao.save import compare, save
from calib.provenance import load, path_beside
from firmware_bridge.damiao import calibration as calibrations
from firmware_bridge.damiao.calibration import Calibration, GripperCalibration, JointCalibration
from firmware_bridge.damiao.grippers import GRIPPERS
from firmware_bridge.errors import CalibrationError
from firmware_bridge.kinematics.yam import YAM as BODY
from tests.calib.yam_rig import NOW, YAM, with_zeros

FROM_HOME, AROUND = (0.0, 3.66519), (-1.5708, 1.5708)


@pytest.mark.parametrize(
    ("degrees", "limits", "verdict", "options"),
    [
        (2.9, FROM_HOME, zero.RIGHT, ("keep",)),
        (-2.9, AROUND, zero.RIGHT, ("keep",)),
        (360.0, AROUND, zero.RIGHT, ("keep",)),
        (-722.0, AROUND, zero.RIGHT, ("keep",)),
        (3.1, FROM_HOME, zero.OFF, ("take", "keep")),  # it rests on its stop: the pose is right
        (3.1, AROUND, zero.OFF, ("keep", "take")),  # it is as straight as it was folded
        (-20.0, AROUND, zero.OFF, ("keep", "take")),
        (-20.0, FROM_HOME, zero.OFF, ("take",)),  # with its own zero a bridge would refuse it
        (340.0, FROM_HOME, zero.OFF, ("take",)),
        (34.9, AROUND, zero.OFF, ("keep", "take")),
        (35.1, AROUND, zero.WRONG, ()),
        (180.0, AROUND, zero.WRONG, ()),
    ],
)
def test_what_an_angle_at_home_says(
    degrees: float, limits: tuple[float, float], verdict: str, options: tuple[str, ...]
) -> None:
    found = zero.judge("joint_2", math.radians(degrees), 1, limits)
    assert (found.verdict, found.options) == (verdict, options)


@given(st.floats(-0.6, 0.6), st.integers(-2, 2))
def test_whole_turns_say_nothing(offset: float, turns: int) -> None:
    plain, turned = (zero.judge("j", offset + 2 * math.pi * count, 1, AROUND) for count in (0, turns))
    assert turned.verdict == plain.verdict and turned.turns == turns
    assert turned.zero(zero.TAKE) == pytest.approx(offset) and turned.zero(zero.KEEP) == 0.0
    assert ("turn" in turned.text) == (turns != 0)


def test_what_a_person_is_asked_for_goes_up_where_weight_pulls_down() -> None:
    """The model's own words: a test that a sign in the table cannot fool."""
    asked = [asks(BODY, name) for name in BODY.joints[:6]]
    assert asked[1] == "so that the elbow goes up" and asked[2] == asked[3] == "so that the gripper goes up"
    assert asked[0].endswith("goes left") and asked[4].endswith("goes right") and asked[5].endswith("turns clockwise")


# -- motors


def values(**serials: float) -> list[dict[str, float]]:
    return [{"SN": serials.get(name, 1.0), "Gr": 10.0} for name in YAM.joints]


def test_motors_that_were_replaced() -> None:
    old = with_zeros(YAM)
    known = dataclasses.replace(old, joints=((("joint_1", JointCalibration(0.0, 1))), *old.joints[1:]))
    assert registers.replaced(known, values()) == registers.replaced(None, values()) == []
    assert registers.replaced(known, values(joint_1=7.0)) == ["joint_1: another motor than before (serial 1, now 7)"]


@pytest.mark.parametrize(("gear", "name"), [(10.0, "linear_4310"), (7.0, "linear_3507"), (math.nan, "linear_4310")])
def test_which_gripper_it_is_when_nobody_says(gear: float, name: str) -> None:
    rows = [{"Gr": gear} if joint in YAM.grippers else {"Gr": 40.0} for joint in YAM.joints]
    assert registers.mounted("", YAM, rows).name == name
    assert registers.mounted("crank_4310", YAM, rows).name == "crank_4310"


def test_motors_of_several_firmware_versions_are_told() -> None:
    rows = [{"sw_ver": 5013.0} for _ in YAM.joints]
    assert registers.mixed(YAM, rows) == ""
    rows[2], rows[3] = {"sw_ver": 5014.0}, {}
    assert registers.mixed(YAM, rows).endswith("gripper); 5014 (joint_3)")


# -- the file


@pytest.mark.parametrize("gripper", [row.name for row in GRIPPERS.values() if row.motor])
def test_a_saved_file_is_read_again(gripper: str, tmp_path: Path) -> None:
    new = with_zeros(YAM, gripper, joint_2=0.349)
    path = tmp_path / "folder" / "blue.json"
    told = save(new, NOW, path)
    assert str(path) in told and calibrations.load(path, YAM).to_dict() == new.to_dict()
    assert load(path_beside(path)) == NOW


def test_a_gripper_calibrated_the_wrong_way_is_no_calibration() -> None:
    good = calibrations.shipped(YAM, "flexible_4310")
    row = good["gripper"]
    assert isinstance(row, GripperCalibration) and row.open > row.closed
    rows = (*good.joints[:6], ("gripper", GripperCalibration(row.open, row.closed)))
    with pytest.raises(CalibrationError, match="open - closed of a flexible_4310"):
        Calibration("yam", good.gripper, rows, "a test")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"
    save(with_zeros(YAM), NOW, path)
    before = path.read_bytes()
    path_beside(path).unlink()
    path_beside(path).mkdir()  # nothing can be put in its place
    with pytest.raises(CalibrationError, match="cannot be written"):
        save(with_zeros(YAM, joint_1=0.2), NOW, path)
    assert path.read_bytes() == before and sorted(p.name for p in tmp_path.iterdir()) == [
        "blue.json",
        "blue.provenance.json",
    ]


def test_old_beside_new() -> None:
    text = compare(with_zeros(YAM, "linear_4310"), with_zeros(YAM, joint_2=0.349))
    assert "+0.0000" in text and "+0.3490" in text and "linear_4310 before, crank_4310 now" in text
    assert "-" in compare(None, with_zeros(YAM)).splitlines()[1]
