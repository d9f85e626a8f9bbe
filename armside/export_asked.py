"""What an export was asked for, as text: an interrupted one is gone on with by the same question alone.

A checkpoint is known by the names, sizes and times of its shards and by what its other files say; copied elsewhere it
is the same one as long as its times are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from export.build import GraphOptions
from policy_spec.manifest import armside_version
from quant.plan import Plan
from quant.statistics import Statistics

SHARDS = ".safetensors"
SHOWN = 12  # letters of a hash


def asked(
    checkpoint: Path,
    graphs: GraphOptions,
    target: str,
    plan: Plan,
    fast: Path | None = None,
    stats: Statistics | None = None,
) -> dict[str, str]:
    """A flat description; two exports with equal ones write equal bytes."""
    return {
        "armside": armside_version(),
        "checkpoint": known_by(checkpoint),
        "target": target,
        "precision": plan.precision,
        "plan": _digest(json.dumps(asdict(plan), sort_keys=True).encode()),
        "statistics": _statistics(stats),
        "fast tokenizer": "none" if fast is None else _digest(*_contents(fast.iterdir())),
        **{name.replace("_", " "): str(value) for name, value in asdict(graphs).items()},
    }


def known_by(folder: Path) -> str:
    """What a checkpoint is known by: shards by name, size and time of change: gigabytes are not hashed for this."""
    shards = sorted(folder.glob(f"*{SHARDS}"))
    sizes = [path.stat().st_size for path in shards]
    known = [f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}".encode() for path in shards]
    digest = _digest(*known, *_contents(folder.glob("*.json")))
    return f"{len(shards)} shards, {sum(sizes) / 1e9:.2f} GB, {digest}"


def _statistics(stats: Statistics | None) -> str:
    if stats is None:
        return "none"
    parts = [f"{name}:{s.rows}".encode() + s.largest.tobytes() + s.mean_square.tobytes() for name, s in stats.items()]
    return _digest(*sorted(parts))


def _contents(files: Iterable[Path]) -> list[bytes]:
    return [path.name.encode() + b"\0" + path.read_bytes() for path in sorted(files) if path.is_file()]


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:SHOWN]
