"""LeRobot's calibration files: where both generations of it keep them, and their text, byte for byte.

Takes an arm's id and type, gives paths and what is in them; takes a Calibration, gives text. Knows no bus. Where the
folder is: `$HF_LEROBOT_CALIBRATION`, else `$HF_LEROBOT_HOME/calibration`, else under `~/.cache/huggingface`
(LeRobot `utils/constants.py`; `$HF_HOME` moves the cache). Releases until 0.4 had a folder per arm
(`so101_follower`), later ones one for both (`so_follower`): files seemed lost after upgrading.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import CalibrationError, sentence
from firmware_bridge.sts import calibration as calibrations
from firmware_bridge.sts.calibration import Calibration

AUTO, ALWAYS, NEVER = "auto", "always", "never"
NAMELESS = "None"  # what LeRobot calls an arm without --robot.id
# Newest first: what `always` writes into is the first row.
FOLLOWERS = {
    "so101": ("robots/so_follower", "robots/so101_follower"),
    "so100": ("robots/so_follower", "robots/so100_follower"),
}
LEADERS = {
    "so101": ("teleoperators/so_leader", "teleoperators/so101_leader"),
    "so100": ("teleoperators/so_leader", "teleoperators/so100_leader"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """One of LeRobot's files. `calibration` is None where it cannot be used, and `problem` says why."""

    path: Path
    calibration: Calibration | None
    problem: str = ""
    note: str = ""  # what a person should know before taking it


def folder() -> Path:
    """Where LeRobot keeps calibrations on this machine, for this user."""
    if given := os.environ.get("HF_LEROBOT_CALIBRATION"):
        return Path(given).expanduser()
    if home := os.environ.get("HF_LEROBOT_HOME"):
        return Path(home).expanduser() / "calibration"
    cache = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(cache).expanduser() / "lerobot" / "calibration"


def find(id: str, robot: str, joints: Sequence[str], *, leaders: bool = False) -> tuple[Found, ...]:
    """LeRobot's files of the arm `id`, newest generation first; of a nameless arm, where there is none of that id."""
    rows = FOLLOWERS[robot] + (LEADERS[robot] if leaders else ())
    named = tuple(_look(folder() / row / f"{id}.json", joints) for row in rows)
    found = tuple(item for item in named if item is not None)
    if found:
        return found
    nameless = (_look(folder() / row / f"{NAMELESS}.json", joints) for row in FOLLOWERS[robot])
    note = "LeRobot calls it None.json when it was calibrated without --robot.id: it may be of any arm"
    return tuple(dataclasses.replace(item, note=note) for item in nameless if item is not None)


def disagreeing(found: Sequence[Found], calibration: Calibration) -> tuple[str, ...]:
    """Which of LeRobot's files have other numbers than `calibration`, and the first of them, for people."""
    lines = []
    for item in found:
        if item.note:
            continue
        if item.calibration is None:
            lines.append(f"{item.path}: {item.problem}")
        elif different := differences(calibration, item.calibration):
            more = f" and {len(different) - 1} more" if len(different) > 1 else ""
            lines.append(f"{item.path}: {different[0]}{more}")
    return tuple(lines)


def differences(ours: Calibration, other: Calibration) -> tuple[str, ...]:
    """ "elbow_flex homing_offset: 1177, there 12" of each number that differs."""
    lines = []
    for (joint, row), (_, there) in zip(ours.joints, other.joints, strict=True):
        for field in dataclasses.fields(row):
            mine, its = getattr(row, field.name), getattr(there, field.name)
            if mine != its:
                lines.append(f"{joint} {field.name}: {mine}, there {its}")
    return tuple(lines)


def targets(id: str, robot: str, policy: str = AUTO) -> tuple[Path, ...]:
    """LeRobot's files that are to be written too. `policy`: always (those that are there, and the newest release's),
    auto (those that are there: their numbers would be wrong from now on), never.
    """
    if policy == NEVER:
        return ()
    newest, *older = (folder() / row / f"{id}.json" for row in FOLLOWERS[robot])
    wanted = [newest] if policy == ALWAYS or newest.is_file() else []
    return (*wanted, *(path for path in older if path.is_file()))


def text_of(calibration: Calibration) -> str:
    """The file as LeRobot writes it: four spaces, its order of keys, no newline at the end."""
    return json.dumps({name: dataclasses.asdict(joint) for name, joint in calibration.joints}, indent=4)


def _look(path: Path, joints: Sequence[str]) -> Found | None:
    if not path.is_file():
        return None
    try:
        return Found(path, calibrations.load(path, joints))
    except CalibrationError as error:
        return Found(path, None, str(error))


def choose(id: str, robot: str, joints: Sequence[str]) -> Found:
    """The one file that `--from lerobot` means. Raises CalibrationError: none, or several that disagree."""
    found = find(id, robot, joints)
    if not found:
        looked = ", ".join(str(folder() / row / f"{id}.json") for row in FOLLOWERS[robot])
        do = "name the file itself: --from FILE"
        raise CalibrationError(sentence(f"LeRobot has no calibration of {id}", expected=looked, got="no file", do=do))
    first = found[0]
    if first.calibration is None:
        raise CalibrationError(first.problem)
    if others := disagreeing(found[1:], first.calibration):
        do = f"name the file that is meant: --from {first.path}, or the other one"
        raise CalibrationError(
            sentence(
                f"LeRobot's files of {id} disagree",
                expected=f"the numbers of {first.path}",
                got="; ".join(others),
                do=do,
            )
        )
    return first
