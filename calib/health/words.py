"""A check in plain text: before it starts, a table of its numbers, and the verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from calib.health.levels import BAD, CHECKS, GOOD, UNFINISHED, WORN, Check, grade, supply_of
from calib.health.plan import NOT_ASKED
from calib.health.result import Health, JointHealth
from calib.health.verdict import lowest_voltage, minutes_left, resting_voltage

ABSENT = "-"
MARKS = {GOOD: " ", WORN: "~", BAD: "!"}
# key of a check -> head of its column
COLUMNS = {
    "backlash": "backlash",
    "dead_band": "dead band",
    "error": "error",
    "lag_ms": "lag ms",
    "temperature": "heat C",
    "heating": "C/min",
    "sag": "sag %",
    "load": "load %",
    "missed_per_1000": "lost/1000",
}
SAYS = {
    GOOD: "good: it moves as it should",
    WORN: "worn: it works; look at what is named before it gets worse",
    UNFINISHED: "not known yet: nothing bad was seen so far; check it to the end",
    BAD: "bad: mend what is named before you rely on it",
}
MINUTES_SAID = 20.0


def table(health: Health) -> list[str]:
    """A row per joint; ~ marks what is worn, ! what is bad."""
    checks = {check.key: check for check in CHECKS[health.facts.family]}
    used = [key for key in COLUMNS if any(getattr(joint, key) is not None for joint in health.joints)]
    rows = [["joint", *(f"{COLUMNS[key]} " for key in used)]]
    for joint in health.joints:
        rows.append([joint.joint, *(_cell(joint, checks[key]) for key in used)])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def _cell(joint: JointHealth, check: Check) -> str:
    value = getattr(joint, check.key)
    if value is None:
        return f"{ABSENT} "
    unit = "%" if check.unit == "deg" and joint.unit == "%" else ""
    return f"{value:.{check.digits}f}{unit}{MARKS[grade(check, value)]}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        text.rjust(width) if place else text.ljust(width)
        for place, (text, width) in enumerate(zip(row, widths, strict=True))
    ]


def report(health: Health) -> list[str]:
    """All that a person should read, the verdict last."""
    lines = [*table(health), "backlash, dead band, error: degrees, % of its stroke for a gripper", ""]
    lines += [
        f"{joint.joint} was left out: {joint.left_out}"
        for joint in health.joints
        if joint.left_out not in ("", NOT_ASKED)
    ]
    lines += [f"{joint.joint}: {joint.note}" for joint in health.joints if joint.note]
    lines += [*_power(health), *_heat(health), *_wire(health)]
    lines += [f"[{finding.verdict}] {finding.text}" for finding in health.findings]
    if health.before:
        since = health.before.replace("T", " ")
        lines.append(f"since the check of {since}: {'' if health.changes else 'nothing has changed'}".rstrip())
        lines += [f"  {change}" for change in health.changes]
    if health.facts.simulated:
        lines.append("these are the numbers of virtual servos")
    return [*lines, f"{health.facts.id or health.facts.robot} is {SAYS[health.verdict]}"]


def _power(health: Health) -> list[str]:
    rest, low = resting_voltage(health.joints), lowest_voltage(health.joints)
    if rest is None:
        return ["voltage: these servos do not report it"]
    fell = f", at least {low:.1f} V while moving" if low is not None else ""
    return [f"supply: {rest:.1f} V at rest{fell}: taken as a {supply_of(rest)} supply"]


def _heat(health: Health) -> list[str]:
    said = []
    for joint in health.joints:
        left = minutes_left(joint, health.facts.family)
        if left is not None and left < MINUTES_SAID:
            said.append(f"{joint.joint} would be too hot in {left:.0f} min at the soonest, if it went on like this")
    return said


def _wire(health: Health) -> list[str]:
    missed, unread = (sum(getattr(joint, key) for joint in health.joints) for key in ("missed", "unread"))
    versions = sorted({joint.firmware for joint in health.joints if joint.firmware})
    lines = [
        f"bus: {missed} of {health.ticks * len(health.joints)} answers lost, {unread} of them for good; "
        f"{health.late_ticks} late ticks"
    ]
    return lines + ([f"firmware: {', '.join(versions)}"] if versions else [])
