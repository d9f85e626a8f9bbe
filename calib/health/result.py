"""The result of a check: frozen numbers per joint, findings, and the JSON of both.

Takes a Series, marks and what the wire counted; gives a Health. The JSON names its format and version; everything
that was measured is in it, so that another judgement can be made later.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calib.health import measure, plan
from calib.health.measure import Mark
from calib.health.series import Series

FORMAT, VERSION = "armside-check-arm", 1


@dataclass(frozen=True, slots=True)
class JointHealth:
    """One joint. Angles in `unit`; None: not measured, or not reported by its servo."""

    joint: str
    unit: str  # "deg", or "%" of a gripper's stroke
    left_out: str = ""  # why it was not moved
    note: str = ""  # how its way differed from the others'
    followed: float | None = None  # part of its way that it made
    backlash: float | None = None
    backlash_spread: float | None = None
    rests_below: tuple[float, ...] = ()  # measured minus goal
    rests_above: tuple[float, ...] = ()
    push: float | None = None  # part of full load with which it still pushes at those rests, both ways
    dead_band: float | None = None
    reversal: float | None = None  # what a goal that turns back goes before the joint does
    steps: Mapping[str, float] = field(default_factory=dict)  # name -> goal's way before it moved
    error: float | None = None  # commanded minus measured at rest
    lag_ms: float | None = None
    temperature: float | None = None  # degrees Celsius, at the end
    temperature_began: float | None = None
    temperature_per_min: float | None = None  # fitted
    heating: float | None = None  # per minute, what of it is sure with whole degrees
    voltage: float | None = None  # V at rest
    voltage_low: float | None = None  # while it moved
    voltage_low_together: float | None = None
    sag: float | None = None  # % of rest
    sag_together: float | None = None
    load: float | None = None  # % of full, at rest
    load_model: float | None = None  # % of full that the arm's own weight takes there
    current: float | None = None  # A at rest
    current_most: float | None = None
    readings: int = 0
    missed: int = 0  # answers that did not come intact, tries that a retry saved included
    unread: int = 0  # ticks without a reading
    missed_per_1000: float | None = None  # one of each is chance and is taken off
    unread_per_1000: float | None = None
    errors: int = 0  # all error bits seen
    alarm: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not good."""

    joint: str  # "" for the arm as a whole
    quantity: str
    verdict: str  # worn, not finished, bad
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Which arm, when, how."""

    robot: str
    id: str
    family: str
    port: str
    calibration: str
    fingerprint: str
    when: str  # local time, ISO 8601
    simulated: bool
    exercise: plan.Exercise
    seconds: float
    ended: str = ""  # why it did not come to its end


@dataclass(frozen=True, slots=True)
class Health:
    """A whole check."""

    facts: Facts
    joints: tuple[JointHealth, ...]
    ticks: int
    late_ticks: int
    findings: tuple[Finding, ...] = ()
    verdict: str = ""
    changes: tuple[str, ...] = ()  # since the check before
    before: str = ""  # when that was


@dataclass(frozen=True, slots=True)
class Counted:
    """What the wire and the plan know beside the series, [D] each."""

    missed: tuple[int, ...]
    firmware: tuple[str, ...]
    left_out: Mapping[str, str]
    notes: Mapping[str, str]
    load_model: tuple[float, ...] = ()


def joint_health(series: Series, index: int, marks: Sequence[Mark], counted: Counted) -> JointHealth:
    """All numbers of one joint."""
    name = series.joints[index]
    way = measure.way_made(series, index, marks)
    followed = None if way is None or way[0] <= 0.0 else way[1] / way[0]
    judged = followed is not None and followed >= measure.FOLLOWED and name not in counted.left_out
    rows = {
        "joint": name,
        "unit": series.unit(index),
        "left_out": counted.left_out.get(name, ""),
        "note": counted.notes.get(name, ""),
        "followed": None if name in counted.left_out else followed,
        **(_motion(series, index, marks) if judged else {}),
        **_heat(series, index),
        **_power(series, index, marks),
        **_wire(series, index, counted),
        "load_model": measure.number(counted.load_model[index]) if counted.load_model else None,
    }
    return JointHealth(**rows)


def _motion(series: Series, index: int, marks: Sequence[Mark]) -> dict[str, Any]:
    rows: dict[str, Any] = {"lag_ms": measure.lag_ms(series, index, marks)}
    rests = measure.backlash(series, index, marks)
    if rests is not None:
        rows |= {"backlash": rests.difference, "backlash_spread": rests.spread, "error": rests.error}
        rows |= {"rests_below": rests.below, "rests_above": rests.above, "push": rests.push}
    found = measure.steps(series, index, marks)
    if found is not None:
        rows |= {"dead_band": found.dead_band, "reversal": found.reversal, "steps": found.lost}
    return rows


def _heat(series: Series, index: int) -> dict[str, Any]:
    found = measure.heat(series, index)
    if found is None:
        return {}
    first, last, rate, sure = found
    return {"temperature_began": first, "temperature": last, "temperature_per_min": rate, "heating": sure}


def _power(series: Series, index: int, marks: Sequence[Mark]) -> dict[str, Any]:
    own = [mark for mark in marks if mark.joint == index]
    every = [mark for mark in marks if mark.kind == plan.TOGETHER]
    rest = measure.at_rest(series.voltage, series, index, marks)
    low = measure.lowest(series.voltage, series, index, own)
    low_together = measure.lowest(series.voltage, series, index, every)
    load = measure.at_rest(np.abs(series.load), series, index, marks)
    most = measure.lowest(-np.abs(series.current), series, index, own)
    return {
        "voltage": rest,
        "voltage_low": low,
        "voltage_low_together": low_together,
        "sag": _sag(rest, low),
        "sag_together": _sag(rest, low_together),
        "load": None if load is None else 100.0 * load,
        "current": measure.at_rest(np.abs(series.current), series, index, marks),
        "current_most": None if most is None else -most,
    }


def _sag(rest: float | None, low: float | None) -> float | None:
    return None if not rest or low is None else max(0.0, 100.0 * (rest - low) / rest)


def _wire(series: Series, index: int, counted: Counted) -> dict[str, Any]:
    readings = len(series.tick)
    unread = int((~series.fresh[:, index]).sum())
    missed = max(unread, counted.missed[index] if counted.missed else 0)
    return {
        "readings": readings,
        "missed": missed,
        "unread": unread,
        "missed_per_1000": 1000.0 * max(0, missed - 1) / readings,
        "unread_per_1000": 1000.0 * max(0, unread - 1) / readings,
        "errors": int(np.bitwise_or.reduce(series.errors[:, index])),
        "alarm": series.alarms[index],
        "firmware": counted.firmware[index] if counted.firmware else "",
    }


def to_json(health: Health) -> str:
    """Everything, for programs; numbers that are none are null."""
    data = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(health)}
    return json.dumps(_plain(data), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
