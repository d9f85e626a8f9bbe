"""Numbers become words: each quantity alone, each with its negative control; files and changes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from calib.health import gravity, history
from calib.health.levels import BAD, CHECKS, GOOD, UNFINISHED, WORN, grade, supply_of
from calib.health.plan import QUICK
from calib.health.result import Facts, Health, JointHealth, to_json
from calib.health.verdict import judge, minutes_left
from calib.health.words import report
from firmware_bridge.errors import CalibrationError
from firmware_bridge.robots import ROBOTS

FACTS = Facts("so101", "blue", "sts", "/dev/ttyACM0", "blue.json", "abc", "2026-11-21T10:00:00", False, QUICK, 25.0)
FINE = JointHealth(
    "elbow_flex", "deg", followed=1.0, backlash=0.8, push=0.0, dead_band=0.2, error=-0.4, lag_ms=60.0, temperature=31.0,
    temperature_began=30.0, temperature_per_min=0.4, heating=0.0, voltage=7.4, voltage_low=7.3,
    voltage_low_together=7.1, sag=1.4, sag_together=4.1, load=10.0, readings=2500, missed=0, unread=0,
    missed_per_1000=0.0, unread_per_1000=0.0, firmware="3.10",
)  # fmt: skip


def health(*joints: JointHealth, **facts: object) -> Health:
    return judge(Health(dataclasses.replace(FACTS, **facts), joints, 2500, 0))  # type: ignore[arg-type]


def joint(**changes: object) -> JointHealth:
    return dataclasses.replace(FINE, **changes)  # type: ignore[arg-type]


def test_a_good_arm_is_good() -> None:
    found = health(FINE, joint(joint="gripper", unit="%"))
    assert found.verdict == GOOD and not found.findings
    assert report(found)[-1] == "blue is good: it moves as it should"


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({"backlash": 2.4}, WORN, "elbow_flex: backlash 2.4 degrees (good: up to 1.2), and its motor does not push"),
        ({"backlash": 2.6}, BAD, "check the horn screw too"),
        ({"backlash": 2.6, "push": 0.05}, BAD, "and its motor pushes against it: friction rather than play"),
        ({"backlash": 2.6, "unit": "%"}, BAD, "2.6 % of its stroke"),
        ({"dead_band": 1.4}, BAD, "dead band 1.4 degrees (good: up to 0.5)"),
        ({"error": -2.0}, WORN, "error at rest -2.0 degrees (good: up to 1.5)"),
        ({"lag_ms": 400.0}, BAD, "lag 400 ms"),
        ({"temperature": 57.0}, WORN, "temperature 57 C (good: up to 55)"),
        ({"heating": 6.0}, BAD, "heats up by 6.0 C/min (good: up to 2.0), 31 C now"),
        ({"sag": 13.0, "voltage_low": 6.4}, BAD, "voltage sags by 13.0 % (good: up to 6.0), 7.4 V to 6.4 V"),
        ({"sag_together": 12.0}, WORN, "voltage sags, all moving, by 12.0 %"),
        ({"load": 71.0}, BAD, "pulls at rest 71 % of full"),
        ({"load": 36.0, "load_model": 7.0}, WORN, "pulls 36 % of full at rest, where the arm's own weight takes 7 %"),
        ({"missed_per_1000": 4.0}, WORN, "lost answers 4.0 per 1,000 (good: up to 1.0)"),
        ({"unread_per_1000": 4.0}, BAD, "not read at all 4.0 per 1,000"),
        ({"followed": 0.1, "backlash": None}, BAD, "follows 0.10 of its way (good: at least 0.60)"),
        ({"errors": 32}, WORN, "error bits 0x20 were seen"),
        ({"errors": 32, "alarm": "overload; reading load 100%"}, BAD, "alarm: overload"),
        ({"voltage_low": 4.5}, WORN, "the voltage fell to 4.5 V (good: from 4.6 V on a 7.4 V supply)"),
        ({"voltage_low": 4.3}, BAD, "check the power supply and its cable"),
    ],
)
def test_each_quantity_alone_is_found_and_named(changes: dict[str, object], verdict: str, said: str) -> None:
    found = health(FINE, joint(joint="elbow_flex", **changes))
    assert found.verdict == verdict, found.findings
    assert said in found.findings[0].text and len(found.findings) == 1


def test_a_load_that_the_weight_explains_is_none() -> None:
    assert (
        not health(joint(load=36.0, load_model=20.0)).findings and not health(joint(load=19.0, load_model=0.0)).findings
    )


def test_the_weight_of_a_stretched_arm_takes_more_than_that_of_one_that_hangs() -> None:
    so101, yam = ROBOTS["so101"], ROBOTS["yam"]
    raised, stretched = np.array([0.0, 0.0, -1.57, 0.0, 0.0, 0.5]), np.array([0.0, 1.5, -1.5, 0.0, 0.0, 0.5])
    low, high = gravity.expected(so101, raised, 7.4), gravity.expected(so101, stretched, 7.4)
    assert high[1] > 2 * low[1] and 20 < high[1] < 100 and high[5] == 0.0
    assert gravity.expected(so101, stretched, 12.0)[1] == pytest.approx(high[1] * 7.4 / 12.0)
    assert np.isnan(gravity.expected(so101, stretched, float("nan"))[1])
    assert 5 < gravity.expected(yam, np.array(yam.home_pose), float("nan"))[2] < 60


def test_edges_belong_to_the_better_side() -> None:
    check = next(check for check in CHECKS["sts"] if check.key == "backlash")
    assert [grade(check, value) for value in (1.2, 1.21, 2.5, 2.51, -5.0)] == [GOOD, WORN, WORN, BAD, GOOD]
    follows = next(check for check in CHECKS["sts"] if check.key == "followed")
    assert [grade(follows, value) for value in (1.1, 0.6, 0.59, 0.3, 0.29)] == [GOOD, GOOD, WORN, WORN, BAD]
    error = next(check for check in CHECKS["sts"] if check.key == "error")
    assert [grade(error, value) for value in (-1.5, -1.6, -3.1)] == [GOOD, WORN, BAD]


@pytest.mark.parametrize("family", sorted(CHECKS))
def test_the_table_is_whole(family: str) -> None:
    fields = {field.name for field in dataclasses.fields(JointHealth)}
    for check in CHECKS[family]:
        assert check.key in fields and check.why and check.do
        assert (check.good > check.worn) is check.falling


def test_what_is_not_reported_is_no_finding() -> None:
    silent = JointHealth("joint_1", "deg", left_out="no room", errors=1)
    found = health(silent, family="damiao", robot="yam")
    assert found.verdict == GOOD and "joint_1 was left out: no room" in report(found)


def test_firmware_that_differs_is_named() -> None:
    odd = joint(joint="gripper", firmware="3.9")
    found = health(FINE, joint(joint="wrist_roll"), odd, joint(joint="wrist_flex", firmware=""))
    assert found.verdict == WORN and "firmware 3.10, but gripper 3.9; what to do" in found.findings[0].text


def test_late_ticks_are_the_computers_but_not_those_that_waited_for_an_answer() -> None:
    found = judge(dataclasses.replace(health(FINE), late_ticks=100))
    assert found.findings[0].quantity == "late_ticks" and "the computer, not the arm" in found.findings[0].text
    waited = judge(dataclasses.replace(health(joint(missed=100)), late_ticks=100))
    assert not waited.findings


def test_answers_that_all_servos_lose_are_the_adapters_not_a_cables() -> None:
    def lossy(*rates: float) -> Health:
        rows = [joint(joint=f"j{place}", missed_per_1000=rate, unread_per_1000=1.0) for place, rate in enumerate(rates)]
        return health(*rows)

    [finding] = lossy(5.0, 6.0, 8.0).findings
    assert finding.joint == "" and "all servos lose answers, 5.0 to 8.0 per 1,000" in finding.text
    assert {row.joint for row in lossy(6.0).findings} == {"j0"}  # of one servo nothing is in common
    assert {row.joint for row in lossy(0.0, 6.0, 8.0).findings if row.quantity == "missed_per_1000"} == {"j1", "j2"}
    assert len([row for row in lossy(1.5, 6.0, 50.0).findings if row.quantity == "missed_per_1000"]) == 3


def test_a_check_that_was_broken_off_says_why_and_is_no_verdict_but_for_what_was_seen() -> None:
    found = health(FINE, ended="Ctrl-C: holding here")
    assert found.verdict == UNFINISHED and "before its end: Ctrl-C" in found.findings[0].text
    assert report(found)[-1].startswith("blue is not known yet")
    assert health(joint(backlash=2.0), ended="Ctrl-C").verdict == UNFINISHED
    assert health(joint(backlash=9.0), ended="Ctrl-C").verdict == BAD


def test_supplies_and_minutes() -> None:
    assert [supply_of(volts) for volts in (5.0, 7.4, 8.4, 12.0, 24.0)] == ["5 V", "7.4 V", "7.4 V", "12 V", "24 V"]
    assert minutes_left(joint(temperature=40.0, heating=4.0), "sts") == pytest.approx(5.0)
    assert minutes_left(joint(temperature=70.0, heating=4.0), "sts") == 0.0
    assert minutes_left(FINE, "sts") is None


def test_the_json_names_its_format_and_keeps_every_number(tmp_path: Path) -> None:
    found = health(joint(push=float("nan"), rests_below=(0.1, 0.2), steps={"up, onward": 0.1}))
    data = json.loads(to_json(found))
    assert (data["format"], data["version"], data["verdict"]) == ("armside-check-arm", 1, "good")
    [row] = data["joints"]
    assert row["rests_below"] == [0.1, 0.2] and row["steps"] == {"up, onward": 0.1} and row["push"] is None
    assert data["facts"]["exercise"]["repeats"] == 1 and row["backlash"] == 0.8


def test_what_changed_since_the_last_check_is_said(tmp_path: Path) -> None:
    before = health(FINE)
    path = history.save(tmp_path, before)
    assert [item.name for item in tmp_path.iterdir()] == ["2026-11-21T10-00-00.json"] == [path.name]
    now = health(joint(backlash=1.4, dead_band=0.25), when="2026-12-01T10:00:00")
    compared = history.compared(now, history.last(tmp_path))
    assert compared.changes == ("elbow_flex: backlash 0.8 -> 1.4 degrees",)  # the dead band's is noise
    said = report(compared)
    place = said.index("since the check of 2026-11-21 10:00:00:")
    assert said[place + 1] == "  elbow_flex: backlash 0.8 -> 1.4 degrees"
    assert "nothing has changed" in "".join(report(history.compared(before, history.last(tmp_path))))


def test_the_newest_that_can_be_read_and_fits_is_compared_with(tmp_path: Path) -> None:
    assert history.last(tmp_path / "nowhere") is None
    history.save(tmp_path, health(FINE))
    (tmp_path / "2027-01-01T00-00-00.json").write_text('{"format": "armside-check-arm", "version": 1}')
    (tmp_path / "2027-01-02T00-00-00.json").write_text('{"format": "armside-')
    (tmp_path / "2027-01-03T00-00-00.json").write_text("[1]")
    found = history.last(tmp_path)
    assert found is not None and found.when == FACTS.when
    assert history.last(tmp_path, "abc") is not None and history.last(tmp_path, "another") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "expected: armside-check-arm version 1"),
        ('{"format": "armside-check-arm", "version": 2}', "got: ('armside-check-arm', 2)"),
        ('{"format": "armside-check-arm", "version": 1, "joints": 3, "facts": {}}', "all its fields"),
    ],
)
def test_a_file_that_is_no_check_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(CalibrationError) as refused:
        history.load(path)
    assert said in str(refused.value)
