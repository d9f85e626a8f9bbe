"""From numbers to a verdict in words: good, worn or bad, what it means and what to do. Pure.

Takes JointHealth and the table in levels.py, gives findings. A verdict is the worst of its findings.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from calib.health import gravity
from calib.health.levels import BAD, CHECKS, GOOD, LATE_GOOD, ORDER, UNFINISHED, WORN, Check, grade, supply_of
from calib.health.measure import FOLLOWED
from calib.health.result import Finding, Health, JointHealth
from firmware_bridge.safety.levels import LEVELS

PUSHES = 0.01  # of full load: from here on the motor tries
ALIKE = 0.5  # of the worst servo's rate of lost answers: all lose them alike
_ADAPTER = "swap the adapter's cable, then the adapter; look what else keeps the computer busy"
_LOOK = "armside bridge status shows them by name"


def judge(health: Health) -> Health:
    """With findings and the verdict of the whole."""
    checks = CHECKS[health.facts.family]
    found = [finding for joint in health.joints for finding in of_joint(joint, checks, health.facts.family)]
    found = _in_common(found, health) + _of_arm(health)
    if health.facts.ended:
        found.append(Finding("", "ended", UNFINISHED, f"the check ended before its end: {health.facts.ended}"))
    return dataclasses.replace(health, findings=tuple(found), verdict=worst(found))


def worst(findings: Sequence[Finding]) -> str:
    """The verdict of all of them."""
    return max((finding.verdict for finding in findings), key=ORDER.index, default=GOOD)


def of_joint(joint: JointHealth, checks: Sequence[Check], family: str) -> list[Finding]:
    """What is not good about one joint."""
    found = []
    if joint.alarm:
        found.append(Finding(joint.joint, "alarm", BAD, f"{joint.joint}: alarm: {joint.alarm}"))
    elif joint.errors and family == "sts":  # of the others 1 means enabled
        text = f"{joint.joint}: error bits {joint.errors:#x} were seen; what to do: {_LOOK}"
        found.append(Finding(joint.joint, "errors", WORN, text))
    for check in checks:
        value = getattr(joint, check.key)
        if value is None:
            continue
        verdict = grade(check, value)
        if verdict != GOOD:
            found.append(Finding(joint.joint, check.key, verdict, _sentence(joint, check, value)))
    if joint.load is not None and joint.load_model is not None and gravity.too_much(joint.load, joint.load_model):
        does = f"pulls {joint.load:.0f} % of full at rest, where the arm's own weight takes {joint.load_model:.0f} %"
        text = f"{joint.joint}: {does}; what to do: look what it presses against, or carries; then its zero"
        found.append(Finding(joint.joint, "load_model", WORN, text))
    return found


def _in_common(found: list[Finding], health: Health) -> list[Finding]:
    """Answers that all servos lose alike are one finding: no cable between two of them explains it."""
    keys = ("missed_per_1000", "unread_per_1000")
    lost = [finding for finding in found if finding.quantity == keys[0]]
    rates = [joint.missed_per_1000 or 0.0 for joint in health.joints]
    if len(lost) < len(rates) or len(rates) < 2 or min(rates) < ALIKE * max(rates):
        return found
    least, most = min(rates), max(rates)
    text = f"all servos lose answers, {least:.1f} to {most:.1f} per 1,000; what to do: {_ADAPTER}"
    others = [finding for finding in found if finding.quantity not in keys]
    return [Finding("", keys[0], worst(lost), text), *others]


def _sentence(joint: JointHealth, check: Check, value: float) -> str:
    least = "at least" if check.falling else "up to"
    got = f"{value:.{check.digits}f} {unit_of(check, joint)}"
    good = f"good: {least} {check.good:.{check.digits}f}"
    text = f"{joint.joint}: {check.words} {got} ({good}){_more(joint, check)}; what to do: {check.do}"
    if check.key == "followed" and value < FOLLOWED:
        text += "; its other numbers were not taken"
    return text


def unit_of(check: Check, joint: JointHealth) -> str:
    """For a person: degrees are % of its stroke for a gripper."""
    if check.unit == "deg":
        return "degrees" if joint.unit == "deg" else "% of its stroke"
    return check.unit


def _more(joint: JointHealth, check: Check) -> str:
    """What the other numbers add."""
    if check.key == "backlash" and joint.push is not None:
        if joint.push > PUSHES:
            return ", and its motor pushes against it: friction rather than play"
        return ", and its motor does not push: play in its gears"
    if check.key == "heating" and joint.temperature is not None and joint.temperature_per_min:
        return f", {joint.temperature:.0f} C now"
    if check.key in ("sag", "sag_together") and joint.voltage is not None:
        low = joint.voltage_low if check.key == "sag" else joint.voltage_low_together
        return f", {joint.voltage:.1f} V to {low:.1f} V" if low is not None else ""
    return ""


def minutes_left(joint: JointHealth, family: str) -> float | None:
    """Until the bridge would act on its heat, if it went on as fast; heat leaves too, so at the soonest."""
    if joint.temperature is None or not joint.heating:
        return None
    limit = next(row for row in LEVELS[family] if row.quantity == "temperature").thresholds[1]
    return max(0.0, limit - joint.temperature) / joint.heating


def _of_arm(health: Health) -> list[Finding]:
    found = []
    versions = Counter(joint.firmware for joint in health.joints if joint.firmware)
    if len(versions) > 1:
        usual = versions.most_common(1)[0][0]
        odd = [f"{joint.joint} {joint.firmware}" for joint in health.joints if joint.firmware not in ("", usual)]
        do = "update it with the maker's tool; LeRobot refuses arms whose servos differ"
        found.append(Finding("", "firmware", WORN, f"firmware {usual}, but {', '.join(odd)}; what to do: {do}"))
    late = 1000.0 * health.late_ticks / max(1, health.ticks)
    lost = sum(joint.missed for joint in health.joints)
    if late > LATE_GOOD and lost < health.late_ticks:  # a tick that waits for a lost answer is late by that
        text = f"{late:.0f} of 1,000 ticks were late (good: up to {LATE_GOOD:.0f}): the computer, not the arm"
        do = "end what else runs on it; docs/install.md says how the bridge gets its turn"
        found.append(Finding("", "late_ticks", WORN, f"{text}; what to do: {do}"))
    return found + _low_voltage(health)


def _low_voltage(health: Health) -> list[Finding]:
    """Absolute levels, those at which the bridge itself acts."""
    low = lowest_voltage(health.joints)
    rest = resting_voltage(health.joints)
    if low is None or rest is None:
        return []
    for row in LEVELS[health.facts.family]:
        if row.quantity == "voltage_low" and row.supply[0] <= rest < row.supply[1] and low < row.thresholds[0]:
            verdict = BAD if low < row.thresholds[1] else WORN
            text = (
                f"the voltage fell to {low:.1f} V (good: from {row.thresholds[0]:.1f} V on a {supply_of(rest)} supply)"
            )
            return [Finding("", "voltage", verdict, f"{text}; what to do: {row.do}")]
    return []


def resting_voltage(joints: Sequence[JointHealth]) -> float | None:
    """The highest of all joints at rest, V: the nearest to the supply's own."""
    return max((joint.voltage for joint in joints if joint.voltage is not None), default=None)


def lowest_voltage(joints: Sequence[JointHealth]) -> float | None:
    """V, of any joint at any time."""
    lows = [value for joint in joints for value in (joint.voltage_low, joint.voltage_low_together) if value is not None]
    return min(lows, default=None)
