"""One pose against a policy's statistics: what fits is let alone, what does not is named with its cause."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calib import language_text
from calib.language import OUTSIDE, UNREACHED, Arm, Language, Policy, compare
from firmware_bridge import robots
from firmware_bridge.sts.codec import Codec
from firmware_bridge.sts.robots import shipped_calibration
from policy_spec.frames import frame, frame_names
from policy_spec.in_range import ranges_of
from policy_spec.norm import Normalizer
from tests.policy_spec.test_in_range import SO, YAM

SO101, BI_YAM = robots.find("so101"), robots.find("bi-yam")
LOWER, UPPER = Codec.of(shipped_calibration(SO101), SO101.grippers).bounds()
HALF = tuple(((UPPER - LOWER) / 2)[:5].tolist())
HOME = (0.0, -0.3, 0.4, 0.8, 0.1, 0.2)
MOLMO, DEGREES, M100 = "so101-molmoact2", "lerobot-degrees", "lerobot-m100"
Stats = dict[str, Sequence[float]]
# The same data as SO as a policy has them that was trained in LeRobot's -100..100.
IN_M100: Stats = {
    key: [
        100 * value / math.degrees(half)
        for value, half in zip((SO[key][0], -(other[1] - 90), SO[key][2] - 90, *SO[key][3:5]), HALF, strict=True)
    ]
    + [SO[key][5]]
    for key, other in (("q01", SO["q99"]), ("q99", SO["q01"]))
}
IN_M100["q01"], IN_M100["q99"] = (
    [f(a, b) for a, b in zip(IN_M100["q01"], IN_M100["q99"], strict=True)] for f in (min, max)
)


def so(pose: Sequence[float], name: str = MOLMO, stats: Stats = SO) -> Language:
    arm = Arm(SO101.joints, SO101.grippers, np.array(pose, np.float64), LOWER, UPPER)
    others = {other: frame(other, HALF) for other in frame_names() if other != name}
    return compare(arm, Policy(ranges_of(Normalizer.from_stats(stats, "q01_q99")), frame(name, HALF), others))


def yam(pose: Sequence[float], stats: Stats = YAM) -> Language:
    low, high = np.array([BI_YAM.limits[joint] for joint in BI_YAM.joints]).T
    arm = Arm(BI_YAM.joints, BI_YAM.grippers, np.array(pose, np.float64), low, high)
    return compare(arm, Policy(ranges_of(Normalizer.from_stats(stats, "q01_q99")), frame("radians"), {}))


def changed(joint: str, value: float) -> list[float]:
    pose = list(HOME)
    pose[SO101.joints.index(joint)] = value
    return pose


def kinds(language: Language) -> dict[str, str]:
    return {",".join(finding.joints): finding.kind for finding in language.findings}


@pytest.mark.parametrize("pose", [HOME, SO101.park_pose, SO101.home_pose])
def test_the_shipped_arm_fits(pose: Sequence[float]) -> None:
    found = so(pose)
    assert found.ok and found.findings == ()


def test_two_yam_fit() -> None:
    for pose in (BI_YAM.home_pose, BI_YAM.park_pose):
        assert yam(pose).ok and yam(pose).findings == ()


@pytest.mark.parametrize("turn", [90, -90, 180])
def test_a_zero_that_is_a_quarter_turn_off(turn: int) -> None:
    found = so(changed("elbow_flex", HOME[2] + math.radians(turn)))
    assert not found.ok and [row.joint for row in found.rows if row.verdict == OUTSIDE] == ["elbow_flex"]
    assert "zero" in kinds(found)["elbow_flex"]
    assert f"{abs(turn)} degrees too {'much' if turn > 0 else 'little'}" in found.findings[0].text


def test_a_sign_that_this_pose_shows() -> None:
    found = so(changed("wrist_flex", -0.8))
    assert "sign" in kinds(found)["wrist_flex"] and "counted the wrong way" in found.findings[0].text


def test_a_sign_that_this_pose_hides() -> None:
    """Why there is a direction test: near its middle a mirrored joint is inside, and any round trip returns."""
    assert so(changed("shoulder_pan", 0.3)).ok and so(changed("shoulder_pan", -0.3)).ok


def test_a_gripper_the_other_way_round_and_one_in_another_unit() -> None:
    found = so(changed("gripper", 0.98))
    assert kinds(found) == {"gripper": "pose, gripper"} and "closed and open were exchanged" in found.findings[0].text
    shares = {key: [*values[:5], values[5] / 100] for key, values in SO.items()}
    found = so(HOME, stats=shares)
    assert kinds(found) == {"gripper": "pose, gripper"}
    assert "0..1 where this frame gives 0..100" in found.findings[0].text and "exchanged" not in found.findings[0].text


def test_exchanged_joints() -> None:
    pose = [HOME[0], 1.57, -1.68, *HOME[3:]]  # the park pose's lift and elbow, each read as the other
    found = so(pose)
    assert "swapped" in kinds(found)["shoulder_lift"] and "swapped" in kinds(found)["elbow_flex"]
    assert "exchanged with elbow_flex, their ids swapped: then both fit" in " ".join(
        finding.text for finding in found.findings
    )


def test_another_frame_is_named_and_not_chosen() -> None:
    found = so(SO101.park_pose, DEGREES)
    assert not found.ok and found.frame == DEGREES
    [only] = found.findings
    assert only.kind == "frame" and only.joints == SO101.joints
    assert MOLMO in only.text and "Nothing is chosen for you" in only.text
    assert {row.joint for row in found.rows if row.verdict in (OUTSIDE, UNREACHED)} == {"shoulder_lift", "elbow_flex"}


def test_a_policy_of_m100_in_the_wrong_frame() -> None:
    found = so(SO101.park_pose, MOLMO, IN_M100)
    assert not found.ok and found.findings[0].kind == "frame" and M100 in found.findings[0].text
    right = so(SO101.park_pose, M100, IN_M100)
    assert right.ok and right.findings == ()
    assert right.also == (DEGREES,)  # the two differ by a few percent: no pose tells them apart, and that is said
    assert "does not tell them apart" in "\n".join(language_text.verdict(right))


def test_degrees_under_a_frame_of_rad_even_where_small_numbers_look_inside() -> None:
    scale = [1.0 if joint in BI_YAM.grippers else 180 / math.pi for joint in BI_YAM.joints]
    degrees = {key: (np.array(YAM[key]) * scale).tolist() for key in ("q01", "q99")}
    found = yam(BI_YAM.home_pose, degrees)
    assert [row.verdict for row in found.rows if row.gripper] == ["inside"] * 2
    assert not found.ok and [finding.kind for finding in found.findings] == ["units"]
    assert "degrees where this frame gives rad" in found.findings[0].text


def test_a_range_beyond_the_arms_own_limits() -> None:
    arm = Arm(SO101.joints, SO101.grippers, np.array(HOME), LOWER, np.where([0, 0, 1, 0, 0, 0], 0.9, UPPER))
    found = compare(arm, Policy(ranges_of(Normalizer.from_stats(SO, "q01_q99")), frame(MOLMO), {}))
    assert found.ok  # a quarter of it is told, not refused
    assert kinds(found) == {"elbow_flex": "reach"} and "was its whole way calibrated?" in found.findings[0].text
    assert found.rows[2].unreached == pytest.approx((173.14 - (90 + math.degrees(0.9))) / (173.14 - 38.39), abs=1e-3)


def test_a_range_that_the_arm_does_not_reach_at_all_is_all_of_it() -> None:
    arm = Arm(SO101.joints, SO101.grippers, np.array(HOME), LOWER, np.where([0, 0, 1, 0, 0, 0], -1.0, UPPER))
    found = compare(arm, Policy(ranges_of(Normalizer.from_stats(SO, "q01_q99")), frame(MOLMO), {}))
    assert found.rows[2].unreached == 1.0 and "100% of the policy's range" in found.findings[0].text


def test_units_are_told_by_several_joints_only() -> None:
    """Two joints' statistics, a hundred times too wide, are these joints' trouble; a gripper has other units anyway."""
    wide = {key: [100 * SO[key][0], 100 * SO[key][3], *[0.0] * 3, 100 * SO[key][5]] for key in ("q01", "q99")}
    found = so(HOME, stats=wide)
    assert [row.place.range.known for row in found.rows] == [True, True, False, False, False, True]
    assert not found.ok and "reach" in kinds(found)["shoulder_pan"] and "units" not in kinds(found).values()


def test_a_reach_that_a_quarter_turn_would_mend_says_so() -> None:
    lower, upper = (
        np.where([0, 0, 1, 0, 0, 0], math.radians(end), all_) for end, all_ in ((41.4, LOWER), (173.1, UPPER))
    )
    arm = Arm(SO101.joints, SO101.grippers, np.array(HOME), lower, upper)
    found = compare(arm, Policy(ranges_of(Normalizer.from_stats(SO, "q01_q99")), frame(MOLMO), {}))
    text = " ".join(finding.text for finding in found.findings)
    assert "It is also as if its zero were 90 degrees off" in text  # all but a fortieth of the range, then


def test_what_nothing_simple_explains_is_not_explained_away() -> None:
    found = so(changed("shoulder_pan", 1.5))
    assert kinds(found) == {"shoulder_pan": "pose, zero"}  # a quarter turn would do, but nothing proves it
    assert "it may just stand there. It would fit if its zero were off" in found.findings[0].text
    found = so(changed("shoulder_pan", 3.0))
    assert "so it cannot stand there" in found.findings[0].text and "pose" not in kinds(found)["shoulder_pan"]
    found = so(changed("shoulder_pan", 1.0), stats={**SO, "q99": [20.0, *SO["q99"][1:]], "q01": [10.0, *SO["q01"][1:]]})
    assert kinds(found) == {"shoulder_pan": "pose"} and found.findings[0].text.endswith("it may just stand there")
    stats = {**SO, "q01": [25.0, *SO["q01"][1:]], "q99": [40.0, *SO["q99"][1:]]}
    found = so([0.2, *HOME[1:5], 0.6], stats=stats)
    told = kinds(found)  # both outside, each inside with the other's number; but no gripper is taken for an arm's joint
    assert set(told) == {"shoulder_pan", "gripper"} and "swapped" not in " ".join(told.values())


def test_statistics_that_say_nothing() -> None:
    arm = Arm(SO101.joints, SO101.grippers, np.array(HOME), LOWER, UPPER)
    found = compare(arm, Policy(ranges_of(Normalizer.from_stats({}, "none", 6)), frame(MOLMO), {}))
    assert found.ok and {row.verdict for row in found.rows} == {"not known"}
    assert "norm mode none" in "\n".join(language_text.table(found))


def test_the_table_and_its_bars() -> None:
    found = so(changed("wrist_flex", -2.4))
    lines = language_text.table(found, plain=True)
    assert len(lines) == 7 and "q01..q99" in lines[0]
    pan, wrist = lines[1], lines[4]
    assert pan.index("[") < pan.index("O") < pan.index("]") and pan.endswith("inside")
    assert "<" in wrist and "outside by 143.2, 1.7 widths" in wrist
    assert all(len(language_text.bar(row)) == language_text.COLUMNS for row in found.rows)
    data = json.loads(json.dumps(language_text.to_json(found), allow_nan=False))
    assert data["ok"] is False and data["joints"][3]["verdict"] == "outside" and len(data["joints"]) == 6


def test_a_narrow_terminal() -> None:
    lines = language_text.table(so(changed("wrist_flex", -2.4)), wide=80)
    assert all(len(line) <= 80 for line in lines) and lines[4].endswith("outside") and "├" in lines[1]


def test_the_picture(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    language_text.picture(so(HOME), good, "blue against so101.bundle")
    language_text.picture(so(changed("gripper", 0.98)), bad)
    colours = [{tuple(p) for p in np.asarray(Image.open(path)).reshape(-1, 3).tolist()} for path in (good, bad)]
    red = (0xC5, 0x30, 0x30)
    assert red not in colours[0] and red in colours[1]
