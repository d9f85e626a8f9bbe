"""What a policy generated before a chunk, in the chunk's line of a recording: depth codes, discrete tokens, their cost.

Takes a ChunkRecord, gives plain JSON under `depth` or `discrete`, and back. Small beside the chunk's own row: a map of
100 cells is about 1 kB. Lines of recordings without them are as they were.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from episodes.layout import ChunkRecord
from policy_spec.generated import Depth, Discrete

_KINDS: dict[str, tuple[type[Depth] | type[Discrete], dict[str, str]]] = {
    "depth": (Depth, {"codes": "int64", "tokens": "int64", "changed": "bool"}),
    "discrete": (Discrete, {"tokens": "int64"}),
}


def generated_json(record: ChunkRecord) -> dict[str, dict[str, Any]]:
    """What the line gets more, if anything. Masks are the numbers of the cells that are True."""
    out = {}
    for kind in _KINDS:
        what = getattr(record, kind)
        if what is not None:
            out[kind] = {f.name: _plain(getattr(what, f.name)) for f in dataclasses.fields(what)}
    return out


def generated_of(line: Mapping[str, Any]) -> dict[str, Depth | Discrete]:
    """The fields of a ChunkRecord that such a line holds."""
    out: dict[str, Depth | Discrete] = {}
    for kind, (make, arrays) in _KINDS.items():
        if kind in line:
            facts = dict(line[kind])
            for name, dtype in arrays.items():
                facts[name] = _mask(facts, name) if dtype == "bool" else np.asarray(facts[name], dtype)
            out[kind] = make(**facts)
    return out


def _plain(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return np.flatnonzero(value).tolist() if value.dtype == np.bool_ else value.tolist()


def _mask(facts: Mapping[str, Any], name: str) -> np.ndarray:
    out = np.zeros(len(facts["codes"]), np.bool_)
    out[facts[name]] = True
    return out
