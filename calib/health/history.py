"""Checks of the same arm from before: kept as JSON by date, and what has changed since the last one.

Takes a folder and a Health. A file of another arm, or of no check, is refused by name; a bare type of arm without
an id is compared only with the same calibration, since two arms share its folder.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calib.health.levels import CHECKS
from calib.health.result import FORMAT, VERSION, Health, to_json
from calib.health.verdict import unit_of
from firmware_bridge.errors import CalibrationError, sentence


@dataclass(frozen=True, slots=True)
class Before:
    """What a saved check is compared by."""

    when: str
    fingerprint: str
    numbers: Mapping[str, Mapping[str, float]]  # joint -> key -> value


def load(path: Path) -> Before:
    """The check saved at `path`. Raises CalibrationError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CalibrationError(sentence(f"the check {path} cannot be read", expected="JSON", got=error)) from error
    kind = (data.get("format"), data.get("version")) if isinstance(data, dict) else None
    if kind != (FORMAT, VERSION):
        do = "compare with a check of this version of Armside"
        raise CalibrationError(sentence(f"{path}", expected=f"{FORMAT} version {VERSION}", got=kind, do=do))
    try:
        return _before(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise CalibrationError(sentence(f"the check {path}", expected="all its fields", got=repr(error))) from error


def _before(data: Mapping[str, Any]) -> Before:
    numbers = {
        str(row["joint"]): {key: float(value) for key, value in row.items() if isinstance(value, int | float)}
        for row in data["joints"]
    }
    return Before(str(data["facts"]["when"]), str(data["facts"]["fingerprint"]), numbers)


def last(folder: Path, fingerprint: str = "") -> Before | None:
    """The newest readable check in `folder`; with `fingerprint`, of that calibration."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            found = load(path)
        except CalibrationError:
            continue  # of another version, or half a file: older ones may do
        if fingerprint in ("", found.fingerprint):
            return found
    return None


def compared(health: Health, before: Before | None) -> Health:
    """With what changed by more than noise since `before`."""
    if before is None:
        return health
    changes = []
    for joint in health.joints:
        for check in CHECKS[health.facts.family]:
            now, then = getattr(joint, check.key), before.numbers.get(joint.joint, {}).get(check.key)
            if now is None or then is None or abs(now - then) < check.notable:
                continue
            unit = unit_of(check, joint)
            changes.append(f"{joint.joint}: {check.words} {then:.{check.digits}f} -> {now:.{check.digits}f} {unit}")
    return dataclasses.replace(health, changes=tuple(changes), before=before.when)


def save(folder: Path, health: Health) -> Path:
    """Write it under its date, whole or not at all; the path."""
    folder.mkdir(parents=True, exist_ok=True)
    name = health.facts.when.replace(":", "-")
    path = folder / f"{name}.json"
    write(path, health)
    return path


def write(path: Path, health: Health) -> None:
    """The JSON of `health` to `path`, whole or not at all. Raises OSError."""
    half = path.with_name(f".{path.name}.part")
    try:
        half.write_text(to_json(health), encoding="utf-8")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
