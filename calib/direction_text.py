"""What the guided direction test saw, in sentences and as plain data: which way our number and the policy's went.

Takes Directions and the policy's frame. Knows no arm and no person.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from calib.direction_test import LOST, SKIP, UNCLOSED, Directions, Seen
from calib.language import Finding
from calib.moved import OTHER, REVERSED, SEVERAL, WAITING
from policy_spec.frames import Frame

GRIPPER_FIX = "calibrate the arm again, closing and opening the gripper as it says: its drive_mode is wrong"
SIGN_FIX = (
    "the servo sits the other way round: mount it as the assembly guide shows, then calibrate again; "
    "calibrating alone cannot turn it"
)


def lines(found: Directions, joints: tuple[str, ...], frame: Frame) -> list[str]:
    """One line for each joint, then what is wrong."""
    width = max((len(seen.step.joint) for seen in found.seen), default=0)
    said = [f"{seen.step.joint:{width}} {_line(seen, joints, frame)}" for seen in found.seen]
    return said + [f"! {finding.text}" for finding in findings(found, joints, frame)]


def _line(seen: Seen, joints: tuple[str, ...], frame: Frame) -> str:
    if seen.verdict == SKIP:
        return "skipped"
    before, after = policy_numbers(seen, joints, frame)
    word = seen.verdict if seen.good else seen.verdict.upper()
    return f"{seen.step.does}: the policy's number {before:.1f} -> {after:.1f}  {word}"


def policy_numbers(seen: Seen, joints: tuple[str, ...], frame: Frame) -> tuple[float, float]:
    """Before and after, in the policy's units."""
    place, pose = joints.index(seen.step.joint), np.zeros((2, len(joints)))
    pose[:, place] = seen.before, seen.after
    before, after = frame.from_si(pose)[:, place].tolist()
    return before, after


def findings(found: Directions, joints: tuple[str, ...], frame: Frame) -> list[Finding]:
    """Everything that is not good, with what to do."""
    said = [
        Finding("zero", (joint,), f"{joint} reads {math.degrees(value):.0f} degrees off the pose that was drawn: its "
                "zero is off, or its horn sits wrong; calibrate the arm again")
        for joint, value in found.off.items()
    ]  # fmt: skip
    for seen in found.seen:
        if not seen.good:
            said.append(_finding(seen, joints, frame))
    return said


def _finding(seen: Seen, joints: tuple[str, ...], frame: Frame) -> Finding:
    joint, others = seen.step.joint, tuple(name for name in seen.joints if name != seen.step.joint)
    named = ", ".join(others)
    if seen.verdict == REVERSED:
        return _reversed(seen, joints, frame)
    if seen.verdict == OTHER:
        text = f"while {joint} was moved, {named} answered: their ids are swapped; armside setup-motors gives them anew"
        return Finding("swapped", (joint, *others), text)
    kind, text = {
        SEVERAL: ("unclear", f"{joint}: {named} moved as well, so this joint proves nothing; try it alone"),
        WAITING: ("unclear", f"{joint} did not move: nothing is known of its sign"),
        SKIP: ("skipped", f"{joint} was skipped: nothing is known of its sign"),
        LOST: ("lost", f"{joint} does not answer: check its cable"),
        UNCLOSED: ("gripper", f"{joint} reads {100 * seen.before:.0f} % where it is closed: calibrate its whole way"),
    }[seen.verdict]
    return Finding(kind, (joint,), text)


def _reversed(seen: Seen, joints: tuple[str, ...], frame: Frame) -> Finding:
    joint = seen.step.joint
    before, after = policy_numbers(seen, joints, frame)
    went, must = ("up", "down") if after > before else ("down", "up")
    text = (
        f"{joint} is mirrored: when {seen.step.does} the policy's number must go {must}, and it went {went}, from "
        f"{before:.1f} to {after:.1f}; {GRIPPER_FIX if seen.step.gripper else SIGN_FIX}"
    )
    return Finding("gripper" if seen.step.gripper else "sign", (joint,), text)


def to_json(found: Directions, joints: tuple[str, ...], frame: Frame) -> dict[str, Any]:
    """Plain data for programs."""
    rows = []
    for seen in found.seen:
        row: dict[str, Any] = {"joint": seen.step.joint, "asked": seen.step.does, "verdict": seen.verdict}
        if seen.verdict != SKIP:
            row["policy"] = [round(value, 6) for value in policy_numbers(seen, joints, frame)]
            row["moved"] = list(seen.joints)
        rows.append(row)
    said = [dataclasses.asdict(finding) for finding in findings(found, joints, frame)]
    off = {joint: round(math.degrees(value), 2) for joint, value in found.off.items()}
    return {"ok": found.ok, "joints": rows, "off_drawn_pose_deg": off, "findings": said}
