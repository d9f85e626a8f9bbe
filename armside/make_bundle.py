"""checkpoint -> bundle: the road through export and quant, checked at each door, written whole or not at all.

Joins what may not know each other: export (graphs that agree with the model), quant (a plan's schemes) and the bundle.
Weights go from the shards through the plan to the bundle, a layer at a time. What an interruption left is gone on with.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from armside.bundle_page import PREDICTION, SENSITIVITY, bundle_parts, sensitivity_png
from armside.export_asked import asked
from armside.export_samples import Wish, calibrate
from armside.fast_files import copy_fast, fast_files
from armside.page import markdown, to_html
from armside.plan_choice import Wanted, plan_export
from armside.prove_bundle import Place, choose_way, prove
from armside.stream_bundle import Recipe, Written, float_bytes, lazy_graphs, write_bundle, write_twin
from armside.variant_words import notes_on
from export import build, hub
from export.journal import Journal
from export.layerwise import LayerError
from export.trt_lint import Place as TensorRT
from policy_spec.arms import arms_of
from policy_spec.bundle import BundleWriter
from policy_spec.compare import Row
from policy_spec.graphs import graph_specs
from policy_spec.manifest import GraphFile, Manifest, PlanEntry, Source
from quant.targets import check_target

Progress = Callable[[str, int, int], None]  # (stage, done, total)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What `armside export` was asked for."""

    checkpoint: str  # a directory or a hub id
    bundle: Path
    target: str = "x86-cpu"
    precision: str = "int8"
    revision: str | None = None
    graphs: build.GraphOptions = field(default_factory=build.GraphOptions)
    overwrite: bool = False
    fast_tokenizer: Path | None = None  # a folder; mode discrete needs one, the others take none
    verify: str = "auto"  # one of prove_bundle.WAYS
    fresh: bool = False  # forget what an interrupted export left
    plan: Path | None = None  # a plan of one's own, in place of a precision
    sensitivity: Path | None = None  # measured losses, for --precision auto
    calibration: Wish = field(default_factory=Wish)  # samples, for schemes that are fitted to activations


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written."""

    path: Path
    manifest: Manifest
    seconds: float
    notes: tuple[str, ...]  # what a person should know of it beside the numbers
    layers: tuple[LayerError, ...] = ()  # of the bundle, where it was verified layer by layer
    resumed: int = 0  # files of weights that an interrupted export had finished


def export_bundle(options: ExportOptions, progress: Progress) -> ExportResult:
    """Makes the bundle. Raises ArmsideError: then nothing stays, but for a full disk. An interruption of any kind
    leaves `BUNDLE.partial`, from which the same options go on at the last finished layer.
    """
    start = time.monotonic()
    target = check_target(options.target, options.precision)
    fast = fast_files(options)
    progress("find checkpoint", 0, 1)
    resolved = hub.resolve_checkpoint(options.checkpoint, revision=options.revision)
    planned = plan_export(
        resolved.path,
        options.graphs,
        Wanted(options.target, options.precision, options.plan, options.calibration.given, options.sensitivity),
    )
    options = replace(options, precision=planned.plan.precision)
    extras = Extras(planned.prediction, sensitivity_png(options.sensitivity))
    job = build.open_job(resolved.path, options.graphs, progress)
    fitted = calibrate(options.calibration, job, planned.plan, options.bundle, progress)
    place = TensorRT(tuple(row.tensorrt for row in target.software if row.tensorrt), target.capability)
    recipe = Recipe(planned.plan, fitted.stats, target.form, place)
    with BundleWriter(options.bundle, overwrite=options.overwrite, resume=True) as out:
        if options.fresh:
            out.clear()
        question = asked(resolved.path, options.graphs, options.target, recipe.plan, fast, recipe.stats)
        journal = Journal(out.work, out.directory, question)
        out.claim()
        build.write_facts(job, out.directory)
        copy_fast(fast, resolved.path, out.directory)
        models = lazy_graphs(job)
        way = choose_way(options.verify, float_bytes(models))
        written = write_bundle(models, recipe, out.directory, journal, progress)
        twin = write_twin(job, recipe, out.work / "emulated", journal, progress)
        runnable, odd = twin or (out.directory, ())
        proof = prove(job, Place(runnable, out.work, journal), options.precision, way, progress)
        proof.golden.save(out.directory)
        source = Source(resolved.source, resolved.revision)
        manifest = replace(make_manifest(options, source, job, written, proof.rows), calibration=fitted.record)
        notes = (*notes_on(job.spec, manifest, proof.golden, out.directory), *planned.notes, *fitted.notes, *odd)
        write_reports(out.directory, manifest, notes, proof.layers, extras)
        progress("hash and flush", 0, 1)
        manifest = out.commit(manifest)
    took = time.monotonic() - start
    return ExportResult(options.bundle, manifest, took, notes, proof.layers, journal.found)


def make_manifest(
    options: ExportOptions, source: Source, job: build.Job, written: Written, rows: tuple[Row, ...]
) -> Manifest:
    """Everything but the hashes, which the writer adds."""
    sizes, files, opsets = job.sizes, written.files, written.opsets
    variant = sizes.variant
    specs = graph_specs(job.spec, sizes.cameras, sizes.bracket, sizes.horizon, variant)
    return Manifest(
        target=options.target,
        precision=options.precision,
        source=source,
        tags=tuple(job.spec.tags),
        cameras=sizes.cameras,
        bracket=sizes.bracket,
        horizon=sizes.horizon,
        image_attention=options.graphs.image_attention,
        graphs={
            name: GraphFile(spec, f"{name}.onnx", opsets[name], tuple(files[name])) for name, spec in specs.items()
        },
        mode=variant.mode,
        head=variant.head,
        new_tokens=variant.new_tokens,
        arm=arms_of(job.spec.tags),
        plan=tuple(PlanEntry(a.group, a.tensors, a.scheme, a.reason, a.bytes) for a in written.accounts),
        parity=rows,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Extras:
    """What a report has beside the manifest."""

    prediction: Mapping[str, Any] | None = None
    sensitivity: bytes | None = None  # PNG


def write_reports(
    folder: Path,
    manifest: Manifest,
    notes: tuple[str, ...],
    layers: tuple[LayerError, ...] = (),
    extras: Extras | None = None,
) -> None:
    """parity.json and prediction.json for programs; report.md and report.html for people."""
    extras = extras or Extras()
    (folder / "parity.json").write_text(json.dumps([r.to_json() for r in manifest.parity], indent=1) + "\n")
    if extras.prediction:
        (folder / PREDICTION).write_text(json.dumps(extras.prediction, indent=1) + "\n")
    if extras.sensitivity:
        (folder / SENSITIVITY).write_bytes(extras.sensitivity)
    lines = [(e.layer, e.output, e.relative, e.rms) for e in layers]
    parts = bundle_parts(manifest, notes, lines, extras.prediction, extras.sensitivity)
    (folder / "report.md").write_text(markdown(parts), encoding="utf-8")
    (folder / "report.html").write_text(to_html(parts), encoding="utf-8")
