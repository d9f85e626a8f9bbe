"""A YAM's calibration goes into its file, with its side file, both or neither; and what changes is shown before.

Takes an Outcome, gives lines for people. The motors are not touched. Asks nothing.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from calib.held_signals import held_signals
from calib.provenance import Provenance, path_beside
from calib.store import Staged, discard, put, stage, undo
from firmware_bridge.damiao.calibration import Calibration, GripperCalibration, JointCalibration, Row
from firmware_bridge.errors import CalibrationError, sentence


def compare(old: Calibration | None, new: Calibration) -> str:
    """Old beside new, a line per joint."""
    width = max(len(name) for name, _ in new.joints)
    before = dict(old.joints) if old is not None else {}
    head = f"{'joint':<{width}}  {'old':>24}  {'new':>24}"
    rows = [f"{name:<{width}}  {_told(before.get(name)):>24}  {_told(row):>24}" for name, row in new.joints]
    lines = [head, *rows, "rad of each motor: zero, or closed .. open"]
    if old is not None and old.gripper.name != new.gripper.name:
        lines.append(f"gripper: {old.gripper.name} before, {new.gripper.name} now")
    return "\n".join(lines)


def save(new: Calibration, provenance: Provenance, path: Path) -> str:
    """Both files are the new ones, or as they were; what was written. Raises CalibrationError."""
    side = path_beside(path)
    with contextlib.ExitStack() as stack:
        staged: list[Staged] = []
        for target, text in ((path, new.to_json()), (side, provenance.to_json())):
            staged.append(stage(target, text.encode()))
            stack.callback(discard, staged[-1])
        with held_signals():
            _put_all(staged)
    return f"written: {path}\nwritten: {side}"


def _put_all(staged: list[Staged]) -> None:
    try:
        for one in staged:
            put(one)
    except OSError as error:
        left = "; ".join(filter(None, (undo(one) for one in staged)))
        do = "make the folder writable, then again"
        raise CalibrationError(sentence("the files cannot be put in place", got=left or error, do=do)) from error


def _told(row: Row | None) -> str:
    if isinstance(row, JointCalibration):
        return f"{row.zero:+.4f}"
    if isinstance(row, GripperCalibration):
        return f"{row.closed:+.3f} .. {row.open:+.3f}"
    return "-"
