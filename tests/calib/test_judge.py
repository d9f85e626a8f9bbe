"""Judgements: honest arms pass, published calibrations pass, and each mistake is named with its likely cause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.sts import judge
from calib.sts.zero import Measured, zeroed
from firmware_bridge.sts.travel import DEGREES_PER_TICK, TRAVEL

LIMITED = [name for name, travel in TRAVEL.items() if not travel.free]
# Widths in ticks of published calibration files of real arms, swept from stop to stop (docs/calibration.md):
# shoulder_pan, shoulder_lift, elbow_flex, wrist_flex, gripper.
PUBLISHED = (
    (2731, 2389, 2209, 2367, 1590), (2524, 2352, 2216, 2277, 1483), (2248, 2348, 2199, 2301, 1473),
    (2562, 2355, 2179, 2322, 1429), (2701, 2382, 2204, 2301, 1419), (2559, 2275, 2132, 2246, 1363),
    (2710, 2351, 2216, 2271, 1442), (2276, 1982, 2099, 2126, 1432), (2735, 2543, 2259, 2466, 1496),
    (2734, 2388, 2210, 2324, 1452), (2727, 2381, 2176, 2335, 1484), (2725, 2399, 2245, 2341, 1514),
    (2633, 2373, 2221, 2362, 1496), (2696, 2423, 2225, 2366, 1549), (2309, 2369, 2225, 2342, 1437),
    (2106, 2269, 2241, 2134, 1546), (2733, 2392, 2217, 2361, 1476), (2715, 2358, 2180, 2337, 1445),
    (2394, 2491, 2191, 2570, 1418), (2618, 2339, 2179, 2249, 1451), (2751, 2404, 2215, 2331, 1519),
    (2651, 2360, 2192, 2293, 1441), (2535, 2358, 2238, 2191, 1486), (2600, 2358, 2240, 2191, 1486),
    (2724, 2391, 2205, 2345, 1256), (2443, 2337, 2212, 2194, 1200),  # leaders
)  # fmt: skip


@pytest.mark.parametrize("row", PUBLISHED)
def test_published_calibrations_pass(row: tuple[int, ...]) -> None:
    assert judge.ways(dict(zip(LIMITED, (ticks * DEGREES_PER_TICK for ticks in row), strict=True))) == ()


@pytest.mark.parametrize("joint", LIMITED)
def test_six_tenths_of_a_way_do_not_pass(joint: str) -> None:
    column = LIMITED.index(joint)
    widest = max(row[column] for row in PUBLISHED) * DEGREES_PER_TICK
    (finding,) = judge.ways({joint: 0.6 * widest})
    assert finding.refuses and "swept too little" in finding.cause and finding.joint == joint


@given(st.floats(0.0, 4000.0))
def test_a_joint_that_turns_freely_is_exempt(width: float) -> None:
    assert judge.state("wrist_roll", width) == judge.GOOD


def test_too_wide_is_named() -> None:
    (finding,) = judge.ways({"elbow_flex": 330.0})
    assert "330 degrees" in finding.what and "slips" in finding.cause


@pytest.mark.parametrize(("mode", "most"), sorted(judge.POSE_OFF.items()))
def test_pose_and_sweep_must_belong_together(mode: str, most: float) -> None:
    for way, words in ((-1, "below the middle"), (1, "above the middle")):
        for off, count in ((most - 1.0, 0), (most + 1.0, 1)):
            seen = Measured(2, 1000.0, 3200.0, 2100.0 + way * off / DEGREES_PER_TICK)
            found = judge.zeros(mode, {"shoulder_lift": zeroed(mode, "shoulder_lift", seen)}, ("gripper",))
            assert len(found) == count
        assert words in found[0].what and "not in the pose" in found[0].cause
    assert judge.zeros("mechanical", {"shoulder_lift": zeroed(mode, "shoulder_lift", seen)}, ("gripper",)) == ()


def test_a_closed_gripper_is_at_its_low_end() -> None:
    assert judge.closed("gripper", 1000.0, 2400.0, 1010.0) == ()
    (wrong,) = judge.closed("gripper", 1000.0, 2400.0, 2395.0)
    assert "open and closed would be exchanged" in wrong.cause
    (half,) = judge.closed("gripper", 1000.0, 2400.0, 1500.0)
    assert "44 degrees above" in half.what and "not closed" in half.cause


def test_horns_are_told_and_never_refused() -> None:
    def row(horn: float) -> dict[str, judge.Zeroed]:
        middle = 2048 + horn / DEGREES_PER_TICK
        return {"elbow_flex": zeroed("mechanical", "elbow_flex", Measured(3, middle - 1100, middle + 1100))}

    assert judge.horns(row(5.0), ("gripper",)) == ()
    assert judge.horns(row(90.0), ("elbow_flex",)) == ()
    (thirty,), (half,) = (judge.horns(row(degrees), ("gripper",)) for degrees in (30.0, 180.0))
    assert "+30 degrees" in thirty.what and not thirty.refuses
    assert "half a turn" in half.what and "harmless" in half.cause


def test_a_sweep_of_which_readings_were_lost_is_swept_again() -> None:
    (finding,) = judge.torn(["elbow_flex", "wrist_roll"])
    assert finding.refuses and finding.joint == "elbow_flex" and "sweep it again" in finding.cause
