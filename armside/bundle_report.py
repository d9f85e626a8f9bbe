"""`armside report BUNDLE`: the bundle's page with what is measured here: latency, memory, and errors where a reference
bundle is given. Written beside the bundle, which stays as its hashes say.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from armside.bundle_page import (
    SENSITIVITY,
    head_parts,
    parity_parts,
    plan_parts,
    prediction_parts,
    read_prediction,
    sensitivity_parts,
    sensitivity_png,
)
from armside.page import Part, Table, Title, Words, write_page
from armside.say import size

Progress = Callable[[str, int, int], None]  # (stage, done, total)


def report_bundle(args: argparse.Namespace, progress: Progress) -> Path:
    """Measures, writes the page, gives its path. Raises ArmsideError."""
    from armside.compare_all import compare_bundles, options_of
    from armside.compare_page import cost_parts, error_parts, summary
    from policy_spec.bundle import open_bundle

    path = Path(args.run_folder)
    bundle = open_bundle(path)
    parts = head_parts(bundle.manifest)
    parts += [Words(f"{path}: {size(bundle.manifest.total_bytes)} in {len(bundle.manifest.files)} files.")]
    parts += prediction_parts(read_prediction(path))
    if args.against:
        compared = compare_bundles(args.against, path, options_of(args), progress)
        parts += [Title("Measured"), Words(summary(compared)), *error_parts(compared), *cost_parts(compared)]
    else:
        parts += measured_parts(path, args, progress)
    parts += parity_parts(bundle.manifest)
    drawn = path / SENSITIVITY
    picture = sensitivity_png(args.sensitivity) or (drawn.read_bytes() if drawn.is_file() else None)
    parts += sensitivity_parts(picture)
    parts += plan_parts(bundle.manifest)
    out = args.out or path.resolve().with_name(f"{path.resolve().name}.report")
    return write_page(out, parts)[1]


def measured_parts(path: Path, args: argparse.Namespace, progress: Progress) -> list[Part]:
    """Latency of the golden observation on this machine, and memory."""
    from armside.compare_memory import footprint
    from edge.engine import EngineOptions
    from edge.session import Session
    from policy_spec.golden import Golden

    parts: list[Part] = []
    golden = Golden.load(path)
    if args.rounds:
        progress("measure latency", 0, args.rounds)
        took: list[dict[str, float]] = []
        with Session.open(path, norm_tag=golden.tag, engine=EngineOptions(args.threads, args.load)) as session:
            engine = session.engine.name
            for number in range(args.rounds + 1):
                session.reset()
                timings = session.predict(golden.observation, golden.task, golden.seed).timings
                took += [timings] if number else []
                progress("measure latency", number, args.rounds)
        rows = [(stage, [t.get(stage, 0.0) for t in took]) for stage in took[0]]
        rows.append(("whole call", [sum(t.values()) for t in took]))
        cells = tuple(
            (name, *(f"{1e3 * value:.1f}" for value in (np.median(times), max(times)))) for name, times in rows
        )
        words = f"The golden observation on this machine ({engine}), {args.rounds} calls."
        parts += [Title("Latency"), Words(words), Table(("stage", "median ms", "worst ms"), cells)]
    if not args.no_memory:
        progress("measure memory", 0, 1)
        foot = footprint(path, args.threads, args.load)
        row = (size(foot.resident), size(foot.peak), size(foot.before))
        words = "Opened and asked once, in a process of its own; the whole process."
        columns = ("after a call", "at the peak", "without a bundle")
        parts += [Title("Memory"), Words(words), Table(columns, (row,))]
    return parts
