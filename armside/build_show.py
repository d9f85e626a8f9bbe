"""What `armside build` says: the plan, what became of each engine, the proof; in words and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from armside.say import size
from edge.checks import Proof
from edge.trt.key import ANY
from edge.trt.make import Asked, Built
from edge.trt.plan import EngineRow
from edge.trt.store import Found
from policy_spec.compare import table

FORMAT = "armside-build"


def say_plan(asked: Asked, found: Sequence[Found]) -> None:
    """A line for each engine, with the reason to build it."""
    place = asked.place
    count = "any number of" if place.multiprocessors == ANY else place.multiprocessors
    gpu = f"compute capability {place.capability}, {count} multiprocessors" if place.capability else "no GPU here"
    print(f"{place.library} {place.version or '(not installed)'} for {gpu}: {asked.folder}")
    for engine in found:
        row = engine.row
        state = "ready" if engine.ready else "; ".join(engine.why)
        print(f"  {row.name}: {_shapes(row)}; about {size(row.build_bytes)} while it is built; {state}")
    if not asked.plan.fits:
        print(
            f"note: {size(asked.plan.free)} are free; an engine may not fit while it is built: close other programs, "
            "or add swap (docs/engines.md)"
        )


def say_built(asked: Asked, built: Sequence[Built]) -> None:
    """What was done."""
    for engine in built:
        what = f"built in {engine.seconds:.1f} s" if engine.why else "was ready"
        print(f"{engine.name}: {what}, {size(engine.bytes)}")


def say_proof(asked: Asked, proof: Proof | None) -> None:
    """The table of stages, or why there is none."""
    if proof is not None:
        print(table(proof.rows))
        print("proved on this computer: every stage gives its golden values")
        return
    print("not proved: these engines are for a GPU that is not here; armside run proves them there before it is ready")


def facts_of(asked: Asked, found: Sequence[Found], built: Sequence[Built], proof: Proof | None) -> dict[str, Any]:
    """The JSON."""
    done = {engine.name: engine for engine in built}
    return {
        "format": FORMAT,
        "version": 1,
        "place": dataclasses.asdict(asked.place),
        "folder": str(asked.folder),
        "ahead": asked.ahead,
        "free_bytes": asked.plan.free,
        "fits": asked.plan.fits,
        "engines": [_engine(engine, done.get(engine.row.name)) for engine in found],
        "proof": None if proof is None else [row.to_json() for row in proof.rows],
    }


def _engine(found: Found, built: Built | None) -> dict[str, Any]:
    row = found.row
    return {
        "name": row.name,
        "graph": row.graph,
        "file": str(found.path),
        "profiles": [dataclasses.asdict(profile) for profile in row.profiles],
        "block": None if row.block is None else [row.block.first, row.block.stop],
        "build_bytes": row.build_bytes,
        "why": list(found.why),
        "built": built is not None and bool(built.why),
        "bytes": None if built is None else built.bytes,
        "seconds": None if built is None else round(built.seconds, 3),
    }


def _shapes(row: EngineRow) -> str:
    """In words."""
    words = [] if row.block is None else [f"layers {row.block.first} to {row.block.stop - 1}"]
    if not row.profiles:
        return ", ".join([*words, "fixed shapes"])
    spans = [f"{p.tokens[0]} to {p.tokens[2]}" if p.tokens[0] < p.tokens[2] else f"{p.tokens[0]}" for p in row.profiles]
    return ", ".join([*words, f"{' and '.join(spans)} tokens"])
