"""The TensorRT engines of a bundle as one more way, through the same Session as on a Jetson.

Takes a bundle of the shapes that are measured, whose engines `armside build` has made on this machine; gives times of
its golden call, or in words why there are none. Nothing of the TensorRT family is imported unless it runs.
"""

from __future__ import annotations

import importlib.util
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.gpu.timing import Progress, Times
from bench.gpu.ways import Choices

TARGETS = {"tensorrt": "tensorrt", "tensorrt_rtx": "rtx"}  # library: --target of armside build
HOST = ("prepare", "patches", "finish")  # stages of a call that no engine runs


def measured(bundle: Path | None, choices: Choices, progress: Progress) -> dict[str, Any]:
    """By library: times, or {"skipped": why}."""
    found = [name for name in TARGETS if importlib.util.find_spec(name) is not None]
    why = ""
    if not found:
        why = f"none of {', '.join(TARGETS)} is installed"
    elif choices.device.type != "cuda":
        why = "no CUDA device"
    elif bundle is None:
        why = "no --bundle was given"
    if why or bundle is None:
        return {"skipped": why}
    return {name: one(bundle, name, choices.rounds, progress) for name in found}


def one(bundle: Path, engine: str, rounds: int, progress: Progress) -> dict[str, Any]:
    """Opened, which proves every stage against the bundle's golden values, then timed."""
    from edge.engine import EngineOptions
    from edge.session import Session
    from policy_spec.errors import ArmsideError
    from policy_spec.golden import Golden

    progress(f"{engine}: opening {bundle}")
    try:
        with Session.open(bundle, engine=EngineOptions(engine=engine)) as session:
            golden, took = Golden.load(session.bundle.path), list[float]()
            for number in range(rounds + 1):
                timings = session.predict(golden.observation, golden.task, golden.seed).timings
                if number:
                    took.append(sum(s for stage, s in timings.items() if stage not in HOST))
            return {"ms": asdict(Times.of(took)), "engine": session.engine.name, "golden": str(session.ready.golden)}
    except ArmsideError as error:
        return {"skipped": f"{error} (armside build {bundle} --target {TARGETS[engine]} makes the engines)"}


def text(result: dict[str, Any]) -> str:
    """A line for each library."""
    if "skipped" in result:
        return f"TensorRT: not run, {result['skipped']}."
    lines = []
    for name, made in result.items():
        if "skipped" in made:
            lines.append(f"{name}: not run, {made['skipped']}")
        else:
            ms = made["ms"]
            lines.append(f"{name}: {ms['p50']:.2f} ms (p90 {ms['p90']:.2f}); {made['engine']}; golden {made['golden']}")
    return "\n\n".join(lines)
