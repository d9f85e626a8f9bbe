"""Does this arm speak the policy's language: one pose and the arm's reach against the policy's statistics.

Takes an arm's measured joints and limits in SI and a policy's ranges and frame; gives a row for each joint and
findings with their likely cause: frame, units, zero, sign, gripper, exchanged joints. A frame that would fit is named
and never chosen. Pure; what one pose cannot show (a mirrored joint), direction_test.py finds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from policy_spec.frames import Frame
from policy_spec.in_range import Place, Range, places

Array = npt.NDArray[np.float64]

INSIDE, OUTSIDE, UNKNOWN, UNREACHED = "inside", "outside", "not known", "out of reach"
REACH_TOLD = 0.1  # of the policy's range that the arm cannot reach: told
REACH_WRONG = 1 / 3  # this much of it: the two do not mean the same joint
TIMES = 8.0  # the policy's range so many times wider than the arm's own, over the joints: another unit
NARROW = 0.05  # and so much narrower
QUARTERS = (90, -90, 180, -180)  # degrees that a zero is usually off by


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """An arm as it stands. SI: rad, gripper 0 closed to 1 open."""

    joints: tuple[str, ...]
    grippers: tuple[str, ...]
    measured: Array  # [D]
    lower: Array  # [D] its own limits; -inf where it has none
    upper: Array  # [D]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the policy's state is."""

    ranges: tuple[Range, ...]  # [D] its units
    frame: Frame
    others: Mapping[str, Frame]  # every other named frame that an arm with as many joints can have


@dataclass(frozen=True, slots=True)
class Row:
    """One joint in the policy's units."""

    joint: str
    gripper: bool
    place: Place
    reach: tuple[float, float]  # the arm's own limits, the smaller number first

    @property
    def unreached(self) -> float:
        """How much of the policy's range the arm cannot reach, 0..1."""
        known = self.place.range
        if not known.known or math.isinf(self.reach[1] - self.reach[0]):
            return 0.0
        overlap = min(known.high, self.reach[1]) - max(known.low, self.reach[0])
        return 1.0 - max(0.0, overlap) / known.width

    @property
    def verdict(self) -> str:
        if not self.place.inside:
            return OUTSIDE
        if self.unreached > REACH_WRONG:
            return UNREACHED
        return INSIDE if self.place.range.known else UNKNOWN


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind`: frame, units, zero, sign, gripper, swapped, reach, pose; several joined by a comma."""

    kind: str
    joints: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Language:
    """The answer from one pose."""

    frame: str
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    also: tuple[str, ...]  # other frames in which this pose and the arm's reach fit as well

    @property
    def ok(self) -> bool:
        return all(row.verdict in (INSIDE, UNKNOWN) for row in self.rows)


def compare(arm: Arm, policy: Policy) -> Language:
    """The rows, and what explains those that do not fit."""
    rows = rows_of(arm, policy.ranges, policy.frame)
    fits = tuple(name for name, other in policy.others.items() if _fits(rows_of(arm, policy.ranges, other)))
    findings = [] if _fits(rows) else _wrong(arm, policy, rows, fits)
    if not any(finding.kind in ("frame", "units") for finding in findings):  # which explain it already
        findings += [_reach(arm, policy, index, row) for index, row in enumerate(rows) if row.unreached > REACH_TOLD]
    return Language(policy.frame.name, rows, tuple(findings), fits)


def rows_of(arm: Arm, ranges: tuple[Range, ...], frame: Frame) -> tuple[Row, ...]:
    """[D] the arm in the units of `frame`."""
    ends = np.sort(np.stack([frame.from_si(arm.lower), frame.from_si(arm.upper)]), axis=0)
    found = places(frame.from_si(arm.measured), ranges)
    return tuple(
        Row(joint, joint in arm.grippers, place, (float(low), float(high)))
        for joint, place, low, high in zip(arm.joints, found, *ends, strict=True)
    )


def _fits(rows: tuple[Row, ...]) -> bool:
    return all(row.verdict in (INSIDE, UNKNOWN) for row in rows)


# -- what may be wrong


def _wrong(arm: Arm, policy: Policy, rows: tuple[Row, ...], fits: tuple[str, ...]) -> list[Finding]:
    """What explains everything at once comes alone; else each joint for itself."""
    if fits:
        names = " and in ".join(fits)
        text = f"every joint fits in {names}: was the policy trained in it? Nothing is chosen for you (--joint-frame)"
        return [Finding("frame", arm.joints, text)]
    units = _units(arm, rows)
    if units:
        return [units]
    outside = [index for index, row in enumerate(rows) if row.verdict == OUTSIDE]
    return [_one(arm, policy, index, rows) for index in outside]


def _units(arm: Arm, rows: tuple[Row, ...]) -> Finding | None:
    """Every joint's range against its reach: seen in any pose, even one in which small numbers look inside."""
    ratios = [
        row.place.range.width / (row.reach[1] - row.reach[0])
        for row in rows
        if row.place.range.known and not row.gripper and math.isfinite(row.reach[1] - row.reach[0])
    ]
    if len(ratios) < 3 or NARROW <= float(np.median(ratios)) <= TIMES:
        return None
    times = float(np.median(ratios))
    size = f"{times:.0f} times wider" if times > 1 else f"{1 / times:.0f} times narrower"
    units = "degrees where this frame gives rad" if times > 1 else "rad where this frame gives degrees"
    text = f"the policy's ranges are {size} than what the arm's joints can do at all: it counts in {units}, it seems"
    return Finding("units", tuple(row.joint for row in rows if not row.gripper), text)


def _one(arm: Arm, policy: Policy, index: int, rows: tuple[Row, ...]) -> Finding:
    row = rows[index]
    causes = _gripper(arm, policy, index) if row.gripper else _joint(arm, policy, index)
    causes += _swapped(arm, policy, index, rows)
    known = row.place.range
    what = f"{row.joint} reads {row.place.value:.1f}, the policy's {known.kind} is {known.low:.1f}..{known.high:.1f}"
    if row.reach[0] - known.margin <= row.place.value <= row.reach[1] + known.margin:
        what += "; it may just stand there"
        causes = [("pose", ""), *causes]
    else:
        what += f"; its own limits are {row.reach[0]:.1f}..{row.reach[1]:.1f}, so it cannot stand there"
    kinds = ", ".join(dict.fromkeys(kind for kind, _ in causes)) or "pose"
    words = ", or if ".join(text for _, text in causes if text)
    return Finding(kinds, (row.joint,), f"{what}. It would fit if {words}" if words else what)


Cause = tuple[str, str]  # kind, words


def _with(arm: Arm, frame: Frame, index: int, value: float) -> float:
    """Joint `index` in the policy's units if it read `value` in SI."""
    pose = arm.measured.copy()
    pose[index] = value
    return float(frame.from_si(pose)[index])


def _joint(arm: Arm, policy: Policy, index: int) -> list[Cause]:
    here, known, causes = float(arm.measured[index]), policy.ranges[index], []
    for turn in QUARTERS:
        value = _with(arm, policy.frame, index, here - math.radians(turn))
        if known.inside(value):
            way = "much" if turn > 0 else "little"
            causes.append(("zero", f"its zero were off and it read {abs(turn)} degrees too {way} (then {value:.1f})"))
    value = _with(arm, policy.frame, index, -here)
    if known.inside(value):
        causes.append(("sign", f"it counted the wrong way (then {value:.1f})"))
    return causes


def _gripper(arm: Arm, policy: Policy, index: int) -> list[Cause]:
    here, known, causes = float(arm.measured[index]), policy.ranges[index], []
    value = _with(arm, policy.frame, index, 1.0 - here)
    if known.inside(value):
        causes.append(("gripper", f"closed and open were exchanged (then {value:.2f})"))
    value = _with(arm, policy.frame, index, here)
    for times, words in ((100.0, "0..100 where this frame gives 0..1"), (0.01, "0..1 where this frame gives 0..100")):
        if known.inside(value * times):
            causes.append(("gripper", f"the policy counted it {words} (then {value * times:.2f})"))
    return causes


def _swapped(arm: Arm, policy: Policy, index: int, rows: tuple[Row, ...]) -> list[Cause]:
    """Two joints of one kind that fit when exchanged, where now at least this one does not."""
    causes = []
    for other, row in enumerate(rows):
        if other == index or row.gripper != rows[index].gripper:
            continue
        pose = arm.measured.copy()
        pose[[index, other]] = pose[[other, index]]
        values = policy.frame.from_si(pose)
        both = all(policy.ranges[place].inside(float(values[place])) for place in (index, other))
        if both and row.verdict == OUTSIDE:  # two that are out and both come in say something, one says nothing
            causes.append(("swapped", f"it were exchanged with {row.joint}, their ids swapped: then both fit"))
    return causes


def _reach(arm: Arm, policy: Policy, index: int, row: Row) -> Finding:
    known, (low, high) = row.place.range, row.reach
    text = (
        f"{row.joint}: {row.unreached:.0%} of the policy's range {known.low:.1f}..{known.high:.1f} is beyond what this "
        f"arm can do ({low:.1f}..{high:.1f})"
    )
    return Finding("reach", (row.joint,), text + _reach_if(arm, policy, index))


def _reach_if(arm: Arm, policy: Policy, index: int) -> str:
    """A quarter turn, or the other sign, that brings the whole range into reach."""
    known, ends = policy.ranges[index], (float(arm.lower[index]), float(arm.upper[index]))
    turns = () if arm.joints[index] in arm.grippers else itertools.product((1, -1), (0, *QUARTERS))
    slack = REACH_TOLD * known.width
    for sign, turn in turns:
        values = [_with(arm, policy.frame, index, sign * end + math.radians(turn)) for end in ends]
        covered = min(values) - slack <= known.low and known.high <= max(values) + slack
        if covered and (sign, turn) != (1, 0):
            words = [f"its zero were {abs(turn)} degrees off"] if turn else []
            words += ["it counted the wrong way"] if sign < 0 else []
            return f": was its whole way calibrated? It is also as if {' and '.join(words)}"
    return ": was its whole way calibrated?"
