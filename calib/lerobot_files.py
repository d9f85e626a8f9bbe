"""LeRobot's calibration files: where both generations keep them, and their text, byte for byte.

Takes an arm's id and type, gives paths; takes a Calibration, gives text. Knows no bus.
"""

from __future__ import annotations

from pathlib import Path

from firmware_bridge.sts.calibration import Calibration


def text_of(calibration: Calibration) -> str:
    """The file as LeRobot writes it."""
    raise NotImplementedError


def targets(id: str, robot: str, policy: str = "auto") -> tuple[Path, ...]:
    """LeRobot's files that are to be written too. `policy`: auto (those that are there), always, never."""
    raise NotImplementedError
