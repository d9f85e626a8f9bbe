"""Levels: each row of the table at its thresholds, how long, how it comes back, and what it asks for."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from firmware_bridge.driver import ArmState
from firmware_bridge.errors import ConfigError
from firmware_bridge.safety.levels import LEVELS, STILL, Gauges, Level, Verdict, make_levels

JOINTS = ("elbow", "gripper")
GRIPPERS = np.array([False, True])
LEAD = np.array([0.5, 0.2])
CALM = ArmState(
    position=np.zeros(2),
    velocity=np.zeros(2),
    load=np.zeros(2),
    current=np.zeros(2),
    temperature=np.full(2, 30.0),
    voltage=np.full(2, 7.4),
    errors=(0, 0),
    alarms=("", ""),
    changed=(),
    fresh=np.array([True, True]),
)
FIELDS = {
    "temperature": "temperature",
    "voltage_low": "voltage",
    "voltage_high": "voltage",
    "current": "current",
    "gripper_current": "current",
    "stall": "load",
    "gripper_stall": "load",
}
ROWS = [(family, row) for family, rows in LEVELS.items() for row in rows]


def gauges(levels: tuple[Level, ...]) -> Gauges:
    return Gauges(levels, JOINTS, GRIPPERS, LEAD)


def state(row: Level, value: float) -> ArmState:
    """A calm arm on the row's supply, in which the joint that the row watches reads `value`."""
    volts = 12.0 if row.supply[0] == 9.0 else 7.4
    calm = dataclasses.replace(CALM, voltage=np.full(2, volts))
    column = getattr(calm, FIELDS[row.quantity]).copy()
    column[1 if row.on == "grippers" else 0] = value
    return dataclasses.replace(calm, **{FIELDS[row.quantity]: column})


def watch(gauge: Gauges, reading: ArmState, start: float, seconds: float) -> Verdict:
    verdict = Verdict()
    for tick in range(round(seconds * 100) + 1):
        verdict = gauge.update(start + tick * 0.01, reading, np.zeros(2))
    return verdict


@pytest.mark.parametrize(("family", "row"), ROWS, ids=[f"{f} {r.quantity} {r.supply[0]}" for f, r in ROWS])
@pytest.mark.parametrize("level", range(3), ids=["warn", "limit", "stop"])
def test_each_level_counts_once_it_has_lasted_and_until_it_has_come_back(family: str, row: Level, level: int) -> None:
    threshold, lasts = row.thresholds[level], row.lasts_s[level]
    if math.isnan(threshold):
        return
    gauge = gauges(LEVELS[family])
    sign = -1.0 if row.falling else 1.0
    joint = 1 if row.on == "grippers" else 0
    word = f"{row.quantity} of {JOINTS[joint]}"
    name = ("warn", "limit", "stop")[level]
    short_of = watch(gauge, state(row, threshold - 0.01 * sign), 0.0, 10.0)
    assert not any(f"{name} at {threshold:g}" in note for note in short_of.notes)
    gauge = gauges(LEVELS[family])
    watch(gauge, state(row, math.nan), 0.0, 0.0)  # the arm's supply is known from its other joint
    watch(gauge, state(row, threshold), 5.0, lasts - 0.05)
    early = gauge.update(5.0 + lasts - 0.02, state(row, threshold), np.zeros(2))
    assert not any(f"{name} at" in note and word in note for note in early.notes)
    late = gauge.update(5.0 + lasts + 0.001, state(row, threshold), np.zeros(2))
    assert any(f"{name} at {threshold:g}" in note and word in note for note in late.notes), late.notes
    assert late.slow == (level >= 1 and row.slows and not math.isnan(row.thresholds[1]))
    assert (late.short is not None and bool(late.short[joint])) == (level >= 1 and not math.isnan(row.thresholds[1]))
    if level == 2:
        assert word in (late.hot if row.parks else late.stop) and (late.hot == "") != row.parks
        assert row.do in (late.hot or late.stop) and f"{threshold:g} {row.unit}" in (late.hot or late.stop)
        assert (late.refusal == "") != row.refuses
    else:
        assert late.stop == late.hot == late.refusal == ""
    near = state(row, threshold - 0.9 * row.back * sign)
    assert any(name in note for note in gauge.update(8.0, near, np.zeros(2)).notes)
    away = state(row, threshold - 1.1 * row.back * sign)
    assert not any(f"{name} at {threshold:g}" in note for note in gauge.update(8.01, away, np.zeros(2)).notes)


def test_what_is_not_reported_is_no_opinion() -> None:
    gauge = gauges(LEVELS["sts"])
    nothing = np.full(2, np.nan)
    blind = dataclasses.replace(CALM, velocity=nothing, load=nothing, current=nothing, temperature=nothing)
    verdict = watch(gauge, dataclasses.replace(blind, voltage=nothing), 0.0, 5.0)
    assert verdict.notes == () and verdict.stop == verdict.hot == ""


def test_a_joint_that_does_not_answer_keeps_what_it_had_reached() -> None:
    row = LEVELS["sts"][0]
    gauge = gauges((row,))
    assert watch(gauge, state(row, 66.0), 0.0, 1.0).hot
    silent = dataclasses.replace(state(row, 30.0), fresh=np.array([False, True]))
    assert watch(gauge, silent, 1.0, 1.0).hot
    assert not watch(gauge, state(row, 30.0), 2.0, 0.0).hot


def test_a_short_peak_and_a_clock_that_jumps_back_count_nothing() -> None:
    row = LEVELS["sts"][0]
    gauge = gauges((row,))
    for start in range(20):
        assert watch(gauge, state(row, 90.0), float(start), 0.4).notes == ()
        assert watch(gauge, state(row, 30.0), start + 0.5, 0.0).notes == ()
    gauge.update(100.0, state(row, 90.0), np.zeros(2))
    assert gauge.update(50.0, state(row, 90.0), np.zeros(2)).notes == ()
    assert gauge.update(50.6, state(row, 90.0), np.zeros(2)).hot  # it started again at 50


def test_the_supply_is_the_one_found_first() -> None:
    gauge = gauges(LEVELS["sts"])
    watch(gauge, dataclasses.replace(CALM, voltage=np.full(2, 12.1)), 0.0, 0.0)
    sagging = dataclasses.replace(CALM, voltage=np.full(2, 7.4))
    assert "voltage_low" in watch(gauge, sagging, 1.0, 1.0).stop
    small = gauges(LEVELS["sts"])
    assert watch(small, sagging, 1.0, 1.0).notes == ()
    assert watch(gauges(LEVELS["sts"]), dataclasses.replace(CALM, voltage=np.full(2, 5.0)), 0.0, 2.0).notes == ()


def test_a_stall_is_a_lead_that_is_used_up_without_motion() -> None:
    rows = LEVELS["sts"]
    ahead = np.array([0.46, 0.0])
    gauge = gauges(rows)
    for tick in range(200):
        moving = dataclasses.replace(CALM, velocity=np.full(2, 2 * STILL))
        assert gauge.update(tick * 0.01, moving, ahead).notes == ()
    for tick in range(110):
        verdict = gauge.update(10 + tick * 0.01, CALM, ahead)
    assert (
        "stall of elbow" in verdict.notes[0] and verdict.short is not None and verdict.short.tolist() == [True, False]
    )
    # At its shorter lead it still is stalled as long as it presses as far as it may.
    for tick in range(400):
        verdict = gauge.update(20 + tick * 0.01, CALM, np.array([0.25, 0.0]))
    assert "stall of elbow" in verdict.stop
    assert gauge.update(30.0, CALM, np.array([0.1, 0.0])).notes == ()
    assert gauge.update(30.01, CALM, np.zeros(2)).short is None


def test_a_gripper_that_holds_something_presses_less_and_slows_nothing() -> None:
    gauge = gauges(LEVELS["sts"])
    for tick in range(1000):
        verdict = gauge.update(tick * 0.01, CALM, np.array([0.0, -0.2]))
    assert verdict.short is not None and verdict.short.tolist() == [False, True]
    assert not verdict.slow and verdict.stop == "" and "pressing less" in verdict.notes[0]


def test_reset_forgets() -> None:
    row = LEVELS["sts"][0]
    gauge = gauges((row,))
    watch(gauge, state(row, 66.0), 0.0, 1.0)
    gauge.reset()
    assert gauge.update(1.01, state(row, 66.0), np.zeros(2)).hot == ""
    assert watch(gauge, state(row, 66.0), 1.01, 0.6).hot


def test_without_levels_there_is_no_opinion() -> None:
    hot = dataclasses.replace(CALM, temperature=np.full(2, 200.0))
    assert watch(gauges(()), hot, 0.0, 5.0).notes == ()


def test_configured_levels_replace_the_thresholds() -> None:
    rows = make_levels("sts", {"temperature": (40.0, 45.0, 50.0), "voltage_low": (11.5, 11.0, 10.8)})
    assert rows[0].thresholds == (40.0, 45.0, 50.0) and rows[0].do == LEVELS["sts"][0].do
    assert [row.thresholds for row in rows if row.quantity == "voltage_low"] == [(11.5, 11.0, 10.8)] * 2
    assert make_levels("damiao", {}) == LEVELS["damiao"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"heat": (1.0, 2.0, 3.0)}, r"unknown quantity.*temperature, voltage_low.*heat"),
        ({"temperature": (50.0, 60.0)}, "three rising numbers in C"),
        ({"temperature": (50.0, 70.0, 60.0)}, "three rising"),
        ({"temperature": (50.0, math.nan, 60.0)}, "three rising"),
        ({"temperature": (50.0, 60.0, math.inf)}, "three rising"),
        ({"voltage_low": (4.0, 4.5, 5.0)}, "three falling numbers in V"),
    ],
)
def test_configured_levels_that_make_no_sense_are_refused(given: dict[str, tuple[float, ...]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_levels("sts", given)


def test_every_familys_table_is_in_order() -> None:
    for _, row in ROWS:
        numbers = [value for value in row.thresholds if not math.isnan(value)]
        assert numbers == sorted(numbers, reverse=row.falling) and row.back > 0 and row.do
        assert all(seconds >= 0.5 for seconds in row.lasts_s)


@pytest.mark.parametrize(
    ("volts", "fresh"), [((12.1, math.nan), (True, True)), ((7.4, 12.1), (False, True)), ((12.1, 7.4), (True, False))]
)
def test_the_supply_is_told_by_the_joints_that_answer_with_a_number(
    volts: tuple[float, float], fresh: tuple[bool, bool]
) -> None:
    gauge = gauges(LEVELS["sts"])
    watch(gauge, dataclasses.replace(CALM, voltage=np.array(volts), fresh=np.array(fresh)), 0.0, 0.0)
    sagging = dataclasses.replace(CALM, voltage=np.full(2, 8.0))
    assert "voltage_low" in watch(gauge, sagging, 1.0, 1.0).stop


def test_motors_that_report_no_voltage_are_watched_all_the_same() -> None:
    hot = dataclasses.replace(CALM, voltage=np.full(2, math.nan), temperature=np.array([90.0, 30.0]))
    for family in LEVELS:
        assert "temperature of elbow" in watch(gauges(LEVELS[family]), hot, 0.0, 1.0).hot
