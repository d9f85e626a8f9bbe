"""The key of a built engine: all that it depends on, as JSON beside it. A stale key says exactly which part differs.

Takes and gives plain facts. Knows nothing of TensorRT and of files but their names.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.trt.plan import EngineRow

FORMAT = 1
ANY = 0  # multiprocessors: of an engine that was built ahead of time for all GPUs of a compute capability

WORDS = {  # of each part, for a person
    "format": "form of the key",
    "graph": "the graph's files (the bundle was exported again)",
    "library": "library",
    "version": "version",
    "capability": "compute capability of the GPU",
    "multiprocessors": "number of the GPU's multiprocessors",
    "profiles": "shapes that it was built for",
    "block": "layers of the language model in it",
    "flags": "builder flags",
}


@dataclass(frozen=True, slots=True)
class Place:
    """What builds and runs: the same for all engines of a bundle."""

    library: str  # import name
    version: str
    capability: str  # "8.7"
    multiprocessors: int  # ANY: built ahead of time
    flags: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Name of the folder of engines for such a place; other versions share it, and are stale there."""
        gpu = f"sm{self.capability.replace('.', '')}" if self.capability else "no-gpu"  # of a dry run
        return f"{self.library}-{gpu}"


@dataclass(frozen=True, slots=True)
class Key:
    """Everything that an engine was built from and for."""

    graph: str  # digest of the ONNX file, its weights, its inputs and outputs
    library: str
    version: str
    capability: str
    multiprocessors: int
    flags: tuple[str, ...]
    profiles: tuple[tuple[Any, ...], ...]
    block: tuple[int, ...]  # first layer, stop, layers; empty: the whole graph
    format: int = FORMAT

    @classmethod
    def of(cls, row: EngineRow, place: Place) -> Key:
        """What the key of this engine must be, there."""
        return cls(
            graph=row.digest,
            library=place.library,
            version=place.version,
            capability=place.capability,
            multiprocessors=place.multiprocessors,
            flags=place.flags,
            profiles=tuple((p.name, *p.tokens, *p.rows) for p in row.profiles),
            block=() if row.block is None else (row.block.first, row.block.stop, row.block.layers),
        )

    def to_json(self) -> str:
        """The text of NAME.json beside NAME.engine."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"


def read(text: str) -> Mapping[str, Any]:
    """A key as it was written, {} for what is none: a damaged key is a stale one."""
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def stale(written: Mapping[str, Any], wanted: Key) -> tuple[str, ...]:
    """Why an engine of that key cannot be used, part by part; empty: it can."""
    if not written:
        return ("its key cannot be read",)
    now = json.loads(wanted.to_json())
    found = []
    for part, value in now.items():
        was = written.get(part)
        if part == "multiprocessors" and was == ANY:
            continue
        if was != value:
            found.append(f"{WORDS[part]}: it was {_short(part, was)}, and is {_short(part, value)} now")
    return tuple(found)


def _short(part: str, value: object) -> object:
    """A digest by its beginning."""
    return value[:12] if part == "graph" and isinstance(value, str) else value
