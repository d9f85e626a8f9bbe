"""For tests of saving: where an arm's files go, what they are to hold, and what both hold afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from calib.provenance import Provenance
from calib.sts import eeprom
from calib.sts.save import Where
from firmware_bridge.robots import find
from firmware_bridge.sts import calibration as calibrations
from firmware_bridge.sts.bus import Bus, Patience
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.robots import shipped_calibration

ROBOT = find("so101")
SHIPPED = shipped_calibration(ROBOT)
DATA = Path(__file__).parent / "data"
BLUE = calibrations.load(DATA / "blue.json", ROBOT.joints)
GREEN = calibrations.load(DATA / "green.json", ROBOT.joints)
PROVENANCE = Provenance("pose", "so101", "/dev/ttyACM0", "1.0", "2026-01-02T03:04:05+00:00")


def where_in(folder: Path, lerobot: bool = True) -> Where:
    """The files of one arm, all in `folder`."""
    copies = (folder / "lerobot" / "blue.json",) if lerobot else ()
    return Where(folder / "config" / "blue.json", copies, folder / "state" / "blue.eeprom.json")


def bus_to(path: str) -> Bus:
    """A host's bus, patient with a busy machine, quick to give up on a servo that is gone."""
    return Bus(SerialLine(path), Patience(reply_timeout_s=0.1, unicast_timeout_s=0.05))


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Servos that are gone here are gone at once and stay silent: no late answers to wait for."""
    patch.setattr(eeprom, "PAUSE_S", 0.002)
    patch.setattr(eeprom, "TRIES", 2)
    for name in ("SETTLE_S", "QUARANTINE_S"):
        patch.setattr(f"firmware_bridge.sts.bus.{name}", 0.005)
    patch.setattr(Bus.settle, "__defaults__", (0.005,))


def registers_of(calibration: Calibration) -> dict[str, dict[str, int]]:
    """What the servos hold under `calibration`."""
    return {
        name: {
            "Homing_Offset": joint.homing_offset,
            "Min_Position_Limit": joint.range_min,
            "Max_Position_Limit": joint.range_max,
        }
        for name, joint in calibration.joints
    }


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def write_file(path: Path, calibration: Calibration) -> Path:
    """As LeRobot would."""
    from calib.lerobot_files import text_of

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(calibration))
    return path
