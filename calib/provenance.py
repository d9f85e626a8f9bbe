"""Where a calibration came from: the side file beside it, `<name>.provenance.json`, read and written.

Takes and gives one frozen dataclass: when, how, with which servos, how well each joint was swept, and a fingerprint of
what the servos held afterwards. Knows no bus. A side file that is missing or spoilt never keeps anybody from
reading the calibration itself.

Versions: a reader takes every key that it knows, keeps the others in `extra` and writes them back where they were, and
refuses only a file that says another `format`. A newer file is therefore readable here, a newer program's keys survive
being rewritten by this one, and a key that an older file lacks has its default.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_bridge.errors import CalibrationError, sentence

FORMAT = "armside-calibration-provenance"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Swept:
    """How well one joint was swept."""

    ticks: int  # from one end to the other
    samples: int  # readings
    width_deg: float
    expected_deg: tuple[float, float] | None  # narrowest and widest that is accepted; None: turns freely
    reached: tuple[int, int]  # how often the lower and the upper end was reached


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is known of one calibration. `save` fills in what it reads from the servos: firmware, model, eeprom."""

    mode: str  # "mechanical", "half-turn", "pose", "taken over"
    robot: str  # "so101"
    port: str
    armside: str  # version of the program
    date: str  # ISO 8601, with its zone
    sweep: Mapping[str, Swept] = field(default_factory=dict)  # joint -> how well
    directions: Mapping[str, str] = field(default_factory=dict)  # joint -> what the direction test found
    horns: Mapping[str, float] = field(default_factory=dict)  # joint -> degrees that its horn sits off
    source: str = ""  # the file that was taken over
    firmware: Mapping[str, str] = field(default_factory=dict)  # joint -> "3.6"
    model: str = ""  # "777"
    eeprom: str = ""  # fingerprint of the calibration as the servos held it
    details: Mapping[str, Any] = field(default_factory=dict)  # plain JSON of one mode or one family
    extra: Mapping[str, Any] = field(default_factory=dict)  # keys of a newer program, kept

    def to_json(self) -> str:
        """The side file's text."""
        known = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "extra"}
        known["sweep"] = {joint: dataclasses.asdict(row) for joint, row in self.sweep.items()}
        return json.dumps({"format": FORMAT, "version": VERSION, **known, **self.extra}, indent=4) + "\n"


def path_beside(calibration: Path) -> Path:
    """The side file of a calibration file."""
    return calibration.with_name(f"{calibration.stem}.provenance.json")


def load(path: Path) -> Provenance | None:
    """The side file, None where there is none. Raises CalibrationError for one that cannot be used."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _spoilt(path, error) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _spoilt(path, data.get("format") if isinstance(data, dict) else type(data).__name__)
    try:
        return _build(data)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _spoilt(path, error) from error


def _spoilt(path: Path, got: object) -> CalibrationError:
    do = f"the calibration itself is not touched by this; delete {path}, or calibrate again"
    return CalibrationError(sentence(f"the side file {path} cannot be used", expected=FORMAT, got=got, do=do))


def _build(data: dict[str, Any]) -> Provenance:
    known = {item.name for item in dataclasses.fields(Provenance)} - {"extra"}
    plain = {key: value for key, value in data.items() if key in known}
    for item in dataclasses.fields(Provenance):
        if item.name not in plain:
            continue
        wanted = str if item.type == "str" else Mapping
        if not isinstance(plain[item.name], wanted):
            raise TypeError(f"{item.name}: {plain[item.name]!r}")
    if "sweep" in plain:
        plain["sweep"] = {joint: _swept(row) for joint, row in plain["sweep"].items()}
    extra = {key: value for key, value in data.items() if key not in known and key not in ("format", "version")}
    return Provenance(**plain, extra=extra)


def _swept(row: dict[str, Any]) -> Swept:
    """A newer program's keys are left out."""
    expected = row["expected_deg"]
    return Swept(
        ticks=int(row["ticks"]),
        samples=int(row["samples"]),
        width_deg=float(row["width_deg"]),
        expected_deg=None if expected is None else (float(expected[0]), float(expected[1])),
        reached=(int(row["reached"][0]), int(row["reached"][1])),
    )
