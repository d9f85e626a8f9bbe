"""A calibration goes into the servos and into its files, all of it or nothing; and what a crash left is undone.

Takes a Bus, a Calibration and where it goes; gives lines for people. Order: every file is written and synced beside its
target, the journal is written, the EEPROM is changed as a transaction (eeprom.py), the files are renamed into
place, the journal goes. Asks nothing, judges no numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calib.provenance import Provenance
from firmware_bridge.robot import Robot
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration


@dataclass(frozen=True, slots=True)
class Where:
    """The files of one arm."""

    calibration: Path
    lerobot: tuple[Path, ...]  # copies for LeRobot: lerobot_files.targets
    journal: Path  # what a broken-off change left; outlives the process

    @property
    def provenance(self) -> Path:
        """The side file."""
        return self.calibration.with_name(f"{self.calibration.stem}.provenance.json")


def save(bus: Bus, robot: Robot, calibration: Calibration, provenance: Provenance, where: Where) -> tuple[str, ...]:
    """Servos and files hold this calibration, or all are as they were; what was written, for people.

    The arm must be limp. Raises EepromError (nothing changed, or the text says what is left), CalibrationError (a file
    cannot be written; nothing changed), ServoError.
    """
    raise NotImplementedError


def recover(bus: Bus, where: Where) -> str:
    """What a broken-off change had left and how it was undone; "" when there was nothing. Every flow's first call.

    Raises EepromError when it cannot: the journal stays.
    """
    raise NotImplementedError
