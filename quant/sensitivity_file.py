"""A measured sensitivity as JSON: written once it is whole, read back by whoever makes a plan of it.

Says which checkpoint, which samples (with hashes and why each was chosen) and what each part lost, and what a robot
would feel of that: joints with their units. Numbers of programs; for people there are a table and a plot.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_spec.errors import UsageError, sentence
from quant.loss import Measured
from quant.plan import Plan
from quant.precisions import FLOATS

FORMAT, VERSION = "armside-sensitivity", 1
_TUPLES = ("kv", "joints")


@dataclass(frozen=True, slots=True)
class Joint:
    """One column of a chunk."""

    name: str
    unit: str
    per_one: float  # units per normalised 1


@dataclass(frozen=True, slots=True)
class Told:
    """One sample, in words."""

    place: str
    why: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """One measurement."""

    checkpoint: str  # its name, and what it is known by
    source: str  # of the samples
    sha256: str  # of the set
    samples: tuple[Told, ...]
    joints: tuple[Joint, ...]
    layers: int  # of the language model, whose K and V the expert reads
    flow: float  # flow-matching loss of the float model
    recorded: bool  # whether its target is what was recorded; else the float model's own chunk
    control: float  # how far another noise seed moves the float model's chunk, normalised, at least
    rows: tuple[Measured, ...]

    def find(self, part: str, scheme: str) -> Measured | None:
        """What was measured of a part in a scheme."""
        return next((row for row in self.rows if row.key == (part, scheme)), None)

    def amount(self, row: Measured) -> str:
        """The largest action difference in the unit of its joint."""
        joint = self.joints[row.action_joint]
        return f"{row.action_worst * joint.per_one:.2g} {joint.unit}".strip()

    def words(self, row: Measured) -> str:
        """The reason that a plan quotes."""
        joint = self.joints[row.action_joint]
        kv = f"K/V error {100 * row.kv_worst:.2g} % worst layer {row.kv_layer}, " if row.kv_worst > 0 else ""
        action = f"action {self.amount(row)} ({joint.name}) worst sample {row.action_sample}"
        return f"measured alone: {kv}{action}: {row.scheme}"

    def loss(self, plan: Plan) -> float | None:
        """What a plan loses by these numbers: the sum of its parts' mean action differences, normalised; None where
        a part was not measured. Float types count as nothing.
        """
        total = 0.0
        for choice in plan.choices:
            if choice.scheme in FLOATS:
                continue
            row = self.find(choice.group, choice.scheme)
            if row is None:
                return None
            total += row.action_mean
        return total

    def to_json(self) -> dict[str, Any]:
        """What `read_sensitivity` reads."""
        return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}


def read_sensitivity(path: Path) -> Sensitivity:
    """Raises UsageError where the file is no such measurement."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("format") != FORMAT or data.get("version") != VERSION:
            raise ValueError(f"format {data.get('format')!r}, version {data.get('version')!r}")
        parts: dict[str, Any] = {
            "samples": tuple(Told(**entry) for entry in data["samples"]),
            "joints": tuple(Joint(**entry) for entry in data["joints"]),
            "rows": tuple(measured_of(entry) for entry in data["rows"]),
        }
        facts = {key: value for key, value in data.items() if key not in ("format", "version", *parts)}
        return Sensitivity(**facts, **parts)
    except OSError as error:
        raise UsageError(sentence(f"{path} cannot be read", got=error.strerror)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            sentence(
                f"{path} holds no measured sensitivity",
                expected=f"{FORMAT}, version {VERSION}",
                got=error,
                do="make one with armside quant sensitivity",
            )
        ) from error


def measured_of(entry: dict[str, Any]) -> Measured:
    """One row of parsed JSON."""
    known: dict[str, Any] = {key: tuple(value) if key in _TUPLES else value for key, value in entry.items()}
    return Measured(**known)
