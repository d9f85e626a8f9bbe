"""Do file, servo memory and mechanics of an arm agree: read once, compared joint by joint. Writes nothing.

Takes a Bus for `look`, and for `compare` what was seen and the files; gives one Comparison, for people and programs.
Two requests to all servos at once: some milliseconds. Raises nothing for what it finds: a silent servo is a row too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calib.provenance import Provenance
from calib.sts import eeprom
from calib.sts.eeprom import CALIBRATED
from firmware_bridge.robot import Robot
from firmware_bridge.sts import plausible
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.registers import EEPROM_SIZE, MULTI_TURN_BIT, REGISTERS
from firmware_bridge.sts.robots import SHIPPED, servos_of
from firmware_bridge.sts.scan import probe_echo
from firmware_bridge.sts.travel import DEGREES_PER_TICK, TRAVEL

FIELDS = dict(zip(CALIBRATED, ("homing_offset", "range_min", "range_max"), strict=True))
LOOKED_AT = (*eeprom.CHANGED, "ID", "Model_Number", "Firmware_Major_Version", "Firmware_Minor_Version")
SILENT = "does not answer"


@dataclass(frozen=True, slots=True)
class Looked:
    """One servo: registers of its memory and where it stands; None: it did not answer."""

    registers: Mapping[str, int] | None
    position: int | None  # ticks


@dataclass(frozen=True, slots=True)
class JointRow:
    """One joint. `registers`: name -> (file, servo); servo None: silent."""

    joint: str
    id: int
    registers: Mapping[str, tuple[int, int | None]]
    position: int | None  # ticks
    width_deg: float  # of the file's range
    expected_deg: tuple[float, float] | None  # None: turns freely
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it; `problems` are those that no single joint has."""

    rows: tuple[JointRow, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems and not any(row.problems for row in self.rows)

    def data(self) -> dict[str, Any]:
        """For programs."""
        rows = {}
        for row in self.rows:
            plain = dataclasses.asdict(row)
            plain["registers"] = {name: {"file": ours, "servo": its} for name, (ours, its) in row.registers.items()}
            rows[plain.pop("joint")] = plain
        return {"ok": self.ok, "joints": rows, "problems": list(self.problems), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class Files:
    """What the arm's files say. `side_problem`: why the side file cannot be used."""

    calibration: Calibration
    provenance: Provenance | None = None
    side_problem: str = ""
    lerobot: tuple[str, ...] = ()  # copies that disagree: lerobot_files.disagreeing


def look(bus: Bus, calibration: Calibration) -> dict[str, Looked]:
    """What the servos hold and where they stand, by joint. Raises PortLost only."""
    probe_echo(bus)
    ids = {name: row.id for name, row in calibration.joints}
    memory = bus.sync_read(0, EEPROM_SIZE, tuple(ids.values())).frames
    present = REGISTERS["Present_Position"]
    places = bus.sync_read(present.address, present.length, tuple(ids.values())).frames
    found = {}
    for name, servo in ids.items():
        registers = None
        if servo in memory:
            image = memory[servo].data
            registers = {key: REGISTERS[key].decode(image[REGISTERS[key].address :]) for key in LOOKED_AT}
        found[name] = Looked(registers, present.decode(places[servo].data) if servo in places else None)
    return found


def compare(robot: Robot, files: Files, seen: Mapping[str, Looked], *, mechanics: bool = True) -> Comparison:
    """Everything that does not fit together. `mechanics`: also with what such an arm can do."""
    calibration = files.calibration
    found: dict[str, list[str]] = {name: [] for name, _ in calibration.joints}
    if mechanics:
        places = {name: item.position for name, item in seen.items() if item.position is not None}
        for problem in (*plausible.problems(calibration, robot.grippers), *_standing(places, calibration, seen)):
            found[problem.joint].append(str(problem).removeprefix(f"{problem.joint}: "))
    rows = []
    for name, row in calibration.joints:
        held = seen[name].registers
        pairs = {
            register: (getattr(row, field), None if held is None else held[register])
            for register, field in FIELDS.items()
        }
        travel = TRAVEL.get(name)
        expected = None if travel is None or travel.free else (travel.narrowest, travel.widest)
        width = (row.range_max - row.range_min) * DEGREES_PER_TICK
        words = (*_words(robot, pairs, held), *found[name])
        rows.append(JointRow(name, row.id, pairs, seen[name].position, width, expected, words))
    return Comparison(tuple(rows), _problems(files, rows), _notes(files, rows, seen))


# -- inside


def _standing(
    places: Mapping[str, int], calibration: Calibration, seen: Mapping[str, Looked]
) -> tuple[plausible.Problem, ...]:
    """Only where servo and file share a zero: else the position means something else."""
    same = {
        name: ticks
        for name, ticks in places.items()
        if (held := seen[name].registers) and held["Homing_Offset"] == calibration[name].homing_offset
    }
    return plausible.standing(same, calibration)


def _words(robot: Robot, pairs: Mapping[str, tuple[int, int | None]], held: Mapping[str, int] | None) -> list[str]:
    if held is None:
        return [SILENT]
    words = [f"{name}: file {ours}, servo {its}" for name, (ours, its) in pairs.items() if ours != its]
    model = servos_of(robot).model
    if held["Model_Number"] != model:
        words.append(f"model {held['Model_Number']}, expected {model}")
    if held["Operating_Mode"]:
        words.append(f"Operating_Mode {held['Operating_Mode']}, expected 0")
    if held["Phase"] & MULTI_TURN_BIT:
        words.append("counts on beyond a turn (Phase), expected one turn")
    return words


def _problems(files: Files, rows: Sequence[JointRow]) -> tuple[str, ...]:
    words = []
    silent = [row.joint for row in rows if SILENT in row.problems]
    differing = [row for row in rows if any(its not in (None, ours) for ours, its in row.registers.values())]
    if silent:
        words.append(f"no answer from {', '.join(silent)}: check power and cables")
    if differing and len(differing) == len(rows):
        words.append("every joint differs: this is another arm's file, or the arm was calibrated elsewhere since")
    elif differing:
        names = ", ".join(row.joint for row in differing)
        verb = "differs" if len(differing) == 1 else "differ"
        words.append(f"{names} {verb}: a servo was exchanged, or a calibration broke off; calibrate again")
    provenance = files.provenance
    if provenance is not None and provenance.eeprom and not silent:
        got = eeprom.fingerprint({row.joint: (row.id, _held(row)) for row in rows})
        if got != provenance.eeprom and not differing:
            when = f"of {provenance.date} ({provenance.mode})"
            words.append(
                f"the side file is of other numbers: it says {provenance.eeprom} {when}, the servos hold {got}"
            )
    return (*words, *(f"LeRobot's copy disagrees: {line}" for line in files.lerobot))


def _held(row: JointRow) -> dict[str, int]:
    return {name: its for name, (_, its) in row.registers.items() if its is not None}


def _notes(files: Files, rows: Sequence[JointRow], seen: Mapping[str, Looked]) -> tuple[str, ...]:
    notes = []
    if files.side_problem:
        notes.append(files.side_problem)
    elif files.provenance is None and files.calibration.source != SHIPPED:
        notes.append("no side file: nobody wrote down when and how this arm was calibrated")
    elif (item := files.provenance) is not None:
        notes.append(f"calibrated {item.date}, {item.mode}, armside {item.armside}")
    versions = {
        f"{held['Firmware_Major_Version']}.{held['Firmware_Minor_Version']}"
        for row in rows
        if (held := seen[row.joint].registers) is not None
    }
    if len(versions) > 1:
        notes.append(f"servos of different firmware ({', '.join(sorted(versions))}): LeRobot refuses such an arm")
    return tuple(notes)
